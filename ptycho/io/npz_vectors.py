"""Vectors in an NPZ: one number per frame, whatever their shape."""

import numpy as np
from jaxtyping import Float

from ptycho.errors import DataError
from ptycho.io.npz import NpzFile


def vector(entries: NpzFile, key: str) -> np.ndarray:
    """Return an entry of one number per frame, flattened.

    Raises:
        DataError: If it has several axes longer than 1, or holds no real numbers.
    """
    values = entries.entry(key)
    if values.size != max(values.shape, default=1) or values.dtype.kind not in "iufb":
        raise DataError(
            f"{entries.path}: {key} has shape {values.shape}, type {values.dtype}; "
            "expected one number per frame"
        )
    return values.reshape(-1)


def row_col(entries: NpzFile, row_key: str, col_key: str) -> Float[np.ndarray, "position 2"]:
    """Return two entries as positions (row, col).

    Raises:
        DataError: If they differ in length; see also `vector`.
    """
    row, col = vector(entries, row_key), vector(entries, col_key)
    if len(row) != len(col):
        raise DataError(
            f"{entries.path}: {row_key} holds {len(row)} positions and {col_key} {len(col)}; "
            "expected one of each per frame"
        )
    return np.stack([row, col], axis=1).astype(np.float64)
