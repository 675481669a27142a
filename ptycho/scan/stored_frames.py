"""Frames as they are stored, and as photons: only requested ones are read and converted.

Data flow: file -> [stored frames] -> RawData -> groups -> ...
Knows frames, mask and flashes; no positions, no probe.
"""

import functools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int, Shaped

from ptycho.io.fields import FrameStack, LazyFrames
from ptycho.scan import checks
from ptycho.scan.flashes import flashes_of, mended
from ptycho.scan.measurement import amplitude_of, intensity_of
from ptycho.spread import spread

_FRAMES_FOR_PHOTONS = 256
_FRAMES_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredFrames:
    """The frames of a scan, often mapped from a file, and what a value in them means."""

    frames: FrameStack
    """(M, N, N) as stored, zero frequency at N//2; may be a memory map or `LazyFrames`. Read
    `stored`, `intensity` or `amplitude` instead, in which flashes are replaced."""

    measurement: str
    """What a stored value is: counts, intensity (photons) or amplitude (sqrt(photons))."""

    mask: Shaped[np.ndarray, "..."] | None = None
    """(N, N) True on good pixels, for all frames; None when all are good. Bad ones read 0, whatever
    the frames hold there, and take part in nothing."""

    flashes: Shaped[np.ndarray, "..."] | None = None
    """(n, 3) frame, row and column of values that are no photons of the scan; each reads as the
    median of its eight neighbours in its frame. None when there are none."""

    background: Shaped[np.ndarray, "..."] | float | None = None
    """(N, N) or one number: intensity per pixel that does not come from the sample, the same in all
    frames, in the unit of the frames' intensity; kept as float32; None when there is none."""

    path: Path | None = None
    """File the scan came from; names the groups cache and errors."""

    photons_per_unit: float = 1.0
    """Photons that a stored intensity of 1 stands for; 1 when the frames are in photons."""

    @property
    def n_frames(self) -> int:
        """M, diffraction frames."""
        return len(self.frames)

    @property
    def frame_size(self) -> int:
        """N, rows and columns of a frame."""
        return self.frames.shape[-1]

    @property
    def mended_frames(self) -> FrameStack:
        """The frames as stored with flashes replaced, still in their file."""
        if self.flashes is None:
            return self.frames
        shape = (self.n_frames, self.frame_size, self.frame_size)
        return LazyFrames(shape, self.frames.dtype, self._mended)

    def stored(self, indices: Int[np.ndarray, " n"]) -> Shaped[np.ndarray, "n row col"]:
        """Return some frames as stored, bad pixels as 0; DataError as for `intensity`."""
        return self._sound_frames(indices)

    def intensity(self, indices: Int[np.ndarray, " n"]) -> Float32[np.ndarray, "n row col"]:
        """Return photons per pixel of some frames; DataError on negative or non-finite values."""
        return self.intensity_of(self._sound_frames(indices))

    def intensity_of(
        self, stored: Shaped[np.ndarray, "n row col"]
    ) -> Float32[np.ndarray, "n row col"]:
        """Return photons per pixel of frames as stored."""
        return intensity_of(stored, self.measurement) * np.float32(self.photons_per_unit)

    def amplitude(self, indices: Int[np.ndarray, " n"]) -> Float32[np.ndarray, "n row col"]:
        """Return sqrt(photons) per pixel of some frames; DataError as for `intensity`."""
        frames = amplitude_of(self._sound_frames(indices), self.measurement)
        return frames * np.float32(math.sqrt(self.photons_per_unit))

    @property
    def background_intensity(self) -> Float32[np.ndarray, "row col"] | None:
        """Photons per pixel that do not come from the sample; None when there are none."""
        known = self.background
        return None if known is None else np.asarray(known) * np.float32(self.photons_per_unit)

    def check_frames(self, indices: Int[np.ndarray, " n"]) -> None:
        """Look at the values of some frames, some at a time; DataError names the first bad one."""
        for first in range(0, len(indices), _FRAMES_AT_ONCE):
            self._sound_frames(indices[first : first + _FRAMES_AT_ONCE])

    def photons_per_frame(self) -> float:
        """Return the mean photons on a frame's good pixels, from up to 256 frames of the scan."""
        return self._mean_photons

    @property
    def _where(self) -> str:
        return "scan" if self.path is None else str(self.path)

    @functools.cached_property
    def _mean_photons(self) -> float:
        frames = self.intensity(spread(self.n_frames, _FRAMES_FOR_PHOTONS))
        return float(frames.sum(dtype=np.float64) / len(frames))

    def _sound_frames(self, indices: Int[np.ndarray, " n"]) -> Shaped[np.ndarray, "n row col"]:
        """Return some frames as stored, bad pixels as 0, having looked at their values."""
        indices = np.asarray(indices)
        frames = self._mended(indices)
        checks.check_values(self._where, frames, indices, self.mask)
        return frames if self.mask is None else np.where(self.mask, frames, frames.dtype.type(0))

    def _mended(self, indices: Int[np.ndarray, " n"]) -> Shaped[np.ndarray, "n row col"]:
        """Return some frames as stored, flashes replaced; all that reads frames ends here."""
        frames = np.asarray(self.frames[indices])
        if self.flashes is None:
            return frames
        return mended(frames, flashes_of(self.flashes, indices), self.mask)
