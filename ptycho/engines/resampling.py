"""How far a reconstruction may be trusted, from reconstructions of the same scan drawn again.

Way of the data: object -> [scans drawn again -> objects] -> uncertainty -> report.
Two questions, two ways to draw. Would these frames, counted again, have led to the same object, and
does the reconstruction find an object that it is shown? The frames that the object itself predicts
are counted anew, and reconstructed: what comes out differs from the object as that differs from the
truth. Do the frames agree among themselves? Two halves of the positions are reconstructed apart.
Knows objects and scans; nothing of how they are reconstructed.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float
from scipy import ndimage

from ptycho.engines.nuisances import Nuisances
from ptycho.engines.residuals import expected_frames
from ptycho.metrics import (
    RingCorrelation,
    align,
    fourier_ring_correlation,
    inner_rectangle,
)
from ptycho.physics.patches import Canvas
from ptycho.scan.dataset import GroupDataset
from ptycho.scan.raw_data import RawData
from ptycho.simulation.noise import count_photons, smallest_counts

CALIBRATION = 1.4
"""Error of an object over the distance of its resampled ones, where the frames are explained as
well as those drawn again: these have lost already what the reconstruction cannot show, fine detail
above all, so they lose less. Fitted once, to simulated scans of one object, and tested on others;
see docs/benchmarks/trust.md."""

UNKNOWN_PHASE = np.pi / np.sqrt(3)
"""Standard deviation of a phase of which nothing is known: uniform over the circle."""

_FIRST_RING = 3
"""Of those whose correlation is believed; 0 is the mean."""

_POOLED = 2.0
"""Pixels (standard deviation) over which squares are averaged: some samples alone would leave each
pixel's spread uncertain by a quarter, and errors are no finer than what is resolved."""


class Uncertainty(NamedTuple):
    """What an object is off by, pixel for pixel, as a standard deviation."""

    amplitude_std: Float[np.ndarray, "row col"]
    """Of the modulus of the transmission; NaN where the object is not known."""

    phase_std: Float[np.ndarray, "row col"]
    """Of its phase, radians; NaN where the object is not known."""


class HalfData(NamedTuple):
    """What two reconstructions from disjoint halves of the positions agree on."""

    rings: RingCorrelation
    """Fourier ring correlation of the two, inside the largest rectangle that both know."""

    amplitude_std: float
    """Spread of the amplitude of the whole scan's object, root mean square over the pixels."""

    phase_std: float
    """The same of the phase, radians."""

    def crossing(self, threshold: float | Float[np.ndarray, " ring"]) -> float:
        """Return where the correlation falls below a threshold, cycles per pixel.

        The first rings do not count: they hold a few pixels, and the ramp taken out speaks there.

        Args:
            threshold: one number, or one for each ring.
        """
        settled = self.rings.correlation.copy()
        settled[:_FIRST_RING] = 1.0
        return replace(self.rings, correlation=settled).crossing(threshold)


def count_again(
    obj: Complex[np.ndarray, "height width"],
    canvas: Canvas,
    probe: Complex[np.ndarray, "mode row col"],
    dataset: GroupDataset,
    beside: Nuisances,
    *,
    batch_size: int,
    rng: np.random.Generator,
) -> RawData:
    """Return the scan as it would have been counted if the object were the true one.

    Args:
        obj: complex transmission.
        canvas: where it lies; holds the windows of all frames.
        probe: modes, sqrt(photons) per object pixel.
        dataset: the frames to count again, as groups of one.
        beside: positions, beam and background that go with the object.
        batch_size: frames at a time.
        rng: of the counts.

    Returns:
        A scan of these frames, in photons, where the original says they were taken. All of its
        frames are held in memory.

    Source:
        Parametric bootstrap: Efron & Tibshirani, An Introduction to the Bootstrap (1993), 6.5.
    """
    raw, members = dataset.raw, dataset.groups.ravel()
    sample, modes = (torch.from_numpy(part.astype(np.complex64)) for part in (obj, probe))
    parts = []
    with torch.inference_mode():
        for batch in dataset.batches(batch_size):
            expected = expected_frames(sample, canvas, modes, batch, beside)
            parts.append(count_photons(expected.numpy(), rng=rng))
    brightest = max(int(part.max(initial=0)) for part in parts)
    frames = np.concatenate(parts, dtype=smallest_counts(brightest))
    return _in_photons(raw.subset(members), frames)


