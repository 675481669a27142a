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
from jaxtyping import Complex, Float
from torch import Tensor

from ptycho.physics.compiled import (
    Real,
    Team,
    as_real,
    load_loops,
    to_corner,
    transformed,
    working_team,
)
from ptycho.physics.detector import Measured
from ptycho.physics.forward import update_step
from ptycho.scan.dataset import GroupBatch

_AT_ONCE = 2**19
"""Bytes of exit waves that pass all steps together, so that they stay in the cache."""

_EVERY = slice(None)


class GroupStep(NamedTuple):
    """What frames ask of the objects of their groups; see `physics.forward.BackProjection`."""

    step: Complex[Tensor, "group height width"]
    illumination: Float[Tensor, "group height width"]


@runtime_checkable
class GroupUpdater(Protocol):
    """The frames of groups, updating the objects of the groups."""

    def step(
        self, canvas: Complex[Tensor, "group height width"], part: slice = _EVERY
    ) -> GroupStep:
        """Return the update of each object by some members of its group.

        Args:
            canvas: object of each group.
            part: which members.
        """
        ...

    def updated(
        self, canvas: Complex[Tensor, "group height width"], part: slice, *, damping: float
    ) -> Complex[Tensor, "group height width"]:
        """Return the objects after that update, damped; see `physics.forward.update_step`."""
        ...


@contextmanager
def group_updater(
    batch: GroupBatch, probe: Complex[Tensor, "group member mode row col"]
) -> Iterator[GroupUpdater]:
    """Provide what updates the objects of groups.

    Args:
        batch: measured frames and their windows.
        probe: the probe shifted to each position.
    """
    on_processor = probe.device.type == "cpu" and probe.dtype == torch.complex64
    if not (on_processor and batch.forward.plain):
        yield TensorGroups(batch, probe)
        return
    with working_team() as team:
        yield CompiledGroups(batch, probe, team)


class TensorGroups:
    """The update of groups in tensors; arguments as for `group_updater`."""

    def __init__(self, batch: GroupBatch, probe: Complex[Tensor, "group member mode row col"]):
        self._batch, self._probe = batch, probe.detach()
        self._light: dict[tuple[int, ...], Tensor] = {}

    @torch.no_grad()
    def step(
        self, canvas: Complex[Tensor, "group height width"], part: slice = _EVERY
    ) -> GroupStep:
        """Return the update of each object; see `GroupUpdater.step`."""
        amplitude, excluded, background, _ = self._batch.measured
        members = tuple(range(amplitude.shape[1])[part])
        found = self._batch.forward.back_project(
            canvas,
            self._batch.corners[:, part],
            self._probe[:, part],
            Measured(amplitude[:, part], excluded, background),
            illumination=self._light.get(members),
        )
        self._light[members] = found.illumination
        return GroupStep(found.step, found.illumination)

    def updated(
        self, canvas: Complex[Tensor, "group height width"], part: slice, *, damping: float
    ) -> Complex[Tensor, "group height width"]:
        """Return the objects after the update; see `GroupUpdater.updated`."""
        step, light = self.step(canvas, part)
        return canvas + update_step(step, light, damping=damping)


class _Arrays(NamedTuple):
    """Canvases of groups as the loops take them: (group, row, 2 col), light (group, row, col)."""

    obj: Real
    step: Real
    light: Real

    def of(self, lot: slice) -> "_Arrays":
        """Return those of some groups, without a copy."""
        return _Arrays(*(each[lot] for each in self))


class CompiledGroups:
    """The update of groups in compiled loops; their canvases stand below each other.

    Args:
        batch: measured frames and their windows.
        probe: the probe shifted to each position.
        team: of threads that share the groups.
    """

    def __init__(
        self, batch: GroupBatch, probe: Complex[Tensor, "group member mode row col"], team: Team
    ):
        self._loops, self._team = load_loops(), team
        n_groups, n_members, n_modes, size, _ = probe.shape
        self._probe = as_real(probe)
        self._corners = batch.corners.numpy()
        measured = batch.measured
        self._amplitude = to_corner(measured.amplitude).flatten(2).numpy()
        bad, known = measured.excluded, measured.background
        excluded = torch.zeros(size, size) if bad is None else to_corner(bad)
        self._excluded = excluded.flatten()[None].to(torch.uint8).numpy()
        background = torch.zeros(size, size) if known is None else to_corner(known)
        self._background = background.flatten().numpy()
        at_once = max(1, _AT_ONCE // (8 * n_members * n_modes * size**2))
        self._lots = [slice(first, first + at_once) for first in range(0, n_groups, at_once)]

    def step(
        self, canvas: Complex[Tensor, "group height width"], part: slice = _EVERY
    ) -> GroupStep:
        """Return the update of each object; see `GroupUpdater.step`."""
        step = torch.zeros_like(canvas, requires_grad=False)
        light = torch.zeros(canvas.shape)
        arrays = _Arrays(as_real(canvas), as_real(step), light.numpy())
        self._team.each(lambda lot: self._add(arrays.of(lot), lot, part), self._lots)
        return GroupStep(step, light)

    def updated(
        self, canvas: Complex[Tensor, "group height width"], part: slice, *, damping: float
    ) -> Complex[Tensor, "group height width"]:
        """Return the objects after the update; see `GroupUpdater.updated`."""
        after = canvas.detach().clone()
        obj, light = as_real(after), np.zeros(after.shape, np.float32)
        arrays = _Arrays(obj, np.zeros_like(obj), light)

        def update(lot: slice) -> None:
            self._add(arrays.of(lot), lot, part)
            self._loops.apply_everywhere(*arrays.of(lot), np.float32(damping))

        self._team.each(update, self._lots)
        return after

    def _add(self, arrays: _Arrays, lot: slice, part: slice) -> None:
        """Add step and illumination of some groups."""
        loops = self._loops
        n_groups, height, _ = arrays.light.shape
        below = [array.reshape(n_groups * height, -1) for array in arrays]
        corners = self._corners[lot, part].copy()
        corners[..., 0] += height * np.arange(n_groups)[:, None]
        corners = corners.reshape(-1, 2)
        probe = np.ascontiguousarray(self._probe[lot, part])
        probe = probe.reshape(len(corners), *probe.shape[2:])
        amplitude = np.ascontiguousarray(self._amplitude[lot, part]).reshape(len(corners), -1)
        which, waves = np.arange(len(corners)), np.empty_like(probe)
        loops.exit_waves(below[0], corners, probe, which, waves)
        waves = transformed(torch.fft.fft2, waves, norm="ortho").reshape(*probe.shape[:2], -1)
        unused = np.zeros((len(corners), 5), np.float32)
        loops.compare(
            waves, np.empty((0, 0, 0, 0), np.float32), amplitude, np.zeros_like(which),
            self._excluded, np.zeros((1, 0), np.int64), np.zeros((1, 0), bool), self._background,
            False, False, np.empty((0, 0), np.float32), unused, unused, unused,
        )  # fmt: skip
        change = transformed(torch.fft.ifft2, waves.reshape(probe.shape), norm="ortho")
        loops.place(change, probe, which, corners, *below[1:], 0, n_groups * height)
