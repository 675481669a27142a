"""Values of single pixels in single frames that are no photons of the scan: cosmic rays, spikes.

Data flow: file -> RawData -> [flashes] -> frames as everything else reads them.
A flash is a row (frame, row, col). `RawData` replaces it wherever its frames are read, by the
median of its eight neighbours in the same frame; so no mask per frame is needed anywhere.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from ptycho.errors import DataError

_AROUND = np.array([(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if r or c])
_FEWEST_NEIGHBOURS = 3
_ABOVE_NEIGHBOURS = 10.0
_ABOVE_MEAN = 15.0
_ABOVE_USUAL = 6.0
_LEAST = 0.02  # of the brightest pixel of a usual frame
_SIGMAS = 12.0  # of counting, above the neighbours


@dataclass(frozen=True, kw_only=True, eq=False)
class FlashLimits:
    """What a value of a scan has to exceed to be a flash."""

    valid: Bool[np.ndarray, "row col"]
    """True on valid pixels."""

    prefilter: Float[np.ndarray, "row col"]
    """Smallest value that is looked at: far above the mean frame around the pixel, and above what
    it holds itself in the brightest quarter of the frames; photons."""

    least: float
    """Photons above which a single pixel matters."""

    quantum: float
    """Photons of one count."""

    @classmethod
    def of(
        cls,
        intensity: Float[np.ndarray, "kept row col"],
        valid: Bool[np.ndarray, "row col"],
        quantum: float,
    ) -> "FlashLimits":
        """Return the limits for a scan.

        Args:
            intensity: photons per pixel of frames spread over the scan.
            valid: True on valid pixels.
            quantum: photons of one count.
        """
        mean = intensity.mean(axis=0, dtype=np.float64)
        at = np.argwhere(np.ones((1, *mean.shape), bool))
        around = _median(_neighbours(mean[None], at, valid)).reshape(mean.shape)
        top = np.where(valid, intensity, 0).max(axis=(1, 2), initial=0)
        least = max(_LEAST * float(top.mean()), _SIGMAS * quantum)
        # A pixel that is bright in more than a quarter of the frames is no matter of single ones.
        usual = np.percentile(intensity, 75, axis=0)
        limit = np.fmax(_ABOVE_MEAN * around, _ABOVE_USUAL * usual) + least
        prefilter = np.where(valid & np.isfinite(around), limit, np.inf).astype(np.float32)
        return cls(valid=valid, prefilter=prefilter, least=least, quantum=quantum)

    def found_in(self, frames: Float[np.ndarray, "frame row col"]) -> Int[np.ndarray, "flash 3"]:
        """Return (frame, row, col) of the flashes in some frames.

        A flash exceeds the mean frame around it, and all its neighbours in its own frame: a peak of
        the diffraction pattern is as wide as the far field of the whole field of view, at least two
        pixels, so next to its top stands half of it.

        Args:
            frames: photons per pixel.
        """
        places = np.flatnonzero(frames > self.prefilter)
        at = np.stack(np.unravel_index(places, frames.shape), axis=1)
        near = _neighbours(frames, at, self.valid)
        enough = np.isfinite(near).sum(axis=1) >= _FEWEST_NEIGHBOURS
        top = np.where(np.isfinite(near), near, 0).max(axis=1)
        value = frames[tuple(at.T)]
        noise = np.sqrt(self.quantum * (top + self.quantum))
        far = (value > _ABOVE_NEIGHBOURS * top + self.least) & (value - top > _SIGMAS * noise)
        found: np.ndarray = at[far & enough]
        return found


def checked_flashes(
    where: str, values: Any, shape: tuple[int, ...]
) -> Int[np.ndarray, "flash 3"] | None:
    """Return flashes in the order of their frames, each once; None if there are none.

    Raises:
        DataError: If they are not (frame, row, col) of pixels of the scan.
    """
    if values is None or not len(values):
        return None
    flashes = np.asarray(values)
    if flashes.ndim != 2 or flashes.shape[1] != 3 or flashes.dtype.kind not in "iu":
        raise DataError(
            f"{where}: flashes of shape {flashes.shape} and type {flashes.dtype}; expected whole "
            "numbers (n, 3): frame, row, column"
        )
    if (flashes < 0).any() or (flashes >= np.array(shape)).any():
        raise DataError(f"{where}: flashes outside {shape} frames, rows, columns")
    return np.unique(flashes.astype(np.int64), axis=0)


def flashes_of(
    flashes: Int[np.ndarray, "flash 3"], numbers: Int[np.ndarray, " n"]
) -> Int[np.ndarray, "chosen 3"]:
    """Return the flashes of some frames, counted in their order.

    Args:
        flashes: of the whole scan, in the order of their frames.
        numbers: of these frames, in any order; a frame may occur twice.
    """
    first, last = (np.searchsorted(flashes[:, 0], numbers, side) for side in ("left", "right"))
    counts = last - first
    frame = np.repeat(np.arange(len(numbers)), counts)
    offset = np.arange(len(frame)) - np.repeat(np.cumsum(counts) - counts, counts)
    chosen: np.ndarray = flashes[np.repeat(first, counts) + offset].copy()
    chosen[:, 0] = frame
    return chosen


def mended(
    frames: Shaped[np.ndarray, "frame row col"],
    flashes: Int[np.ndarray, "flash 3"],
    valid: Bool[np.ndarray, "row col"] | None,
) -> Shaped[np.ndarray, "frame row col"]:
    """Return frames in which each flash is the median of its valid neighbours, rounded in counts.

    Neighbours that are flashes themselves do not count; 0 where there is no other.

    Args:
        frames: as stored; not changed.
        flashes: in these frames.
        valid: True on valid pixels; None if all are.
    """
    if not len(flashes):
        return frames
    good = np.ones(frames.shape[1:], bool) if valid is None else valid
    result = np.array(frames)
    near = _neighbours(frames, flashes, good, other_than=flashes)
    values = np.nan_to_num(_median(near))
    if frames.dtype.kind in "iub":
        values = np.rint(values)
    result[tuple(flashes.T)] = values.astype(frames.dtype)
    return result


def _neighbours(
    frames: Shaped[np.ndarray, "frame row col"],
    at: Int[np.ndarray, "pixel 3"],
    valid: Bool[np.ndarray, "row col"],
    other_than: Int[np.ndarray, "flash 3"] | None = None,
) -> Float[np.ndarray, "pixel 8"]:
    """Return the eight neighbours of pixels; NaN outside the frame and for those that do not count.

    Args:
        frames: the frames.
        at: (frame, row, col) of the pixels.
        valid: True on valid pixels.
        other_than: pixels that do not count either.
    """
    _, height, width = frames.shape
    rows, cols = at[:, 1:2] + _AROUND[:, 0], at[:, 2:3] + _AROUND[:, 1]
    inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
    rows, cols = rows.clip(0, height - 1), cols.clip(0, width - 1)
    counts = inside & valid[rows, cols]
    if other_than is not None:
        names = (at[:, :1] * height + rows) * width + cols
        counts &= ~np.isin(names, (other_than * [height * width, width, 1]).sum(axis=1))
    return np.where(counts, frames[at[:, :1], rows, cols].astype(np.float64), np.nan)


def _median(values: Float[np.ndarray, "pixel 8"]) -> Float[np.ndarray, " pixel"]:
    """Return the median of the finite values in each row; NaN if there is none."""
    ascending = np.sort(values, axis=1)  # NaN last
    n = np.isfinite(values).sum(axis=1)
    rows = np.arange(len(values))
    median: np.ndarray = (ascending[rows, (n - 1).clip(0) // 2] + ascending[rows, n // 2 % 8]) / 2
    median[n == 8] = ascending[n == 8][:, 3:5].mean(axis=1)
    return median
