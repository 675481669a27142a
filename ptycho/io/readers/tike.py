"""Arrays of tike in an NPZ or HDF5 file, by its names.

Data flow: [file] -> Recorded -> fields -> RawData -> groups -> ...

| entry | shape | meaning |
|---|---|---|
| `data` | (M, N, N) | intensity, zero frequency at the CORNER |
| `scan` | (M, 2) | (row, col) of the first pixel of the window, object pixels |
| `probe` | (1, 1, modes, N, N) | complex |
| `psi`, optional | (H, W) or (1, H, W) | object |
| `measured_pixels`, optional | (N, N) | True on good pixels, zero frequency at the corner |

The centre of the probe is N // 2 after the first pixel of its window.

Source: tike (BSD-3), by reading.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from ptycho.errors import DataError
from ptycho.io.fields import FrameStack
from ptycho.io.hdf5 import Hdf5File
from ptycho.io.npz import open_npz
from ptycho.io.readers.linked import counts_or_intensity
from ptycho.io.readers.products import layers_as_one, modes_of
from ptycho.io.recorded import Recorded


def read_npz(path: Path) -> Recorded:
    """Return the arrays of an NPZ.

    Raises:
        DataError: If the file is damaged, or an array has an unexpected shape.
    """
    archive = open_npz(path)
    return _recorded(
        path,
        archive.entry("data"),
        lambda name: archive.entry(name) if name in archive else None,
    )


def read_hdf5(path: Path) -> Recorded:
    """Return the arrays of an HDF5 file.

    Raises:
        DataError: If the file is damaged, or an array has an unexpected shape.
    """
    with Hdf5File(path) as file:
        return _recorded(path, file.frames("data"), file.array)


def _recorded(
    path: Path, frames: FrameStack, array: Callable[[str], Shaped[np.ndarray, "..."] | None]
) -> Recorded:
    scan, probe = array("scan"), array("probe")
    if scan is None or scan.ndim != 2 or scan.shape[1] != 2 or scan.dtype.kind not in "iuf":
        raise DataError(
            f"{path}: scan has shape {None if scan is None else scan.shape}; expected "
            "(positions, 2)"
        )
    if frames.ndim != 3:
        raise DataError(f"{path}: data of shape {frames.shape}; expected (frames, N, N)")
    obj, notes = layers_as_one(path, array("psi"), "psi")
    mask = array("measured_pixels")
    return Recorded(
        source="tike",
        frames=frames,
        frames_entry="data",
        measurement=counts_or_intensity(frames),
        positions=np.asarray(scan, np.float64) + np.array(frames.shape[1:]) // 2,
        positions_unit="px",
        probe=None if probe is None else modes_of(path, probe),
        obj=obj,
        mask=None if mask is None else mask != 0,
        corner=True,
        notes=("scan is the first pixel of each window: moved to its centre", *notes),
    )
