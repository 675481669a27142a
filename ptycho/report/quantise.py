"""Images reduced to fit into one file: averaged over blocks, stored as integers.

Data flow: images, frames -> [codes] -> page. Knows arrays only.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float64, Shaped, UInt8, UInt16

from ptycho.scan.raw_data import RawData
from ptycho.spread import spread

_LEVELS = 2**16 - 2  # steps between the codes 1 and 2^16 - 1
_SMALLEST = 8  # pixels of a thumbnail's side
_SHOWN = 0.999  # share of the photons inside the part of a frame that is shown


def block_means(
    values: Shaped[np.ndarray, "*stack row col"],
    rows: int,
    cols: int,
    *,
    known: Bool[np.ndarray, "row col"] | None = None,
) -> Shaped[np.ndarray, "*stack block_row block_col"]:
    """Return the means over blocks of nearly equal size; NaN where nothing is known.

    Args:
        values: images.
        rows: number of blocks down, at most that of the pixels.
        cols: number of blocks across, likewise.
        known: pixels that count; None counts all.
    """
    height, width = values.shape[-2:]
    starts = [np.arange(n) * size // n for n, size in ((rows, height), (cols, width))]

    def sums(array: np.ndarray) -> np.ndarray:
        return np.add.reduceat(np.add.reduceat(array, starts[0], axis=-2), starts[1], axis=-1)

    counted = np.ones((height, width)) if known is None else known.astype(np.float64)
    weight = sums(counted)
    total = sums(np.where(counted > 0, values, 0) if known is not None else values)
    return np.where(weight > 0, total / np.maximum(weight, 1), np.nan)


def reduced_shape(shape: tuple[int, int], most: int) -> tuple[int, int]:
    """Return the shape of an image averaged until no side is above `most`, its aspect kept."""
    factor = max(1.0, max(shape) / most)
    return max(1, math.floor(shape[0] / factor)), max(1, math.floor(shape[1] / factor))


@dataclass(frozen=True, slots=True)
class Quantised:
    """An image as integers: value = low + (code - 1) step; code 0 is unknown."""

    codes: UInt16[np.ndarray, "row col"]
    """The stored integers, 2 bytes per pixel."""

    low: float
    """Value of code 1."""

    step: float
    """Difference of neighbouring codes; the error is at most half of it."""

    @property
    def high(self) -> float:
        """Value of the largest code."""
        return self.low + _LEVELS * self.step

    def restored(self) -> Float64[np.ndarray, "row col"]:
        """Return the values, NaN where unknown."""
        values = self.low + (self.codes.astype(np.float64) - 1) * self.step
        return np.where(self.codes > 0, values, np.nan)


def quantise(values: Float[np.ndarray, "row col"]) -> Quantised:
    """Return an image as integers between its smallest and largest finite value.

    Args:
        values: the image; values that are not finite are unknown.
    """
    known = np.isfinite(values)
    if not known.any():
        return Quantised(np.zeros(values.shape, np.uint16), 0.0, 1.0)
    low, high = float(values[known].min()), float(values[known].max())
    step = (high - low) / _LEVELS or 1.0
    codes = np.zeros(values.shape, np.uint16)
    codes[known] = 1 + np.rint((values[known] - low) / step).astype(np.uint16)
    return Quantised(codes, low, step)


@dataclass(frozen=True, slots=True)
class Thumbnails:
    """Thumbnails of diffraction frames."""

    codes: UInt8[np.ndarray, "frame row col"]
    """Fourth root of the photons, 0 to 255 of the brightest."""

    numbers: Shaped[np.ndarray, " frame"]
    """Indices of these frames in the scan, ascending."""

    shown: int
    """Pixels per side of the central square that is shown."""

    frame_size: int
    """N, pixels per side of a frame."""

    def sentence(self) -> str:
        """Return how the thumbnails were made."""
        side = self.codes.shape[-1]
        return (
            f"The central {self.shown} of {self.frame_size} pixels, averaged to "
            f"{side} x {side}; brightness is the fourth root of the photons, in 8 bits."
        )


def thumbnails(raw: RawData, numbers: Shaped[np.ndarray, " frame"], budget: float) -> Thumbnails:
    """Return thumbnails of some frames that together fit into a number of bytes.

    Args:
        raw: the scan.
        numbers: indices of the frames.
        budget: bytes; determines the size of the thumbnails, and of very many frames how many,
            spread evenly over them.

    Raises:
        DataError: If a frame is damaged.
    """
    numbers = np.unique(numbers)
    numbers = numbers[spread(len(numbers), math.floor(budget / _SMALLEST**2))]
    some = numbers[spread(len(numbers), 64)]
    shown = _bright_side(raw.intensity(some).mean(axis=0))
    side = min(shown, 64, max(_SMALLEST, math.floor(math.sqrt(budget / len(numbers)))))
    first = (raw.frame_size - shown) // 2
    middle = np.s_[:, first : first + shown, first : first + shown]
    parts = [
        np.sqrt(block_means(raw.amplitude(part)[middle], side, side))
        for part in np.array_split(numbers, -(-len(numbers) // 256))
    ]
    small = np.concatenate(parts)
    top = float(small.max()) or 1.0
    return Thumbnails(np.rint(255 * small / top).astype(np.uint8), numbers, shown, raw.frame_size)


def _bright_side(mean: Float[np.ndarray, "row col"]) -> int:
    """Return the side of the central square that holds nearly all photons of a mean frame."""
    size = len(mean)
    total: Any = mean.sum() or 1.0
    for half in range(4, size // 2):
        inner = mean[size // 2 - half : size // 2 + half, size // 2 - half : size // 2 + half]
        if inner.sum() >= _SHOWN * total:
            return 2 * half
    return size
