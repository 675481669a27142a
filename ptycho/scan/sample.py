"""What the checks of a scan look at: some frames, the photons of many, their pixel statistics.

Data flow: file -> RawData -> [sample] -> findings.
Frames are read in blocks and reduced at once, so memory does not grow with the scan.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy.spatial import cKDTree

from ptycho.scan.flashes import FlashLimits, mended
from ptycho.scan.raw_data import RawData
from ptycho.spread import spread

_BYTES_OF_FRAMES = 64e6  # of the frames kept
_MOST_FRAMES_KEPT = 512
_VALUES_SUMMED = 4e8  # pixels read for the photons of each frame
_BLOCKS = 64  # of consecutive frames, where not all are read
_BYTES_AT_ONCE = 2**26  # of frames whose photons are counted
_FEWEST_FOR_FLASHES = 8
_SOME_COUNTS = 20


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """Numbers of a scan from which its faults can be seen."""

    raw: RawData
    """The scan."""

    valid: Bool[np.ndarray, "row col"]
    """True on valid pixels."""

    kept: Int[np.ndarray, " kept"]
    """Numbers of the frames in `intensity` and `stored`, ascending."""

    intensity: Float[np.ndarray, "kept row col"]
    """Photons per pixel of these frames."""

    stored: Shaped[np.ndarray, "kept row col"]
    """The same frames as stored, 0 on bad pixels."""

    counted: Int[np.ndarray, " counted"]
    """Numbers of the frames whose photons were counted; all of them unless the scan is large."""

    photons: Float[np.ndarray, " counted"]
    """Photons of each of these frames on valid pixels, without flashes."""

    centres: Float[np.ndarray, "counted 2"]
    """Centre of mass (row, col) of each of these frames."""

    flashes: Int[np.ndarray, "flash 3"]
    """(frame, row, col) of flashes in these frames; none where fewer than 8 frames are known."""

    repeated: Int[np.ndarray, " repeated"]
    """Numbers of frames that equal the frame before them, value for value."""

    mean: Float[np.ndarray, "row col"]
    """Mean frame of the kept ones."""

    low: Float[np.ndarray, "row col"]
    """Smallest value of each pixel over the kept frames."""

    high: Float[np.ndarray, "row col"]
    """Largest value of each pixel over the kept frames."""

    step: float
    """Median distance from a position to its nearest neighbour, object pixels."""

    @property
    def size(self) -> int:
        """N, pixels per side of a frame."""
        return self.raw.frame_size

    @property
    def complete(self) -> bool:
        """Whether every frame was counted."""
        return len(self.counted) == self.raw.n_frames


def sampled(raw: RawData, *, every: bool = False) -> Sample:
    """Return what the checks look at.

    Args:
        raw: the scan.
        every: whether all frames are counted, however many.

    Raises:
        DataError: If a frame holds negative or infinite values.
    """
    pixels = raw.frame_size**2
    n_kept = int(np.clip(_BYTES_OF_FRAMES / (4 * pixels), 16, _MOST_FRAMES_KEPT))
    kept = spread(raw.n_frames, n_kept)
    stored = raw.stored(kept)
    intensity = raw.intensity_of(stored)
    most = raw.n_frames if every else max(int(_VALUES_SUMMED / pixels), n_kept)
    counted = _blocks(raw.n_frames, most)
    valid = np.ones(intensity.shape[1:], bool) if raw.mask is None else np.asarray(raw.mask)
    limits = FlashLimits.of(intensity, valid, count_of(intensity, stored))
    read = _read(raw, counted, limits if len(kept) >= _FEWEST_FOR_FLASHES else None)
    return Sample(
        raw=raw,
        valid=valid,
        kept=kept,
        intensity=intensity,
        stored=stored,
        counted=counted,
        photons=read.photons,
        centres=read.centres,
        flashes=read.flashes,
        repeated=read.repeated,
        mean=intensity.mean(axis=0, dtype=np.float64),
        low=intensity.min(axis=0),
        high=intensity.max(axis=0),
        step=_step(raw),
    )


def _blocks(n: int, most: int) -> Int[np.ndarray, " chosen"]:
    """Return all n indices, or about `most` of them in blocks spread over all.

    Blocks, because a frame is compared with those before and after it, and because files are read
    faster in one piece.
    """
    if n <= most:
        return np.arange(n)
    length = max(1, most // _BLOCKS)
    starts = spread(n - length + 1, _BLOCKS)
    return np.unique(starts[:, None] + np.arange(length))


def count_of(
    intensity: Float[np.ndarray, "kept row col"], stored: Shaped[np.ndarray, "kept row col"]
) -> float:
    """Return the photons of one count: the smallest value of whole numbers, less of real ones."""
    least = float(intensity[intensity > 0].min(initial=np.inf))
    if stored.dtype.kind in "ui":
        return least
    return max(least, 1e-4 * float(intensity.mean(axis=0, dtype=np.float64).max()))


class _Read(NamedTuple):
    photons: Float[np.ndarray, " counted"]
    centres: Float[np.ndarray, "counted 2"]
    repeated: Int[np.ndarray, " repeated"]
    flashes: Int[np.ndarray, "flash 3"]


def _read(raw: RawData, counted: Int[np.ndarray, " counted"], limits: FlashLimits | None) -> _Read:
    """Return what the counted frames hold, in one pass over them.

    Args:
        raw: the scan.
        counted: numbers of the frames.
        limits: of flashes, which are neither counted as photons nor compared; None looks for none.
    """
    photons, centres, flashes, repeated = [], [], [np.empty((0, 3), int)], []
    last, before_sum = np.empty((0, 0), np.float32), -1.0
    at_once = max(1, _BYTES_AT_ONCE // (4 * raw.frame_size**2))
    least = 0.0 if limits is None else _SOME_COUNTS * limits.quantum
    size = raw.frame_size
    ones_rows_cols = np.stack([np.ones((size, size)), *np.indices((size, size))], axis=-1)
    weights = ones_rows_cols.reshape(-1, 3).astype(np.float32)
    for first in range(0, len(counted), at_once):
        chosen = counted[first : first + at_once]
        frames = raw.intensity(chosen)
        if limits is not None:
            found = limits.found_in(frames)
            frames = mended(frames, found, limits.valid)
            flashes.append(np.column_stack([chosen[found[:, 0]], found[:, 1:]]))
        moments = (frames.reshape(len(frames), -1) @ weights).astype(np.float64)
        sums = moments[:, 0]
        photons.append(sums)
        centres.append(moments[:, 1:] / np.maximum(sums, np.finfo(float).tiny)[:, None])
        for i in range(len(frames)):
            before = frames[i - 1] if i else last
            follows = first + i > 0 and counted[first + i - 1] == chosen[i] - 1
            # Frames of few photons may be equal by chance.
            same = follows and sums[i] > least and np.isclose(sums[i], before_sum, rtol=1e-4)
            if same and np.array_equal(frames[i], before):
                repeated.append(int(chosen[i]))
            before_sum = sums[i]
        last = frames[-1]
    return _Read(
        np.concatenate(photons), np.concatenate(centres), np.array(repeated, int),
        np.concatenate(flashes),
    )  # fmt: skip


def _step(raw: RawData) -> float:
    positions = raw.positions
    if len(positions) < 2:
        return 0.0
    distances, _ = cKDTree(positions).query(positions, k=2)
    moving = distances[:, 1][distances[:, 1] > 0]
    return float(np.median(moving)) if len(moving) else 0.0
