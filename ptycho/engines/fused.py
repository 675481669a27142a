"""The update of an object by a batch of frames on the processor, in compiled loops.

Data flow: patches -> object -> [engine] -> object.
The numbers are those of `updates.TensorUpdater`, to rounding. A few frames at a time pass all steps
while they are in the cache; the canvas is touched only where they lie; frames, excluded pixels and
background are brought to a zero frequency at pixel 0 when they are read, where the transforms of
the waves have it. That windows of the object, too, begin at their corner changes phases on the
detector only, which cancel.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float, Int, Shaped
from torch import Tensor

from ptycho.engines.background import BackgroundSum
from ptycho.engines.nuisances import Nuisances, Refine
from ptycho.engines.problem import Estimate, Problem
from ptycho.engines.updates import Sums, TensorUpdater, Update, Updater
from ptycho.physics.compiled import (
    Real,
    Team,
    as_real,
    load_loops,
    to_corner,
    transformed,
    working_team,
)
from ptycho.physics.patches import check_inside, window_corners

_MOST_KEPT = 2**29
"""Bytes of moved probes that are kept from one iteration to the next."""

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
    plain = problem.device.type == "cpu" and problem.forward.plain
    if not (compiled and plain) or refine.variation:
        yield TensorUpdater(problem)
        return
    with working_team() as team:
        yield FusedUpdater(problem, team)


class _Frames(NamedTuple):
    """Some frames at their places."""

    members: Int[np.ndarray, " frame"]
    places: Int[np.ndarray, " frame"]
    """Among the members of the problem."""
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


class _Batch(NamedTuple):
    """What the frames of a batch have in common."""

    obj: Real
    spectrum: Real
    """Of the probe, (mode, row, 2 col)."""
    background: Real
    refine: Refine


class _Found(NamedTuple):
    """What some frames have left; arrays are empty where nothing was asked for."""

    frames: _Frames
    probes: Real
    which: Int[np.ndarray, " frame"]
    change: Real
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
        self._loops, self._problem, self._team = load_loops(), problem, team
        self._at_once = at_once
        self._size = size = problem.frames.raw.frame_size
        self._members = problem.members.astype(np.int64)
        held = problem.held_out
        self._excluded = to_corner(held.excluded).flatten(1).to(torch.uint8).numpy()
        number = torch.fft.fftshift(torch.arange(size * size).unflatten(0, (size, size)))
        self._pixels = number.flatten()[held.pixels].numpy()
        self._judging = held.judging.numpy()
        height, width = problem.canvas.shape
        self._step = np.zeros((height, 2 * width), np.float32)
        self._light = np.zeros((height, width), np.float32)
        edges = np.linspace(0, height, team.threads + 1).astype(int).tolist()
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
        frames, found, most = self._gathered(estimate, part.numpy(), refine, sums)
        damped = np.float32(damping * most)
        canvas = (as_real(estimate.obj), self._step, self._light)
        self._team.each(
            lambda band: self._loops.apply(*canvas, frames.corners, self._size, damped, *band),
            self._bands,
        )
        return self._summed(Update(estimate.obj), frames, found, refine, sums)

    def total(
        self, estimate: Estimate, size: int, sums: Sums
    ) -> tuple[Complex[Tensor, "height width"], Float[Tensor, "height width"]]:
        """Return step and illumination of all frames together; see `Updater.total`."""
        for part in self._problem.parts(size):
            self._gathered(estimate, part.numpy(), Refine(), sums)
        step = torch.view_as_complex(torch.from_numpy(self._step).unflatten(1, (-1, 2))).clone()
        light = torch.from_numpy(self._light.copy())
        self._step[:], self._light[:] = 0, 0
        return step, light

    def _gathered(
        self, estimate: Estimate, part: Int[np.ndarray, " frame"], refine: Refine, sums: Sums
    ) -> tuple[_Frames, list[_Found], float]:
        """Add the frames of a batch to the canvas; return what they say, and the most light."""
        obj, nuisances = estimate
        self._kept.look_at(nuisances, refine)
        frames = self._placed(part, nuisances)
        batch = _Batch(as_real(obj), self._kept.spectrum, self._kept.background, refine)
        at_once = max(1, self._at_once // (8 * nuisances.probe.numel()))
        found = self._team.each(lambda some: self._found(batch, some), frames.split(at_once))
        most = self._team.each(lambda band: self._place(found, band), self._bands)
        sums.misfit.add(*torch.from_numpy(frames.misfit.sum(axis=0, dtype=np.float64)))
        return frames, found, max(most)

    def _placed(self, part: Int[np.ndarray, " frame"], nuisances: Nuisances) -> _Frames:
        """Return the frames of a batch as they are stored, and where they lie."""
        members = self._members[part]
        corners, fractions = self._kept.places(part, nuisances)
        beam = np.ones(len(members), np.float32)
        if nuisances.intensity is not None:
            beam = nuisances.intensity[members].sqrt().numpy()
        stored = self._problem.frames.raw.stored(members)
        dtype = stored.dtype if stored.dtype in _DTYPES else np.float32
        written = (np.empty((len(members), numbers), np.float32) for numbers in (2, 2, 5))
        return _Frames(
            members, part, corners, fractions, beam, np.ascontiguousarray(stored, dtype), *written
        )

    def _found(self, batch: _Batch, frames: _Frames) -> _Found:
        """Return what some frames say, and the change of their exit waves."""
        loops, size, raw = self._loops, self._size, self._problem.frames.raw
        n_frames, n_modes = len(frames.members), len(batch.spectrum)
        amplitude = np.empty((n_frames, size, size), np.float32)
        factor = np.float32(raw.photons_per_unit**0.5)
        loops.amplitudes(frames.stored, factor, raw.measurement != "amplitude", amplitude)
        moves = batch.refine.positions or batch.refine.affine
        spectra: Real = np.empty((n_frames, n_modes, size, 2 * size), np.float32)

        def moved_probes(some: _Frames) -> Real:
            out = spectra[: len(some.members)]
            loops.ramped(batch.spectrum, some.fractions, some.beam, out)
            return transformed(torch.fft.ifft2, out)

        probes, which = self._kept.probes(frames, moved_probes)
        waves = np.empty_like(spectra) if moves else spectra
        loops.exit_waves(batch.obj, frames.corners, probes, which, waves)
        waves = transformed(torch.fft.fft2, waves, norm="ortho")
        waves = waves.reshape(n_frames, n_modes, -1)
        derivatives = np.empty((0, 0, 0, 0), np.float32)
        if moves:
            derivatives = self._derivatives(batch, frames, spectra)
        empty = np.empty((0, 0), np.float32)
        sums = np.zeros((4, size**2), np.float32) if batch.refine.background else empty
        loops.compare(
            waves, derivatives, amplitude.reshape(n_frames, -1), frames.members, self._excluded,
            self._pixels, self._judging, batch.background, self._problem.unbiased,
            batch.refine.intensity, sums, frames.misfit, frames.photons, frames.sums,
        )  # fmt: skip
        change = transformed(torch.fft.ifft2, waves.reshape(spectra.shape), norm="ortho")
        step, weight = empty, empty
        if batch.refine.probe:
            weight = np.zeros((size, size), np.float32)
            back = np.empty_like(spectra)
            loops.times_patches(batch.obj, frames.corners, change, back, weight)
            step = np.zeros_like(batch.spectrum)
            back = transformed(torch.fft.fft2, back)
            loops.add_unramped(back, frames.fractions, step)
        return _Found(frames, probes, which, change, sums, step, weight)

    def _derivatives(self, batch: _Batch, frames: _Frames, spectra: Real) -> Real:
        """Return the derivatives of the waves on the detector by the positions."""
        n_frames, n_modes, size, _ = spectra.shape
        both = np.empty((n_frames, 2, n_modes, size, 2 * size), np.float32)
        self._loops.slopes(spectra, both)
        both = both.reshape(2 * n_frames, n_modes, size, 2 * size)
        slopes = transformed(torch.fft.ifft2, both)
        corners = np.repeat(frames.corners, 2, axis=0)
        self._loops.exit_waves(batch.obj, corners, slopes, np.arange(len(slopes)), both)
        waves = transformed(torch.fft.fft2, both, norm="ortho")
        return waves.reshape(n_frames, 2, n_modes, -1)

    def _place(self, found: list[_Found], band: tuple[int, int]) -> float:
        """Add frames to some rows of the canvas, in their order; return the most light there."""
        return max(
            self._loops.place(
                each.change, each.probes, each.which, each.frames.corners,
                self._step, self._light, *band,
            )
            for each in found
        )  # fmt: skip

    def _summed(
        self, update: Update, frames: _Frames, found: list[_Found], refine: Refine, sums: Sums
    ) -> Update:
        """Return the update of a batch; add its frames to the sums of the iteration."""

        def total(name: str) -> Tensor:
            return torch.from_numpy(np.sum([getattr(each, name) for each in found], axis=0))

        if refine.background:
            more = total("background").unflatten(1, (self._size, self._size))
            more = torch.fft.fftshift(more, dim=(-2, -1))
            known = sums.background or BackgroundSum.empty(more[0])
            sums.background = BackgroundSum(*(torch.stack(known) + more))
        if refine.probe:
            step = torch.view_as_complex(total("probe_step").unflatten(-1, (-1, 2)))
            weight = total("probe_weight")
            update = update._replace(probe_step=torch.fft.ifft2(step), probe_weight=weight)
        if refine.intensity:
            update = update._replace(photons=torch.from_numpy(frames.photons))
        if refine.positions or refine.affine:
            update = update._replace(positions=torch.from_numpy(frames.sums))
        return update


class _Kept:
    """What follows from nuisance parameters, kept as long as they stay the same tensors.

    Attributes:
        spectrum: of the probe, (mode, row, 2 col).
        background: photons per pixel, zero frequency at pixel 0; 0 for none.

    Args:
        problem: whose frames.
    """

    def __init__(self, problem: Problem):
        members = problem.members.astype(np.int64)
        self._members, self._origin = torch.from_numpy(members), problem.origin
        self._size, self._shape = problem.frames.raw.frame_size, problem.canvas.shape
        self.spectrum, self.background = np.empty((0, 0, 0), np.float32), np.empty(0, np.float32)
        self._seen: Nuisances | None = None
        self._places: tuple[Int[np.ndarray, "frame 2"], Real] | None = None
        self._probes = np.empty((0, 0, 0, 0), np.float32)
        self._is_kept: Bool[np.ndarray, " frame"] = np.zeros(len(members), bool)
        self._keeps = False

    def look_at(self, nuisances: Nuisances, refine: Refine) -> None:
        """Forget what no longer holds.

        Args:
            nuisances: as they are now.
            refine: what is asked for; the steps of positions need more than moved probes.
        """
        seen, self._seen = self._seen, nuisances
        if seen is None or nuisances.probe is not seen.probe:
            self.spectrum = as_real(torch.fft.fft2(nuisances.probe))
        if seen is None or nuisances.background is not seen.background:
            self.background = np.zeros(self._size**2, np.float32)
            if nuisances.background is not None:
                self.background = to_corner(nuisances.background).flatten().numpy()
        stays = seen is not None and nuisances.positions is seen.positions
        if not stays:
            self._places = None
        elif self._places is None:
            self._places = self._placed(nuisances, self._members)
        n_modes, size, _ = nuisances.probe.shape
        shape = (len(self._members), n_modes, size, 2 * size)
        moves = refine.positions or refine.affine
        self._keeps = (
            seen is not None and stays and nuisances.probe is seen.probe and not moves
            and nuisances.intensity is None and 4 * math.prod(shape) <= _MOST_KEPT
        )  # fmt: skip
        if not self._keeps:
            self._is_kept[:] = False
        elif self._probes.shape != shape:
            self._probes = np.empty(shape, np.float32)

    def places(
        self, part: Int[np.ndarray, " frame"], nuisances: Nuisances
    ) -> tuple[Int[np.ndarray, "frame 2"], Real]:
        """Return corners on the canvas, and sub-pixel rests, of some members."""
        if self._places is None:
            return self._placed(nuisances, self._members[part])
        return self._places[0][part], self._places[1][part]

    def probes(
        self, frames: _Frames, moved: Callable[[_Frames], Real]
    ) -> tuple[Real, Int[np.ndarray, " frame"]]:
        """Return probes, and which of them belongs to each frame.

        Args:
            frames: that need them.
            moved: computes those of some frames.
        """
        if not self._keeps:
            return moved(frames), np.arange(len(frames.members))
        new = ~self._is_kept[frames.places]
        if new.any():
            some = _Frames(*(each[new] for each in frames))
            self._probes[some.places] = moved(some)
            self._is_kept[some.places] = True
        return self._probes, frames.places

    def _placed(
        self, nuisances: Nuisances, members: Int[Tensor, " frame"]
    ) -> tuple[Int[np.ndarray, "frame 2"], Real]:
        corners, fractions = window_corners(nuisances.positions[members], self._size)
        corners = corners - self._origin
        check_inside(corners, self._size, self._shape)
        return corners.numpy(), fractions.numpy()
