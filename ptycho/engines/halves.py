"""Short reconstructions of parts of a scan from a flat start, its nuisance parameters fixed.

Data flow: object, frames -> [parts -> objects -> predicted frames] -> cross check.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor

from ptycho.engines.problem import Estimate, Problem
from ptycho.engines.residuals import expected_frames
from ptycho.grouping.compact import compact_part
from ptycho.networks.group_updates import group_updater
from ptycho.physics.detector import Measured
from ptycho.physics.patches import canvas_of, cut_patches, place_patches, window_corners
from ptycho.physics.probe import probe_intensity
from ptycho.simulation.noise import count_photons

_ITERATIONS = 12
_AVERAGED = 4  # last iterations, with a growing damping
_DAMPING, _GROWTH, _MOMENTUM = 0.1, 2.0, 0.7
KNOWN = 0.15
"""Illumination relative to the brightest pixel of one probe above which an object is known."""


class Part(NamedTuple):
    """Some frames of a scan, in memory."""

    members: Int[Tensor, " frame"]
    """Which frames of the scan."""

    amplitude: Float[Tensor, "frame row col"]
    """sqrt(photons) per detector pixel."""

    def subset(self, chosen: Int[np.ndarray, " chosen"]) -> "Part":
        """Return some of the frames."""
        index = torch.from_numpy(chosen).to(self.members.device)
        return Part(self.members[index], self.amplitude[index])


def read_part(problem: Problem, estimate: Estimate, most: int) -> Part:
    """Return the frames of a compact part of a scan.

    Args:
        problem: the frames.
        estimate: its positions count.
        most: how many frames.
    """
    positions = estimate.nuisances.positions[problem.members].cpu().double().numpy()
    members = problem.members[compact_part(positions, most)].astype(np.int64)
    amplitude = torch.from_numpy(problem.frames.raw.amplitude(members)).to(problem.device)
    return Part(torch.from_numpy(members).to(problem.device), amplitude)


@torch.no_grad()
def counted_again(
    problem: Problem, estimate: Estimate, part: Part, rng: np.random.Generator
) -> Part:
    """Return the frames as they would have been counted if the object were the true one.

    Args:
        problem: the frames.
        estimate: on the device of the problem.
        part: which of them.
        rng: of the counts.

    Source:
        Parametric bootstrap: Efron & Tibshirani, An Introduction to the Bootstrap (1993), 6.5.
    """
    expected = expected_frames(problem, estimate, part.members).cpu().numpy()
    counts = count_photons(expected, rng=rng).astype(np.float32)
    return part._replace(amplitude=torch.from_numpy(counts).sqrt().to(problem.device))


class _Placed(NamedTuple):
    corners: Int[Tensor, "frame 2"]
    probe: Complex[Tensor, "frame mode row col"]


class Reconstructor:
    """Reconstructs some frames of a compact part of a scan, and predicts others.

    Args:
        problem: of the whole scan.
        estimate: found from it, on the device of the problem.
        members: frames of the part.
    """

    def __init__(self, problem: Problem, estimate: Estimate, members: Int[Tensor, " frame"]):
        self.problem, self.estimate = problem, estimate
        nuisances = estimate.nuisances
        self.size = nuisances.probe.shape[-1]
        self.canvas = canvas_of(nuisances.positions[members].cpu(), self.size)
        self.origin = torch.tensor(self.canvas.origin, device=problem.device)
        mask = problem.frames.raw.mask
        self.bad = None if mask is None else torch.from_numpy(~mask).to(problem.device)

    def cut(self, whole: Complex[Tensor, "row col"]) -> Complex[Tensor, "height width"]:
        """Return the part of the canvas of the problem that belongs to these frames.

        Args:
            whole: the object on that canvas.
        """
        origins = zip(self.canvas.origin, self.problem.canvas.origin, strict=True)
        row, col = (here - there for here, there in origins)
        height, width = self.canvas.shape
        return whole[row : row + height, col : col + width]

    def known(self, members: Int[Tensor, " frame"]) -> Bool[Tensor, "height width"]:
        """Return where some frames illuminate the object."""
        placed = self._placed(members)
        light = place_patches(probe_intensity(placed.probe), placed.corners, self.canvas.shape)
        return light > KNOWN * probe_intensity(self.estimate.nuisances.probe).max()

    @torch.no_grad()
    def solve(self, part: Part, level: float) -> Complex[Tensor, "height width"]:
        """Return the object that explains some frames, after a few iterations from a flat start.

        The mean root of a few counts is below the root of their mean; amplitudes are corrected for
        that.

        Args:
            part: the frames.
            level: modulus of the flat start.
        """
        device = part.amplitude.device
        obj = torch.full((1, *self.canvas.shape), level, dtype=torch.complex64, device=device)
        before, background = obj, self.estimate.nuisances.background
        measured = Measured(part.amplitude[None], self.bad, background, unbiased=True)
        generator = torch.Generator().manual_seed(self.problem.seed)
        batch, damping = max(8, min(32, len(part.members) // 5)), _DAMPING
        corners, probe = (each[None] for each in self._placed(part.members))
        with group_updater(self.problem.forward, corners, measured, probe) as updater:
            for number in range(_ITERATIONS):
                damping *= _GROWTH if number >= _ITERATIONS - _AVERAGED else 1.0
                before, obj = obj, obj + _MOMENTUM * (obj - before)
                order = torch.randperm(len(part.members), generator=generator).to(device)
                for chosen in order.split(batch):
                    obj = updater.updated(obj, chosen, damping=damping)
        return obj[0]

    @torch.no_grad()
    def predicted(
        self, obj: Complex[Tensor, "height width"], members: Int[Tensor, " frame"]
    ) -> Float[Tensor, "frame row col"]:
        """Return the expected photons per detector pixel of some frames.

        Args:
            obj: on the canvas of these frames.
            members: which frames of the scan.
        """
        placed = self._placed(members)
        patches = cut_patches(obj, placed.corners, self.size)
        found = self.problem.forward.intensity(patches, placed.probe)
        return self.estimate.nuisances.with_background(found)

    def known_share(
        self, known: Bool[Tensor, "height width"], members: Int[Tensor, " frame"]
    ) -> Float[Tensor, " frame"]:
        """Return the share of the illumination of each frame that falls on known pixels.

        Args:
            known: on the canvas of these frames.
            members: which frames of the scan.
        """
        placed = self._placed(members)
        light = probe_intensity(placed.probe)
        there = cut_patches(known.to(light.dtype), placed.corners, self.size)
        return (light * there).sum(dim=(-2, -1)) / light.sum(dim=(-2, -1))

    def _placed(self, members: Int[Tensor, " frame"]) -> _Placed:
        nuisances = self.estimate.nuisances
        corners, fractions = window_corners(nuisances.positions[members], self.size)
        probe = nuisances.probes(fractions, members)
        return _Placed(corners - self.origin, probe)
