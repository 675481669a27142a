"""A file that holds one array on the pixels of the detector: a mask, a dark frame.

Data flow: [file] -> RawData -> ...
"""

from pathlib import Path

import numpy as np

from ptycho.errors import DataError
from ptycho.io.containers import LONGEST_MAGIC, NPZ
from ptycho.io.npz import UNREADABLE, open_npz, reason

_NPY_MAGIC = b"\x93NUMPY"
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_array(path: Path, what: str) -> np.ndarray:
    """Read an array from .npy, from .tif, or from .npz its entry `what` or the only one.

    Args:
        path: The file. RawData checks the array.
        what: What it should hold, mask or dark.

    Raises:
        DataError: If there is no such file or no such array in it.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected a {what} (.npy, .npz or .tif)")
    with path.open("rb") as file:
        head = file.read(LONGEST_MAGIC)
    if NPZ.holds(head):
        archive = open_npz(path)
        names = list(archive)
        return archive.entry(names[0] if len(names) == 1 else what, expected=f"one named {what}")
    try:
        if head.startswith(_TIFF_MAGIC):
            import tifffile

            return np.asarray(tifffile.imread(path))
        if head.startswith(_NPY_MAGIC):
            return np.asarray(np.load(path, allow_pickle=False))
    except (*UNREADABLE, IndexError, KeyError) as problem:
        raise DataError(f"{path}: cannot be read ({reason(problem)}); expected numbers") from None
    raise DataError(f"{path}: neither .npy, .npz nor .tif; expected a {what} in one of them")


def read_mask(path: Path) -> np.ndarray:
    """Read the mask of a detector; see `read_array`."""
    return read_array(path, "mask")
