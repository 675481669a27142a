"""Frames in several parts, and what their values give away.

Data flow: [file] -> Recorded -> fields -> RawData -> ...
Serves readers of HDF5 formats; knows none of them.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int, Shaped

from ptycho.errors import DataError
from ptycho.io.fields import FrameStack, LazyFrames
from ptycho.io.measurement import Measurement, infer_measurement
from ptycho.spread import spread

_SAMPLED_FRAMES = 16


def stacked(where: str, parts: Sequence[FrameStack]) -> FrameStack:
    """Return several stacks (m, H, W) as one, read where they are.

    Args:
        where: the file, for errors.
        parts: at least one.

    Raises:
        DataError: If frames differ in size or type.
    """
    if len(parts) == 1:
        return parts[0]
    kinds = {(tuple(part.shape[1:]), np.dtype(part.dtype)) for part in parts}
    if len(kinds) > 1:
        found = " and ".join(sorted(f"{shape} of {dtype}" for shape, dtype in kinds))
        raise DataError(f"{where}: parts with frames {found}; expected frames of one size and type")
    shape, dtype = kinds.pop()
    ends = np.cumsum([len(part) for part in parts])

    def read(numbers: Int[np.ndarray, " n"]) -> Shaped[np.ndarray, "n row col"]:
        found = np.empty((len(numbers), *shape), dtype)
        owners = np.searchsorted(ends, numbers, side="right")
        for i in np.unique(owners):
            own = owners == i
            found[own] = np.asarray(parts[i][numbers[own] - (ends[i] - len(parts[i]))])
        return found

    return LazyFrames((int(ends[-1]), shape[0], shape[1]), dtype, read)


def counts_or_intensity(frames: FrameStack) -> Measurement:
    """Return what frames of a format that stores intensities hold: counts, if they are whole."""
    sample = np.asarray(frames[spread(len(frames), _SAMPLED_FRAMES)])
    found = infer_measurement(sample, amplitude_by_convention=False)
    return "counts" if found is not None and found[0] == "counts" else "intensity"


def gap_pixels(frames: FrameStack, gaps: Sequence[int] = ()) -> Bool[np.ndarray, "row col"] | None:
    """Return the pixels that mark a gap of the detector in every sampled frame; None without.

    Args:
        frames: (M, H, W) whole numbers.
        gaps: values that mark a gap; the largest of the type and negative ones always do.
    """
    kind = np.dtype(frames.dtype)
    if kind.kind not in "iu" or len(frames) == 0:
        return None
    sample = np.asarray(frames[spread(len(frames), _SAMPLED_FRAMES)])
    marked = (sample < 0) | (sample == np.iinfo(kind).max)
    for value in gaps:
        marked |= sample == value
    bad: np.ndarray = marked.all(axis=0)
    return bad if bad.any() else None
