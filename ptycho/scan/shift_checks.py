"""Single frames whose pattern is displaced on the detector against the frames around them.

Data flow: file -> RawData -> sample -> [findings].
A displaced pattern fits the patterns around it better once it is moved back. What a sample does
looks alike from a distance, as a wedge refracts the beam, but lasts over several positions.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from scipy.spatial import cKDTree

from ptycho.scan.findings import Finding, skip
from ptycho.scan.sample import Sample
from ptycho.spread import spread

_FEWEST = 32  # frames, below which there is no usual displacement
_IN_PLACE = 8
_IN_TIME = 2  # before, and as many after
_LEAST = 1.6  # px
_SPREADS = 6.0
_RECOVERED = 0.7  # of the correlation that is missing
_MOST_TRIED = 64
_COMPARED = 48  # other frames, from which the usual displacement is known


class _Fits(NamedTuple):
    """How frames fit the mean of those around them."""

    moved: Float[np.ndarray, "frame 2"]
    """Displacement (row, col) with which each fits best, px."""

    here: Float[np.ndarray, " frame"]
    """Correlation without it."""

    there: Float[np.ndarray, " frame"]
    """Correlation with it."""


def shifted_frames(sample: Sample) -> Iterator[Finding]:
    """Frames displaced by two pixels or more against those around them."""
    photons, numbers = sample.photons, sample.counted
    if len(numbers) < _FEWEST:
        return
    lit = photons > 0.2 * np.median(photons)
    near = _around(sample)
    away = sample.centres - np.median(sample.centres[near], axis=1)
    distance = np.where(lit, np.hypot(*away.T), 0)
    # Centres of mass are known of all frames, at the cost of a sum; few are worth a correlation.
    doubted = distance > max(1.0, 3.0 * float(np.median(distance[lit])) if lit.any() else 1.0)
    tried = np.flatnonzero(doubted)
    tried = np.sort(tried[np.argsort(-distance[tried], kind="stable")][:_MOST_TRIED])
    usual = np.flatnonzero(lit & ~doubted)
    if not len(tried) or len(usual) < _FEWEST // 2:
        return
    usual = usual[spread(len(usual), _COMPARED)]
    reference = ~doubted & lit
    found, normal = (_fits(sample, chosen, near, reference) for chosen in (tried, usual))
    moved, usually = np.hypot(*found.moved.T), np.hypot(*normal.moved.T)
    # Displaced it fits as no other frame does; moved back, like any.
    shifted = (
        (moved > max(_LEAST, _limit(usually), 1.5 * float(usually.max())))
        & (found.here < -_limit(-normal.here))
        & (found.there - found.here > _RECOVERED * (np.median(normal.here) - found.here))
        & (np.hypot(*(found.moved - away[tried]).T) < np.maximum(1.0, 0.5 * moved))
    )
    if shifted.any():
        which = numbers[tried[shifted]]
        yield Finding(
            name="shifted_frames",
            severity="warning",
            text=f"{len(which)} frames are displaced on the detector by {moved[shifted].min():.1f} "
            f"to {moved[shifted].max():.1f} px against those around them",
            remedy=skip(which),
            frames=tuple(which.tolist()),
            reason="shifted",
        )


def _limit(values: Float[np.ndarray, " frame"]) -> float:
    """Return what a usual value does not exceed: some spreads above the median."""
    middle = np.median(values)
    return float(middle + _SPREADS * 1.4826 * np.median(np.abs(values - middle)))


def _around(sample: Sample) -> Int[np.ndarray, "counted near"]:
    """Return the frames nearest to each in place and time, as indices of the counted ones."""
    places, n = sample.raw.positions[sample.counted], len(sample.counted)
    _, in_place = cKDTree(places).query(places, k=_IN_PLACE + 1)
    steps = [step for step in range(-_IN_TIME, _IN_TIME + 1) if step]
    in_time = np.arange(n)[:, None] + steps
    in_time = np.where((in_time < 0) | (in_time >= n), np.arange(n)[:, None] - steps, in_time)
    near: np.ndarray = np.concatenate([in_place[:, 1:], in_time], axis=1)
    return near


def _fits(
    sample: Sample,
    chosen: Int[np.ndarray, " chosen"],
    near: Int[np.ndarray, "counted near"],
    reference: Bool[np.ndarray, " counted"],
) -> _Fits:
    """Return how some frames fit the mean of those around them, by their cross-correlation.

    Args:
        sample: of the scan.
        chosen: the frames, as indices of the counted ones.
        near: the frames around each.
        reference: frames that may be compared with.
    """
    moved, here, there = np.zeros((len(chosen), 2)), np.zeros(len(chosen)), np.zeros(len(chosen))
    for i, index in enumerate(chosen):
        others = near[index][reference[near[index]]]
        if len(others) < _IN_TIME:
            continue
        frames = sample.raw.amplitude(sample.counted[[index, *others]])
        mean = frames[1:].mean(axis=0)
        # A flash, not yet excluded, would fit nowhere.
        frame = np.minimum(frames[0], 2 * frames[1:].max())
        moved[i], here[i], there[i] = _displacement(frame, mean, sample.valid)
    return _Fits(moved, here, there)


def _levelled(
    frame: Float32[np.ndarray, "row col"], valid: Bool[np.ndarray, "row col"]
) -> Float[np.ndarray, "row col"]:
    """Return a frame of mean 0 and norm 1, 0 on bad pixels."""
    level = np.where(valid, frame - frame[valid].mean(), 0)
    return level / max(float(np.linalg.norm(level)), 1e-30)


def _displacement(
    frame: Float32[np.ndarray, "row col"],
    mean: Float32[np.ndarray, "row col"],
    valid: Bool[np.ndarray, "row col"],
) -> tuple[Float[np.ndarray, " 2"], float, float]:
    """Return the shift (row, col) of a frame against another one, and both correlations."""
    shape, one, other = frame.shape, _levelled(frame, valid), _levelled(mean, valid)
    product = np.fft.irfft2(np.fft.rfft2(one) * np.fft.rfft2(other).conj(), s=shape)
    row, col = (int(i) for i in np.unravel_index(product.argmax(), shape))
    shift = np.array([
        _vertex(product[np.arange(row - 1, row + 2) % shape[0], col]) + row,
        _vertex(product[row, np.arange(col - 1, col + 2) % shape[1]]) + col,
    ])  # fmt: skip
    shift = (shift + np.array(shape) / 2) % shape - np.array(shape) / 2
    if valid.all():
        return shift, float(product[0, 0]), float(product.max())
    # Bad pixels stay where they are and hold the maximum back; whole pixels are tried around it.
    around = np.indices((5, 5)).reshape(2, -1).T - 2
    tried = list(np.rint(shift).astype(int) + around)
    fits = [_correlation(frame, mean, valid, step) for step in tried]
    best = int(np.argmax(fits))
    return tried[best].astype(float), _correlation(frame, mean, valid, np.zeros(2, int)), fits[best]


def _correlation(
    frame: Float32[np.ndarray, "row col"],
    mean: Float32[np.ndarray, "row col"],
    valid: Bool[np.ndarray, "row col"],
    shift: Int[np.ndarray, " 2"],
) -> float:
    """Return the correlation of a frame, moved back, with another one on their common pixels."""
    back = tuple(int(-step) for step in shift)
    common = valid & np.roll(valid, back, axis=(0, 1))
    if not common.any():
        return 0.0
    return float(
        (_levelled(np.roll(frame, back, axis=(0, 1)), common) * _levelled(mean, common)).sum()
    )


def _vertex(values: Float[np.ndarray, " 3"]) -> float:
    """Return the place of the maximum of a parabola through three values, from the middle one."""
    bend = values[0] - 2 * values[1] + values[2]
    return float(0.5 * (values[0] - values[2]) / bend) if bend < 0 else 0.0
