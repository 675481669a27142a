"""NumPy files: .npy with frames or positions, and .npz with frames only.

Data flow: [file] -> Recorded -> fields -> RawData -> ...

Layout: (M, H, W) is a stack of frames, (rows, columns, H, W) a raster of them, (M, 2) positions
(row, col) in object pixels, unless --positions_unit says otherwise. Frames of an .npz are mapped
where they are stored without compression.
"""

from pathlib import Path

import numpy as np

from ptycho.errors import DataError
from ptycho.io.npz import UNREADABLE, open_npz, reason
from ptycho.io.readers.stacks import Axes, frames_of
from ptycho.io.recorded import Recorded

STACK_NAMES = ("patterns", "frames", "data", "dp", "intensity", "intensities", "arr_0")
"""What frames are called in an .npz in an unknown format; PtychoPINN's own names are not here, so
that one of its files with an entry missing is still refused by name."""


def read(path: Path) -> Recorded:
    """Return frames (3-D or 4-D) or positions (M, 2) from a .npy file, mapped into memory.

    Raises:
        DataError: If its array has another shape, or the file is damaged.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (*UNREADABLE, IndexError, KeyError) as problem:
        raise DataError(
            f"{path}: cannot be read ({reason(problem)}); expected a complete .npy file of numbers"
        ) from None
    return _recorded(path, array, _Load(path))


def read_npz(path: Path) -> Recorded:
    """Return the frames of an .npz file that holds them alone.

    Raises:
        DataError: If no entry, or more than one, is a stack of frames.
    """
    archive = open_npz(path)
    arrays = {name: archive.entry(name) for name in STACK_NAMES if name in archive}
    stacks = {
        name: array
        for name, array in arrays.items()
        if array.ndim in (3, 4) and array.dtype.kind in "iuf"
    }
    if len(stacks) != 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise DataError(
            f"{path}: {len(stacks)} stacks of frames ({shapes}); expected one, (frames, rows, "
            "columns)"
        )
    ((name, array),) = stacks.items()
    return Recorded(
        source="NPZ with frames only",
        frames=array.reshape(-1, *array.shape[-2:]),
        frames_entry=name,
        raster=_raster(array),
    )


class _Load:
    """Maps a .npy file in the process that reads."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self) -> np.ndarray:
        """Return the map, read only."""
        array: np.ndarray = np.load(self._path, mmap_mode="r", allow_pickle=False)
        return array


def _recorded(path: Path, array: np.ndarray, opened: _Load) -> Recorded:
    if array.ndim == 2 and array.shape[1] == 2 and array.dtype.kind in "iuf":
        return Recorded(
            source="NPY",
            positions=np.array(array, np.float64),
            positions_unit="px",
            notes=(f"{path.name}: {len(array)} positions, columns (row, col)",),
        )
    if array.ndim not in (3, 4):
        raise DataError(
            f"{path}: array of shape {array.shape}; expected frames (frames, rows, columns), a "
            "raster of frames with 4 axes, or positions (frames, 2)"
        )
    return Recorded(
        source="NPY",
        frames=frames_of(str(path), array, Axes.leading(array.ndim), opened),
        raster=_raster(array),
    )


def _raster(array: np.ndarray) -> tuple[int, int] | None:
    return (array.shape[0], array.shape[1]) if array.ndim == 4 else None
