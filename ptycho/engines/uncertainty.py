"""Uncertainty of an object, from samples of its posterior and from two halves of the positions.

Data flow: object -> [other objects of the same frames] -> uncertainty -> report.
Two questions, two kinds of other objects. Samples of the posterior (`posterior_samples`) may as
well be the true object; their distance says how far an object is from it. Two disjoint halves of
the positions, reconstructed separately, show whether the frames agree with each other.
Knows objects; nothing of how they are found.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Complex, Float
from scipy import ndimage

from ptycho.metrics import (
    RingCorrelation,
    align,
    fourier_ring_correlation,
    inner_rectangle,
)

UNKNOWN_PHASE = np.pi / np.sqrt(3)
"""Standard deviation of an unknown phase: uniform over the circle."""

_FIRST_RING = 3
"""First Fourier ring used; ring 0 is the mean."""

_POOLED = 2.0
"""Pixels (standard deviation) over which squares are averaged: with a few samples alone the spread
of each pixel would be uncertain by a quarter, and errors are no finer than the resolution."""


class Uncertainty(NamedTuple):
    """Per-pixel standard deviation of an object."""

    amplitude_std: Float[np.ndarray, "row col"]
    """Of the modulus of the transmission; NaN where the object is not known."""

    phase_std: Float[np.ndarray, "row col"]
    """Of its phase, radians; NaN where the object is not known."""


class HalfData(NamedTuple):
    """Agreement of two reconstructions from disjoint halves of the positions."""

    rings: RingCorrelation
    """Fourier ring correlation of the two, inside the largest rectangle that both know."""

    amplitude_std: float
    """Spread of the amplitude of the whole scan's object, root mean square over the pixels."""

    phase_std: float
    """The same of the phase, radians."""

    def crossing(self, threshold: float | Float[np.ndarray, " ring"]) -> float:
        """Return where the correlation falls below a threshold, cycles per pixel.

        The first rings are ignored: they hold few pixels and are affected by the ramp removal.

        Args:
            threshold: one number, or one for each ring.
        """
        settled = self.rings.correlation.copy()
        settled[:_FIRST_RING] = 1.0
        return replace(self.rings, correlation=settled).crossing(threshold)


def same_gauge(
    obj: Complex[np.ndarray, "row col"],
    reference: Complex[np.ndarray, "row col"],
    mask: Bool[np.ndarray, "row col"],
    *,
    shift: bool,
) -> Complex[np.ndarray, "row col"]:
    """Return an object with global phase, ramp and scale matched to another one.

    They are ambiguities of a reconstruction even where the probe is not refined, as the probe of a
    file is seldom exact.

    Args:
        obj: another reconstruction of the same scan.
        reference: the object it is compared with, on the same pixels.
        mask: where both are known.
        shift: whether a shift is matched too, as with a refined probe or refined positions; some
            pixels along the rim are lost by it.

    Returns:
        The object, NaN where it cannot be compared.

    Raises:
        ValueError: If there is no pixel to compare.
    """
    aligned = align(np.where(mask, obj, 0), np.where(mask, reference, 0), mask, shift=shift)
    return np.where(aligned.mask, aligned.obj, np.nan).astype(np.complex64)


def uncertainty(
    obj: Complex[np.ndarray, "row col"],
    samples: Sequence[Complex[np.ndarray, "row col"]],
    *,
    misfit_ratio: float = 1.0,
) -> Uncertainty:
    """Return the per-pixel uncertainty of an object, from samples of the posterior.

        std^2 = max(1, Q) mean over samples of (sample - object)^2

    The distance is from the object, not from the mean of the samples: what the object has not
    reached of the most probable one is included. Q is the misfit of the measured frames relative to
    that of the samples: errors that the samples do not contain, as a wrong probe or position,
    appear there. Squares are averaged over samples and over `_POOLED` pixels.

    Args:
        obj: the object.
        samples: in its gauge; NaN where unknown.
        misfit_ratio: Q, see `posterior_samples.Samples`.

    Source:
        The factor sqrt(Q) is Birge's ratio: Birge, Phys. Rev. 40, 207 (1932).
    """
    stack = np.stack(samples)
    known = np.isfinite(stack).all(axis=0)
    stack, main = np.where(known, stack, 1), np.where(known, obj, 1)
    amplitude = np.square(np.abs(stack) - np.abs(main)).mean(axis=0)
    phase = np.square(np.angle(stack * main.conj())).mean(axis=0)
    factor = np.sqrt(max(1.0, misfit_ratio))
    amplitude_std, phase_std = (
        np.where(known, factor * np.sqrt(_pooled(squares, known)), np.nan).astype(np.float32)
        for squares in (amplitude, phase)
    )
    return Uncertainty(amplitude_std, np.minimum(phase_std, np.float32(UNKNOWN_PHASE)))


def widened(found: Uncertainty, halves: HalfData) -> tuple[Uncertainty, tuple[float, float]]:
    """Return an uncertainty at least as large as the spread between two halves, and the factors.

        factor = max(1, spread of the halves / root mean square of the standard deviation)

    Args:
        found: of the object of the whole scan.
        halves: comparison of the objects of two halves of its positions.
    """
    factors = []
    for std, spread in (
        (found.amplitude_std, halves.amplitude_std), (found.phase_std, halves.phase_std),
    ):  # fmt: skip
        known = std[np.isfinite(std)]
        stated = _root_mean_square(known) if known.size else 0.0
        factors.append(max(1.0, spread / stated) if stated > 0 else 1.0)
    amplitude, phase = (
        (std * np.float32(factor)).astype(np.float32)
        for std, factor in zip(found, factors, strict=True)
    )
    wide = Uncertainty(amplitude, np.minimum(phase, np.float32(UNKNOWN_PHASE)))
    return wide, (factors[0], factors[1])


def half_data(
    first: Complex[np.ndarray, "row col"],
    second: Complex[np.ndarray, "row col"],
    mask: Bool[np.ndarray, "row col"],
    *,
    shift: bool,
) -> HalfData:
    """Compare the objects of two disjoint halves of a scan.

    An object from n frames has variance s^2 / n, from half of them 2 s^2 / n; the difference of two
    disjoint halves has 4 s^2 / n, four times that of the whole scan's object:

        std = sqrt(mean (first - second)^2) / 2

    Where half of the positions is too sparse for a reconstruction this is an upper bound.

    Args:
        first: object of one half.
        second: of the other, on the same pixels.
        mask: where both are known.
        shift: as in `same_gauge`.

    Raises:
        ValueError: If there is no pixel to compare.
    """
    second = same_gauge(second, first, mask, shift=shift)
    known = np.isfinite(second)
    box = inner_rectangle(known)
    pair = [np.where(known, obj, obj[known].mean())[box] for obj in (first, second)]
    rings = fourier_ring_correlation(*pair)
    first, second = first[known], second[known]
    return HalfData(
        rings=rings,
        amplitude_std=_root_mean_square(np.abs(first) - np.abs(second)) / 2,
        phase_std=_root_mean_square(np.angle(first * second.conj())) / 2,
    )


def _pooled(squares: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Average over the known pixels around each, Gaussian weights."""
    weight = ndimage.gaussian_filter(known.astype(np.float64), _POOLED)
    total = ndimage.gaussian_filter(np.where(known, squares, 0.0), _POOLED)
    return np.divide(total, weight, out=np.zeros_like(total), where=known)


def _root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
