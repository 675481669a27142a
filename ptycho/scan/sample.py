"""What the checks of a scan look at: some frames, the photons of many, their pixel statistics.

Data flow: file -> RawData -> [sample] -> findings.
Frames are read in blocks and reduced at once, so memory does not grow with the scan.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy.spatial import cKDTree

from ptycho.scan.raw_data import RawData
from ptycho.spread import spread

_BYTES_OF_FRAMES = 64e6  # of the frames kept
_MOST_FRAMES_KEPT = 512
_VALUES_SUMMED = 4e8  # pixels read for the photons of each frame
_BLOCKS = 64  # of consecutive frames, where not all are read
_BYTES_AT_ONCE = 2**26  # of frames whose photons are counted


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
    """The same frames as stored."""

    counted: Int[np.ndarray, " counted"]
    """Numbers of the frames whose photons were counted; all of them unless the scan is large."""

    photons: Float[np.ndarray, " counted"]
    """Photons of each of these frames on valid pixels."""

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


def sampled(raw: RawData) -> Sample:
    """Return what the checks look at.

    Raises:
        DataError: If a frame holds negative or infinite values.
    """
    pixels = raw.frame_size**2
    n_kept = int(np.clip(_BYTES_OF_FRAMES / (4 * pixels), 16, _MOST_FRAMES_KEPT))
    kept = spread(raw.n_frames, n_kept)
    intensity = raw.intensity(kept)
    counted = _blocks(raw.n_frames, max(int(_VALUES_SUMMED / pixels), n_kept))
    photons, repeated = _photons(raw, counted)
    return Sample(
        raw=raw,
        valid=np.ones(intensity.shape[1:], bool) if raw.mask is None else np.asarray(raw.mask),
        kept=kept,
        intensity=intensity,
        stored=np.asarray(raw.frames[kept]),
        counted=counted,
        photons=photons,
        repeated=repeated,
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


def _photons(
    raw: RawData, counted: Int[np.ndarray, " counted"]
) -> tuple[Float[np.ndarray, " counted"], Int[np.ndarray, " repeated"]]:
    """Return the photons of each frame, and the frames that repeat the one before."""
    sums, repeated = [], []
    last, before_sum = np.empty((0, 0), np.float32), -1.0
    at_once = max(1, _BYTES_AT_ONCE // (4 * raw.frame_size**2))
    for first in range(0, len(counted), at_once):
        frames = raw.intensity(counted[first : first + at_once])
        found = frames.sum(axis=(1, 2), dtype=np.float64)
        sums.append(found)
        for i in range(len(frames)):
            before = frames[i - 1] if i else last
            number = counted[first + i]
            follows = first + i > 0 and counted[first + i - 1] == number - 1
            same = follows and found[i] > 0 and found[i] == before_sum
            if same and np.array_equal(frames[i], before):
                repeated.append(int(number))
            before_sum = found[i]
        last = frames[-1]
    return np.concatenate(sums), np.array(repeated, int)


def _step(raw: RawData) -> float:
    positions = raw.positions
    if len(positions) < 2:
        return 0.0
    distances, _ = cKDTree(positions).query(positions, k=2)
    moving = distances[:, 1][distances[:, 1] > 0]
    return float(np.median(moving)) if len(moving) else 0.0
