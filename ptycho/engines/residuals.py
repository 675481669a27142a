"""How well an object explains frames: residuals, deviances and their excess over counting noise.

Data flow: object, frames -> [numbers per frame] -> report. Computed on the device of the problem.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ptycho.engines.problem import Estimate, Problem
from ptycho.physics.losses import DARK, amplitude_loss
from ptycho.physics.patches import cut_patches
from ptycho.progress import Track, untracked
from ptycho.spread import spread

_LEAST_VARIATION = 1e-6  # of the photons; below, all frames are the same
_PIXELS_AT_ONCE = 2**20
"""Pixels of detector waves held at a time: about 100 MB."""


@torch.no_grad()
def expected_frames(
    problem: Problem, estimate: Estimate, members: Int[Tensor, " frame"]
) -> Float[Tensor, "frame row col"]:
    """Return the expected photons per detector pixel of some frames, background included.

    Args:
        problem: its canvas and forward model.
        estimate: on the device of the problem.
        members: which frames of the scan.
    """
    nuisances = estimate.nuisances
    size = nuisances.probe.shape[-1]
    unread = nuisances.probe.real.new_zeros(len(members), size, size)
    placed = problem.placed(members, unread, nuisances)
    patches = cut_patches(estimate.obj, placed.corners, size)
    probe = nuisances.probes(placed.fractions, members)
    return nuisances.with_background(problem.forward.intensity(patches, probe))


class Explained(NamedTuple):
    """Detector-space numbers, frame by frame."""

    frames: Int[np.ndarray, " frame"]
    """Which frames of the scan."""

    residuals: Float[np.ndarray, " frame"]
    """sum (sqrt I - sqrt n)^2 / sum n; NaN for a frame without photons."""

    deviances: Float[np.ndarray, " frame"]
    """Poisson deviance per pixel; about 1 when only counting noise of many photons is left."""


def explain(problem: Problem, estimate: Estimate, track: Track = untracked) -> Explained:
    """Return how well an estimate explains each frame.

    Args:
        problem: the frames.
        estimate: on any device.
        track: wraps the batches, given their number, to show progress.
    """
    found = (
        _per_frame(problem, estimate, _residual, track),
        _per_frame(problem, estimate, _deviance, track),
    )
    return Explained(problem.members, *(values.cpu().numpy() for values in found))


def frame_residuals(
    problem: Problem, estimate: Estimate, track: Track = untracked
) -> Float[Tensor, " frame"]:
    """Return the relative misfit of each frame, on the CPU.

        residual_i = sum (sqrt I_i - sqrt n_i)^2 / sum n_i over the good pixels, NaN for a frame
        without photons

    Args:
        problem: the frames.
        estimate: on any device.
        track: wraps the batches, given their number, to show progress.
    """
    return _per_frame(problem, estimate, _residual, track).cpu()


def frame_deviances(
    problem: Problem, estimate: Estimate, track: Track = untracked
) -> Float[Tensor, " frame"]:
    """Return the Poisson deviance per pixel of each frame, on the CPU.

        deviance_i = 2 sum (I - n + n ln(n / I)) / number of pixels, over the good ones

    Counting noise alone leaves about 1 where photons are many, less where they are few; NaN stands
    for a frame without photons.

    Args:
        problem: the frames.
        estimate: on any device.
        track: wraps the batches, given their number, to show progress.

    Source:
        McCullagh & Nelder, Generalized Linear Models, 2nd ed. (1989), section 2.3.
    """
    return _per_frame(problem, estimate, _deviance, track).cpu()


class Unexplained(NamedTuple):
    """What an object does not explain beyond counting noise; see `unexplained_intensity`."""

    of_all: float
    """Share of all photons, 0 or more."""

    of_variation: float
    """Share of what varies from frame to frame, 0 or more; NaN where all frames are the same. Above
    1, a mean frame would explain the frames better than the object does."""


@torch.no_grad()
def unexplained_intensity(problem: Problem, estimate: Estimate, frames: int = 128) -> Unexplained:
    """Return the share of the intensity that an object does not explain, beyond counting noise.

        misfit = sum (sqrt I - sqrt n)^2 - noise,   variation = sum (sqrt n - mean sqrt n)^2
        of_all = misfit / sum n,                    of_variation = misfit / variation

    over frames and pixels, the mean over frames. Most of a frame is the same at every position:
    with exchanged axes 1 % of all photons is unexplained, and 60 % of the variation. Counting noise
    is part of the variation, so that few photons raise no false alarm.

    Args:
        problem: the frames.
        estimate: on any device.
        frames: number of frames to use, spread evenly over the scan.
    """
    n_frames = len(problem.members)
    chosen = spread(n_frames, frames)
    members, raw = problem.members[chosen], problem.frames.raw
    amplitude = torch.from_numpy(raw.amplitude(members)).to(problem.device)
    placed = torch.from_numpy(members.astype(np.int64)).to(problem.device)
    expected = expected_frames(problem, estimate.to(problem.device), placed)
    good = _good(problem)
    noise = amplitude_loss.noise_floor(expected, good)
    of_all = float(amplitude_loss(expected, amplitude, good)) - noise
    used = amplitude if good is None else amplitude * good
    varies = (used - used.mean(dim=0)).square().sum() / used.square().sum().clamp_min(DARK)
    known = len(chosen) > 1 and float(varies) > _LEAST_VARIATION
    return Unexplained(max(of_all, 0.0), max(of_all / float(varies), 0.0) if known else math.nan)


Measure = Callable[[Tensor, Tensor, Tensor | None], Tensor]


@torch.no_grad()
def _per_frame(
    problem: Problem, estimate: Estimate, measure: Measure, track: Track
) -> Float[Tensor, " frame"]:
    """Return a number for each frame, NaN where it holds no photon."""
    estimate, good = estimate.to(problem.device), _good(problem)
    size = max(1, _PIXELS_AT_ONCE // estimate.nuisances.probe.numel())
    n_frames, first = len(problem.members), 0
    # Results kept apart would lie between the arrays of their batches, which could not be reused.
    found = torch.empty(n_frames, device=problem.device)
    for members, amplitude in track(problem.batches(size), -(-n_frames // size)):
        expected = expected_frames(problem, estimate, members)
        values = measure(expected, amplitude, good)
        counted = amplitude.square().sum(dim=(-2, -1))
        found[first : first + len(members)] = torch.where(counted > 0, values, torch.nan)
        first += len(members)
    return found


def _good(problem: Problem) -> Tensor | None:
    mask = problem.frames.raw.mask
    return None if mask is None else torch.from_numpy(mask).to(problem.device)


def _residual(expected: Tensor, amplitude: Tensor, good: Tensor | None) -> Tensor:
    wrong = (expected.sqrt() - amplitude).square()
    wrong = wrong if good is None else wrong * good
    return wrong.sum(dim=(-2, -1)) / amplitude.square().sum(dim=(-2, -1))


def _deviance(expected: Tensor, amplitude: Tensor, good: Tensor | None) -> Tensor:
    expected, counted = expected.clamp_min(DARK), amplitude.square()
    each = expected - counted + torch.xlogy(counted, counted / expected)
    used = torch.ones_like(each[0]) if good is None else good.to(each.dtype)
    return 2 * (each * used).sum(dim=(-2, -1)) / used.sum()
