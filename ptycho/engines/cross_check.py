"""Whether frames predict each other: two halves of a compact part of a scan, reconstructed apart.

Data flow: object, frames -> [two halves -> objects -> predicted frames] -> verdict.
A low residual does not prove an object: oversampled frames that overlap little are explained by
almost any positions. Frames that a reconstruction has not seen, and a second reconstruction from
other frames, are not. What counting noise and sparse halves cost is measured on frames counted
again from the object found: for them it is the truth.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor

from ptycho.engines.halves import Part, Reconstructor, counted_again, read_part
from ptycho.engines.noise_level import noise_factor
from ptycho.engines.problem import Estimate, Problem
from ptycho.engines.residuals import expected_frames
from ptycho.grouping import balanced_halves
from ptycho.metrics import inner_rectangle
from ptycho.physics.counting import root_bias
from ptycho.physics.losses import amplitude_loss
from ptycho.physics.probe import probe_fwhm

FRAMES = 96
"""Frames of the compact part: half a second on one CPU core at 64 x 64."""

_KNOWN_SHARE = 0.9
"""Share of the illumination of a frame that has to fall where the other half knows the object."""
_COARSE = 0.0625
"""Highest spatial frequency at which objects are compared, cycles per pixel."""
_LEAST_SIDE = 8
_LEAST_SIGNAL = 0.1  # of what varies, where nearly all of it is counting noise
_CLEAR = 0.02
"""Share of the variation, beyond two standard errors, above which other scales are tried."""
_AGREE = 0.9
"""Correlation with the object found up to which all frames of the part are asked as well."""
_SCALES = (0.92, 1.08)
_LEAST_VARIATION = 1e-6  # of the photons; below, all frames are the same

Halves = tuple[Int[np.ndarray, " first"], Int[np.ndarray, " second"]]


class CrossCheck(NamedTuple):
    """How well two halves of a part of a scan agree. NaN where it is unknown."""

    unpredicted: float
    """Share of what varies from frame to frame, beyond counting noise, that the other half does not
    predict."""

    unpredicted_if_right: float
    """The same with frames counted again from the object found."""

    error: float
    """Standard error of the difference of the two."""

    unpredicted_if_scaled: float
    """`unpredicted` relative to itself with positions scaled by 0.92 or 1.08, the smaller one:
    above 1 the frames do care where they are. NaN where the difference is within its error."""

    correlation: float
    """Fourier correlation of the objects of the halves, coarse structures."""

    correlation_if_right: float
    """The same with frames counted again from the object found."""

    object_correlation: float
    """Fourier correlation of the objects of the halves with the object found: the smaller one."""

    part_correlation: float
    """Fourier correlation of the object of all frames of the part with the object found. NaN where
    the halves already agree well with each other and with it."""

    unexplained: float
    """Share of what varies that the object found leaves unexplained in the frames it was made from,
    with the least that counting noise leaves to a fit."""

    n_predicted: int
    """Frames predicted by the other half."""

    @property
    def excess(self) -> float:
        """Share of what varies that is not predicted, by more than noise and sparse halves do."""
        return self.unpredicted - self.unpredicted_if_right


class _Predicted(NamedTuple):
    objects: tuple[Complex[Tensor, "height width"], Complex[Tensor, "height width"]]
    squares: Float[Tensor, " predicted"]
    """sum (sqrt I - sqrt n)^2 of each predicted frame."""
    noise: float
    """Their expected sum by counting noise alone."""

    @property
    def misfit(self) -> float:
        """Mean over the frames of what is beyond counting noise, photons."""
        return (float(self.squares.sum()) - self.noise) / max(len(self.squares), 1)


@torch.no_grad()
def cross_check(
    problem: Problem, estimate: Estimate, *, rng: np.random.Generator, frames: int = FRAMES
) -> CrossCheck:
    """Return how well two halves of a compact part of a scan agree.

    Shares are of what varies beyond counting noise, but of at least a tenth of what varies.

    Args:
        problem: the frames.
        estimate: found from them; its probe, positions, intensity and background are kept.
        rng: of the halves and of the counts.
        frames: of the compact part.
    """
    estimate = estimate.to(problem.device)
    part = read_part(problem, estimate, frames)
    part, estimate = _as_poisson(problem, estimate, part)
    again = counted_again(problem, estimate, part, rng)
    positions = estimate.nuisances.positions[part.members].cpu().double().numpy()
    check = _Check(problem, estimate, balanced_halves(positions, rng), part)
    real, null = check.predicted(part), check.predicted(again)
    n = len(real.squares)
    varies = _variation(part, check.good) / len(part.members)
    signal = max(varies - real.noise / n, _LEAST_SIGNAL * varies) if n else math.nan
    error = float((real.squares - null.squares).std()) / n**0.5 / signal if n > 1 else math.nan
    unpredicted, if_right = (p.misfit / signal for p in (real, null))
    scaled = math.nan
    if unpredicted - if_right - 2 * error > _CLEAR:
        others = (_scaled(estimate, part, by) for by in _SCALES)
        misfits = (_Check(problem, e, check.halves, part).predicted(part).misfit for e in others)
        scaled = min(misfits) / real.misfit
    halves, with_object = check.of_halves(real), check.with_object(real)
    whole = math.nan if min(halves, with_object) >= _AGREE else check.of_part(part)
    return CrossCheck(
        unpredicted=unpredicted,
        unpredicted_if_right=if_right,
        error=error,
        unpredicted_if_scaled=scaled,
        correlation=halves,
        correlation_if_right=check.of_halves(null),
        object_correlation=with_object,
        part_correlation=whole,
        unexplained=_unexplained(problem, estimate, part, check.good)
        / len(part.members) / (signal if n else varies),
        n_predicted=n,
    )  # fmt: skip


def _as_poisson(problem: Problem, estimate: Estimate, part: Part) -> tuple[Part, Estimate]:
    """Return frames and estimate with fewer photons, so that counting explains the noise."""
    nuisances, mask = estimate.nuisances, problem.frames.raw.mask
    good = None if mask is None else torch.from_numpy(mask).to(problem.device)
    placed, diameter = nuisances.positions[part.members], probe_fwhm(nuisances.probe.cpu())
    root = noise_factor(part.amplitude, placed, diameter, good) ** 0.5
    background = None if nuisances.background is None else nuisances.background / root**2
    fewer = nuisances._replace(probe=nuisances.probe / root, background=background)
    return part._replace(amplitude=part.amplitude / root), estimate._replace(nuisances=fewer)


class _Check:
    """Two halves of a part of a scan, and which of their frames the other half can predict."""

    def __init__(self, problem: Problem, estimate: Estimate, halves: Halves, part: Part) -> None:
        self.halves = halves
        self.solver = Reconstructor(problem, estimate, part.members)
        self.good = None if self.solver.bad is None else ~self.solver.bad
        self.known = tuple(self.solver.known(part.subset(half).members) for half in halves)
        self.object = estimate.obj
        self.level = float(estimate.obj.abs().square().mean().sqrt())
        self.targets = []
        """For each half, the frames of the other one that fall where it knows the object."""
        for there, other in zip(self.known, halves[::-1], strict=True):
            share = self.solver.known_share(there, part.subset(other).members).cpu().numpy()
            self.targets.append(other[share >= _KNOWN_SHARE])

    def predicted(self, part: Part) -> _Predicted:
        """Return the objects of both halves, and how well each predicts frames of the other."""
        first, second = self.halves
        objects = (
            self.solver.solve(part.subset(first), self.level),
            self.solver.solve(part.subset(second), self.level),
        )
        squares, noise = [part.amplitude.new_zeros(0)], 0.0
        for obj, target in zip(objects, self.targets, strict=True):
            if not len(target):
                continue
            frames = part.subset(target)
            expected = self.solver.predicted(obj, frames.members)
            off = (expected.sqrt() - frames.amplitude).square()
            squares.append((off if self.good is None else off * self.good).sum(dim=(-2, -1)))
            used = expected if self.good is None else expected * self.good
            noise += amplitude_loss.noise_floor(expected, self.good) * float(used.sum())
        return _Predicted(objects, torch.cat(squares), noise)

    def of_halves(self, found: _Predicted) -> float:
        """Return the correlation of the objects of both halves."""
        first, second = found.objects
        return coarse_correlation(first, second, self.known[0] & self.known[1])

    def with_object(self, found: _Predicted) -> float:
        """Return the smaller correlation of both objects with the one of the whole scan."""
        whole, pairs = self.solver.cut(self.object), zip(found.objects, self.known, strict=True)
        return min(coarse_correlation(obj, whole, known) for obj, known in pairs)

    def of_part(self, part: Part) -> float:
        """Return the correlation of the object of all frames with the one of the whole scan."""
        found, whole = self.solver.solve(part, self.level), self.solver.cut(self.object)
        return coarse_correlation(found, whole, self.solver.known(part.members))


def _scaled(estimate: Estimate, part: Part, factor: float) -> Estimate:
    """Return an estimate with its positions scaled about the middle of a part."""
    positions = estimate.nuisances.positions
    middle = positions[part.members].mean(dim=0)
    moved = middle + factor * (positions - middle)
    return estimate._replace(nuisances=estimate.nuisances._replace(positions=moved))


def coarse_correlation(
    first: Complex[Tensor, "row col"],
    second: Complex[Tensor, "row col"],
    known: Bool[Tensor, "row col"],
) -> float:
    """Return the Fourier correlation of two objects over coarse structures, mean excluded.

        |sum F G*| / sqrt(sum |F|^2 sum |G|^2),   frequencies up to 1/16 cycle per pixel

    Args:
        first: an object.
        second: another one; a global phase and scale between them do not matter.
        known: where both are known.

    Returns:
        0 to 1; NaN if there are too few pixels or one of them is flat.
    """
    mask = known.cpu().numpy()
    box = inner_rectangle(mask)
    mask = mask[box]
    if min(mask.shape, default=0) < _LEAST_SIDE:
        return math.nan
    window = np.outer(*(np.hanning(side + 2)[1:-1] for side in mask.shape))
    spectra = []
    for obj in (first.cpu().numpy()[box], second.cpu().numpy()[box]):
        filled = np.where(mask, obj - obj[mask].mean(), 0)
        spectra.append(np.fft.fft2(filled * window))
    radius = np.hypot(*np.meshgrid(*(np.fft.fftfreq(side) for side in mask.shape), indexing="ij"))
    one, other = (spectrum[(radius > 0) & (radius <= _COARSE)] for spectrum in spectra)
    power = np.linalg.norm(one) * np.linalg.norm(other)
    return float(abs(np.vdot(one, other)) / power) if power > 0 else math.nan


def _variation(part: Part, good: Bool[Tensor, "row col"] | None) -> float:
    """Return sum (sqrt n - mean sqrt n)^2 over frames and pixels; NaN if all frames are equal."""
    used = part.amplitude if good is None else part.amplitude * good
    found = float((used - used.mean(dim=0)).square().sum())
    return found if found > _LEAST_VARIATION * float(used.square().sum()) else math.nan


def _unexplained(
    problem: Problem, estimate: Estimate, part: Part, good: Bool[Tensor, "row col"] | None
) -> float:
    """Return the misfit of the object found, beyond counting noise.

    Fitted roots tend to E[sqrt n], not to sqrt(E[n]); what noise leaves is then the variance of
    sqrt n: E[n] - E[sqrt n]^2.
    """
    root = expected_frames(problem, estimate, part.members).sqrt()
    wanted = torch.linspace(0, 40, 8001, dtype=root.dtype, device=root.device)
    reached = wanted - root_bias(wanted)
    right = torch.searchsorted(reached, root.contiguous()).clamp(max=len(wanted) - 1)
    true = torch.where(root < 39, wanted[right], root + root_bias(root))
    noise = (true.square() - root.square()).clamp(0, 1)
    left = (root - part.amplitude).square() - noise
    return float((left if good is None else left * good).sum())
