"""The update that the frames of groups give to the objects of the groups, and iterations of it.

Data flow: batches -> [network] + physics -> trained model.
In tensors on any device; in compiled loops for thin samples in the far field on the processor. No
gradient passes through either.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from ptycho.physics.compiled import (
    NOTHING,
    Real,
    Team,
    as_real,
    loops_for,
    planar,
    serves,
    to_corner,
    working_team,
)
from ptycho.physics.detector import Measured
from ptycho.physics.forward import ForwardModel, update_step

_AT_ONCE = 2**20
"""Bytes of the exit waves of groups that are updated together, if all members are."""

Part = slice | Int[Tensor, " member"]
"""Some members of each group."""

_EVERY = slice(None)


class GroupStep(NamedTuple):
    """What frames ask of the objects of their groups; see `physics.forward.BackProjection`."""

    step: Complex[Tensor, "group height width"]
    illumination: Float[Tensor, "group height width"]


@runtime_checkable
class GroupUpdater(Protocol):
    """The frames of groups, updating the objects of the groups."""

    def step(self, canvas: Complex[Tensor, "group height width"], part: Part = _EVERY) -> GroupStep:
        """Return the update of each object by some members of its group.

        Args:
            canvas: object of each group.
            part: which members.
        """
        ...

    def updated(
        self, canvas: Complex[Tensor, "group height width"], part: Part, *, damping: float
    ) -> Complex[Tensor, "group height width"]:
        """Return the objects after that update, damped; see `physics.forward.update_step`."""
        ...


@contextmanager
def group_updater(
    forward: ForwardModel,
    corners: Int[Tensor, "group member 2"],
    measured: Measured,
    probe: Complex[Tensor, "group member mode row col"],
) -> Iterator[GroupUpdater]:
    """Provide what updates the objects of groups.

    Args:
        forward: how an object makes frames.
        corners: first (row, col) of each window on the canvas of its group.
        measured: frames, (group, member, row, col).
        probe: the probe shifted to each position.
    """
    able = serves(forward, probe.shape[-1], probe.device)
    if not able or probe.dtype != torch.complex64:
        yield TensorGroups(forward, corners, measured, probe)
        return
    with working_team() as team:
        yield CompiledGroups(corners, measured, probe, team)


class TensorGroups:
    """The update of groups in tensors; arguments as for `group_updater`."""

    def __init__(
        self,
        forward: ForwardModel,
        corners: Int[Tensor, "group member 2"],
        measured: Measured,
        probe: Complex[Tensor, "group member mode row col"],
    ):
        self._forward, self._corners, self._measured = forward, corners, measured
        self._probe = probe.detach()
        self._light: dict[tuple[int, ...], Tensor] = {}

    @torch.no_grad()
    def step(self, canvas: Complex[Tensor, "group height width"], part: Part = _EVERY) -> GroupStep:
        """Return the update of each object; see `GroupUpdater.step`."""
        probe = self._probe[:, part]
        # The same lots come again in every iteration, drawn parts do not.
        lot = tuple(range(self._probe.shape[1])[part]) if isinstance(part, slice) else None
        found = self._forward.back_project(
            canvas,
            self._corners[:, part],
            probe,
            self._measured._replace(amplitude=self._measured.amplitude[:, part]),
            illumination=None if lot is None else self._light.get(lot),
        )
        if lot is not None:
            self._light[lot] = found.illumination
        return GroupStep(found.step, found.illumination)

    def updated(
        self, canvas: Complex[Tensor, "group height width"], part: Part, *, damping: float
    ) -> Complex[Tensor, "group height width"]:
        """Return the objects after the update; see `GroupUpdater.updated`."""
        step, light = self.step(canvas, part)
        return canvas + update_step(step, light, damping=damping)


class _Canvases(NamedTuple):
    """Objects of groups as the loops take them, those of a lot below each other."""

    objs: Real
    """(group, row, 2 col)."""
    step: Real
    """(2, row, col)."""
    light: Real
    """(row, col)."""


class CompiledGroups:
    """The update of groups in compiled loops.

    Args:
        corners: as for `group_updater`.
        measured: likewise.
        probe: likewise.
        team: of threads that share the groups.
    """

    def __init__(
        self,
        corners: Int[Tensor, "group member 2"],
        measured: Measured,
        probe: Complex[Tensor, "group member mode row col"],
        team: Team,
    ):
        n_groups, n_members, n_modes, size, _ = probe.shape
        self._loops, self._team = loops_for(size), team
        self._probes, self._corners = planar(probe), corners.numpy()
        self._unbiased = measured.unbiased
        self._first, self._last = (
            corners.amin(dim=(0, 1)).tolist(),
            (corners.amax(dim=(0, 1)) + size).tolist(),
        )
        self._amplitude = to_corner(measured.amplitude).numpy()
        nothing = torch.zeros(size, size)
        bad, known = measured.excluded, measured.background
        excluded = to_corner(nothing if bad is None else bad)[None]
        self._excluded = excluded.to(torch.uint8).numpy()
        self._background = to_corner(nothing if known is None else known).numpy()
        at_once = max(1, _AT_ONCE // (8 * n_members * n_modes * size**2))
        self._lots = [slice(first, first + at_once) for first in range(0, n_groups, at_once)]

    def step(self, canvas: Complex[Tensor, "group height width"], part: Part = _EVERY) -> GroupStep:
        """Return the update of each object; see `GroupUpdater.step`."""
        objs = as_real(canvas)
        found = self._team.each(lambda lot: self._gathered(objs[lot], lot, part), self._lots)
        steps = [torch.complex(*torch.from_numpy(each.step)) for each in found]
        lights = [torch.from_numpy(each.light) for each in found]
        return GroupStep(torch.cat(steps).view(canvas.shape), torch.cat(lights).view(canvas.shape))

    def updated(
        self, canvas: Complex[Tensor, "group height width"], part: Part, *, damping: float
    ) -> Complex[Tensor, "group height width"]:
        """Return the objects after the update; see `GroupUpdater.updated`."""
        after = canvas.detach().clone(memory_format=torch.contiguous_format)
        objs = as_real(after)

        def update(lot: slice) -> None:
            found = self._gathered(objs[lot], lot, part)
            self._loops.apply_everywhere(*found, np.float32(damping))

        self._team.each(update, self._lots)
        return after

    def _gathered(self, objs: Real, lot: slice, part: Part) -> _Canvases:
        """Return step and illumination of some groups."""
        which = part if isinstance(part, slice) else part.numpy()
        n_groups, height, width = objs.shape[0], objs.shape[1], objs.shape[2] // 2
        if min(self._first) < 0 or self._last[0] > height or self._last[1] > width:
            raise ValueError(  # the loops would write beyond the arrays
                f"corners: windows from {self._first} to {self._last}; expected inside canvases of "
                f"{(height, width)}"
            )
        step = np.zeros((2, n_groups * height, width), np.float32)
        light = np.zeros(step.shape[1:], np.float32)
        corners = self._corners[lot, which].copy()
        corners[..., 0] += height * np.arange(n_groups)[:, None]
        probes, amplitude, corners = (
            np.ascontiguousarray(each).reshape(-1, *each.shape[2:])
            for each in (self._probes[lot, which], self._amplitude[lot, which], corners)
        )
        n_frames, changes = len(corners), np.empty_like(probes)
        misfit = np.empty((n_frames, 2), np.float32)
        self._loops.update(
            objs.reshape(-1, 2 * width), corners, probes, NOTHING[5], NOTHING[2], amplitude,
            np.zeros(n_frames, np.int64), self._excluded, np.zeros((1, 0), np.int64),
            np.zeros((1, 0), bool), self._background, self._unbiased, np.float32(-1), misfit,
            NOTHING[2], NOTHING[2], NOTHING[2], NOTHING[3], NOTHING[1], changes,
        )  # fmt: skip
        self._loops.place(changes, probes, corners, step, light, 0, len(light))
        return _Canvases(objs, step, light)
