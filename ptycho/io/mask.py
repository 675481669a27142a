"""The file of `--mask`: which detector pixels are good.

Data flow: [file] -> RawData -> ...
"""

from pathlib import Path

import numpy as np

from ptycho.errors import DataError
from ptycho.io.containers import LONGEST_MAGIC, NPZ
from ptycho.io.npz import UNREADABLE, open_npz, reason

_NPY_MAGIC = b"\x93NUMPY"


def read_mask(path: Path) -> np.ndarray:
    """Read an array from .npy, or from .npz the entry `mask` or the only one.

    Args:
        path: The file. RawData checks the array.

    Raises:
        DataError: If there is no such file or no such array in it.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected a mask (.npy or .npz)")
    with path.open("rb") as file:
        head = file.read(LONGEST_MAGIC)
    if NPZ.holds(head):
        archive = open_npz(path)
        names = list(archive)
        return archive.entry(names[0] if len(names) == 1 else "mask", expected="one named mask")
    if not head.startswith(_NPY_MAGIC):
        raise DataError(f"{path}: neither .npy nor .npz; expected a mask in one of them")
    try:
        mask: np.ndarray = np.load(path, allow_pickle=False)
    except UNREADABLE as problem:
        raise DataError(f"{path}: cannot be read ({reason(problem)}); expected numbers") from None
    return mask
