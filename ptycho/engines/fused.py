"""The update of an object by a batch of frames on the processor, in compiled loops.

Data flow: patches -> object -> [engine] -> object.
The numbers are those of `updates.TensorUpdater`, to rounding. A few frames at a time pass all steps
while they are in the cache; the canvas is touched only where they lie; frames, excluded pixels and
background are brought to a zero frequency at pixel 0 when they are read, where the transforms of
the waves have it. That windows of the object, too, begin at their corner changes phases on the
detector only, which cancel.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Complex, Float, Int, Shaped
from torch import Tensor

from ptycho.engines.background import BackgroundSum
from ptycho.engines.nuisances import Nuisances, Refine
from ptycho.engines.problem import Estimate, Problem
from ptycho.engines.updates import Sums, TensorUpdater, Total, Update, Updater
from ptycho.physics.compiled import (
    NOTHING,
    Real,
    Team,
    as_real,
    from_planar,
    loops_for,
    planar,
    serves,
    to_corner,
    working_team,
)
from ptycho.physics.patches import check_inside, window_corners

_AT_ONCE = 2**19
"""Bytes of exit waves that pass all steps together, so that they stay in the cache."""

_DTYPES = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32))
"""Frames of which the loops take as they are; others are turned into float32."""


@contextmanager
def updating(problem: Problem, refine: Refine, *, compiled: bool) -> Iterator[Updater]:
    """Provide what works through the batches of a problem.

    Args:
        problem: whose frames.
        refine: what will be asked for at most.
        compiled: whether compiled loops may be used where they can do it: thin samples in the far
            field, without blur, on the processor.
    """
    able = serves(problem.forward, problem.frames.raw.frame_size, problem.device)
    if not (compiled and able) or refine.variation:
        yield TensorUpdater(problem)
        return
    with working_team() as team:
        yield FusedUpdater(problem, team)


class _Frames(NamedTuple):
    """Some frames at their places."""

    members: Int[np.ndarray, " frame"]
    corners: Int[np.ndarray, "frame 2"]
    fractions: Real
    beam: Real
    """Root of the beam intensity."""
    stored: Shaped[np.ndarray, "frame row col"]
    misfit: Real
    """Written: Poisson deviance / 4 and photons of the held-out pixels, (frame, 2)."""
    photons: Real
    """Written, if asked for: see `Update.photons`."""
    sums: Real
    """Written, if asked for: see `Update.positions`."""

    def split(self, size: int) -> "list[_Frames]":
        """Return these frames, some at a time."""
        firsts = range(0, len(self.members), size)
        return [_Frames(*(each[first : first + size] for each in self)) for first in firsts]


class _Found(NamedTuple):
    """What some frames have left; arrays are empty where nothing was asked for."""

    frames: _Frames
    probes: Real
    changes: Real
    background: Real
    probe_step: Real
    probe_weight: Real


class FusedUpdater:
    """The updater in compiled loops; what it finds does not depend on the number of threads.

    Args:
        problem: whose frames update the object.
        team: of threads that share the frames of a batch, and the rows of the canvas.
        at_once: bytes of exit waves that pass all steps together.
    """

    def __init__(self, problem: Problem, team: Team, at_once: int = _AT_ONCE):
        self._problem, self._team, self._at_once = problem, team, at_once
        self._size = size = problem.frames.raw.frame_size
        self._loops, self._canvas = loops_for(size), problem.canvas.shape
        self._members = problem.members.astype(np.int64)
        held = problem.held_out
        self._excluded = to_corner(held.excluded).to(torch.uint8).numpy()
        number = torch.fft.fftshift(torch.arange(size * size).unflatten(0, (size, size)))
        self._pixels = number.flatten()[held.pixels].numpy()
        self._judging = held.judging.numpy()
        self._step = np.zeros((2, *self._canvas), np.float32)
        self._light = np.zeros(self._canvas, np.float32)
        edges = np.linspace(0, self._canvas[0], team.threads + 1).astype(int).tolist()
        self._bands = list(itertools.pairwise(edges))
        self._kept = _Kept(problem)

    def update(
        self,
        estimate: Estimate,
        part: Int[Tensor, " frame"],
        *,
        damping: float,
        refine: Refine,
        sums: Sums,
    ) -> Update:
        """Return what a batch makes of an estimate; see `Updater.update`."""
        obj = estimate.obj.contiguous()  # so that it is changed, not a copy
        frames, found, most = self._gathered(estimate._replace(obj=obj), part.numpy(), refine, sums)
        damped = np.float32(damping * most)
        canvas = (as_real(obj), self._step, self._light)
        self._team.each(
            lambda band: self._loops.apply(*canvas, frames.corners, damped, *band), self._bands
        )
        return self._summed(Update(obj), frames, found, refine, sums)

    def total(
        self,
        estimate: Estimate,
        size: int,
        sums: Sums,
        *,
        probe: bool = False,
        excess: float | None = None,
    ) -> Total:
        """Return what all frames together say; see `Updater.total`."""
        refine, n = Refine(probe=probe), estimate.nuisances.probe.shape[-1]
        of_probe = torch.zeros_like(estimate.nuisances.probe)
        weight = torch.zeros(n, n)
        for part in self._problem.parts(size):
            found = self._gathered(estimate, part.numpy(), refine, sums, excess)[1]
            if probe:
                step, lit = self._of_probe(found)
                of_probe += step
                weight += lit
        step = torch.complex(*torch.from_numpy(self._step))
        light = torch.from_numpy(self._light.copy())
        self._step[:], self._light[:] = 0, 0
        return Total(step, light, of_probe, weight) if probe else Total(step, light)

    def _gathered(
        self,
        estimate: Estimate,
        part: Int[np.ndarray, " frame"],
        refine: Refine,
        sums: Sums,
        excess: float | None = None,
    ) -> tuple[_Frames, list[_Found], float]:
        """Add the frames of a batch to the canvas; return what they say, and the most light."""
        obj, nuisances = as_real(estimate.obj), estimate.nuisances
        self._kept.look_at(nuisances)
        frames = self._placed(part, nuisances, refine)
        at_once = max(1, self._at_once // (8 * nuisances.probe.numel()))
        chunks = frames.split(at_once)
        # Several threads share all chunks, then the rows; one places a chunk while it is in cache.
        shares = [chunks] if self._team.threads > 1 else [[chunk] for chunk in chunks]
        found: list[_Found] = []
        most = 0.0
        for share in shares:
            here = self._team.each(lambda some: self._found(obj, some, refine, excess), share)
            most = max(most, *self._team.each(partial(self._place, here), self._bands))
            found += here
        sums.misfit.add(*torch.from_numpy(frames.misfit.sum(axis=0, dtype=np.float64)))
        return frames, found, most

    def _placed(
        self, part: Int[np.ndarray, " frame"], nuisances: Nuisances, refine: Refine
    ) -> _Frames:
        """Return the frames of a batch as they are stored, and where they lie."""
        members = self._members[part]
        corners, fractions = self._kept.places(part, nuisances)
        beam = np.ones(len(members), np.float32)
        if nuisances.intensity is not None:
            beam = nuisances.intensity[members].sqrt().numpy()
        stored = self._problem.frames.raw.stored(members)
        dtype = stored.dtype if stored.dtype in _DTYPES else np.float32
        asked = (True, refine.intensity, refine.positions or refine.affine)
        misfit, photons, sums = (
            np.empty((len(members), columns if wanted else 0), np.float32)
            for columns, wanted in zip((2, 2, 5), asked, strict=True)
        )
        return _Frames(
            members, corners, fractions, beam, np.ascontiguousarray(stored, dtype), misfit,
            photons, sums,
        )  # fmt: skip

    def _found(self, obj: Real, frames: _Frames, refine: Refine, excess: float | None) -> _Found:
        """Return what some frames say, and the change of their exit waves."""
        loops, raw, n_pixels = self._loops, self._problem.frames.raw, self._size**2
        spectrum, n_frames = self._kept.spectrum, len(frames.members)

        def room(asked: bool, *shape: int) -> Real:
            return np.empty(shape, np.float32) if asked else NOTHING[len(shape)]

        amplitude = room(True, n_frames, n_pixels)
        factor = np.float32(raw.photons_per_unit**0.5)
        loops.amplitudes(frames.stored, factor, raw.measurement != "amplitude", amplitude)
        probes = room(True, n_frames, *spectrum.shape)
        slopes = room(refine.positions or refine.affine, n_frames, 2, *spectrum.shape)
        loops.move_probes(spectrum, frames.fractions, frames.beam, probes, slopes)
        changes = np.empty_like(probes)
        background = room(refine.background, 4, n_pixels)
        step, weight = room(refine.probe, *spectrum.shape), room(refine.probe, n_pixels)
        for sums in (background, step, weight):
            sums[:] = 0
        loops.update(
            obj, frames.corners, probes, slopes, frames.fractions, amplitude, frames.members,
            self._excluded, self._pixels, self._judging, self._kept.background,
            self._problem.unbiased, np.float32(-1 if excess is None else excess), frames.misfit,
            frames.photons, frames.sums, background, step, weight, changes,
        )  # fmt: skip
        return _Found(frames, probes, changes, background, step, weight)

    def _place(self, found: list[_Found], band: tuple[int, int]) -> float:
        """Add frames to some rows of the canvas, in their order; return the most light there."""
        return max(
            self._loops.place(
                each.changes, each.probes, each.frames.corners, self._step, self._light, *band
            )
            for each in found
        )

    def _summed(
        self, update: Update, frames: _Frames, found: list[_Found], refine: Refine, sums: Sums
    ) -> Update:
        """Return the update of a batch; add its frames to the sums of the iteration."""
        if refine.background:
            more = torch.from_numpy(np.sum([each.background for each in found], axis=0))
            side = (self._size, self._size)
            more = torch.fft.fftshift(more.unflatten(1, side), dim=(-2, -1))
            known = sums.background or BackgroundSum.empty(more[0])
            sums.background = BackgroundSum(*(torch.stack(known) + more))
        if refine.probe:
            step, weight = self._of_probe(found)
            update = update._replace(probe_step=step, probe_weight=weight)
        if refine.intensity:
            update = update._replace(photons=torch.from_numpy(frames.photons))
        if refine.positions or refine.affine:
            update = update._replace(positions=torch.from_numpy(frames.sums))
        return update

    def _of_probe(
        self, found: list[_Found]
    ) -> tuple[Complex[Tensor, "mode row col"], Float[Tensor, "row col"]]:
        """Return step and weight of the probe, from all frames of a batch."""
        side = (self._size, self._size)
        step = np.sum([each.probe_step for each in found], axis=0)
        weight = np.sum([each.probe_weight for each in found], axis=0)
        moved = torch.fft.ifft2(from_planar(step, side))
        return moved, torch.from_numpy(weight).unflatten(0, side)


class _Kept:
    """What follows from nuisance parameters, kept as long as they stay the same tensors.

    Attributes:
        spectrum: of the probe, (mode, 2, pixel).
        background: photons per pixel, zero frequency at pixel 0; 0 for none.

    Args:
        problem: whose frames.
    """

    def __init__(self, problem: Problem):
        members = problem.members.astype(np.int64)
        self._members, self._origin = torch.from_numpy(members), problem.origin
        self._size, self._shape = problem.frames.raw.frame_size, problem.canvas.shape
        self.spectrum, self.background = NOTHING[3], NOTHING[1]
        self._seen: Nuisances | None = None
        self._places: tuple[Int[np.ndarray, "frame 2"], Real] | None = None

    def look_at(self, nuisances: Nuisances) -> None:
        """Forget what no longer holds."""
        seen, self._seen = self._seen, nuisances
        if seen is None or nuisances.probe is not seen.probe:
            self.spectrum = planar(torch.fft.fft2(nuisances.probe))
        if seen is None or nuisances.background is not seen.background:
            known = nuisances.background
            nothing = torch.zeros(self._size, self._size)
            self.background = to_corner(nothing if known is None else known).numpy()
        if seen is None or nuisances.positions is not seen.positions:
            self._places = None
        elif self._places is None:
            self._places = self._placed(nuisances, self._members)

    def places(
        self, part: Int[np.ndarray, " frame"], nuisances: Nuisances
    ) -> tuple[Int[np.ndarray, "frame 2"], Real]:
        """Return corners on the canvas, and sub-pixel rests, of some members."""
        if self._places is None:
            return self._placed(nuisances, self._members[part])
        return self._places[0][part], self._places[1][part]

    def _placed(
        self, nuisances: Nuisances, members: Int[Tensor, " frame"]
    ) -> tuple[Int[np.ndarray, "frame 2"], Real]:
        corners, fractions = window_corners(nuisances.positions[members], self._size)
        corners = corners - self._origin
        check_inside(corners, self._size, self._shape)
        return corners.numpy(), fractions.numpy()