def same_gauge(
    obj: Complex[np.ndarray, "row col"],
    reference: Complex[np.ndarray, "row col"],
    mask: Bool[np.ndarray, "row col"],
    *,
    shift: bool,
) -> Complex[np.ndarray, "row col"]:
    """Return an object with the freedoms of a reconstruction as another one has them.

    Global phase, phase ramp and scale go, as in every comparison of this package: a probe that is
    told is seldom quite right, and then they are free even where it is not refined.

    Args:
        obj: another reconstruction of the same scan.
        reference: the object it is compared with, on the same pixels.
        mask: where both are known.
        shift: whether a shift is free too, as with a probe or positions that are refined; some
            pixels along the rim are lost by it.

    Returns:
        It, NaN where it cannot be compared.

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
    calibration: float = CALIBRATION,
) -> Uncertainty:
    """Return what an object is off by, from reconstructions of the frames it predicts.

        std^2 = calibration^2 max(1, Q) mean over samples of (sample - object)^2

    The distance from the object, not from the samples' mean: what all samples get wrong alike, a
    resolution lost or a coarse phase not settled, belongs to it. Q is how much worse the object
    explains the measured frames than the samples theirs: what the samples know nothing of, a wrong
    probe or position or detail lost, shows there. Squares are averaged over samples and over
    `_POOLED` pixels.

    Args:
        obj: what the frames of the samples were predicted from.
        samples: in its gauge; NaN where unknown.
        misfit_ratio: Q, mean residual of the measured frames over that of those drawn again.
        calibration: from the samples' distance to the truth's.

    Source:
        The factor sqrt(Q) is Birge's ratio: Birge, Phys. Rev. 40, 207 (1932).
    """
    stack = np.stack(samples)
    known = np.isfinite(stack).all(axis=0)
    stack, main = np.where(known, stack, 1), np.where(known, obj, 1)
    amplitude = np.square(np.abs(stack) - np.abs(main)).mean(axis=0)
    phase = np.square(np.angle(stack * main.conj())).mean(axis=0)
    factor = calibration * np.sqrt(max(1.0, misfit_ratio))
    amplitude_std, phase_std = (
        np.where(known, factor * np.sqrt(_pooled(squares, known)), np.nan).astype(np.float32)
        for squares in (amplitude, phase)
    )
    return Uncertainty(amplitude_std, np.minimum(phase_std, np.float32(UNKNOWN_PHASE)))


def half_data(
    first: Complex[np.ndarray, "row col"],
    second: Complex[np.ndarray, "row col"],
    mask: Bool[np.ndarray, "row col"],
    *,
    shift: bool,
) -> HalfData:
    """Compare the objects of two disjoint halves of a scan.

    What n frames leave uncertain has variance s^2 / n; so half of them 2 s^2 / n, the difference
    of two disjoint halves 4 s^2 / n, and the whole scan's object a quarter of that:

        std = sqrt(mean (first - second)^2) / 2

    Where half of the positions is too sparse for a reconstruction it is more than that.

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


def _in_photons(raw: RawData, frames: np.ndarray) -> RawData:
    """Return a scan with other frames, counted ones."""
    return replace(
        raw, frames=frames, measurement="counts", photons_per_unit=1.0,
        background=raw.background_intensity, patches=None, path=None,
    )  # fmt: skip


def _pooled(squares: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Average over the known pixels around each, Gaussian weights."""
    weight = ndimage.gaussian_filter(known.astype(np.float64), _POOLED)
    total = ndimage.gaussian_filter(np.where(known, squares, 0.0), _POOLED)
    return np.divide(total, weight, out=np.zeros_like(total), where=known)


def _root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
