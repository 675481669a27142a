"""Counts NPZ: photon or electron counts with positions as rows and columns.

Data flow: [file] -> Recorded -> fields -> RawData -> ...

| entry | shape, type | meaning |
|---|---|---|
| `counts` | (M, N, N) whole numbers | counts, zero frequency at N//2 |
| `position_row`, `position_col` | (M,) | probe centre, object pixels |
| `probe` | (N, N) or (mode, N, N) complex, optional | illumination, any scale |
| `scan_row`, `scan_col` | (M,) whole numbers, optional | raster indices of each frame |
| `mask` | (N, N), optional | True on good pixels |

x = position_col, y = position_row; nothing is flipped, shifted or scaled.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Complex64

from ptycho.errors import DataError
from ptycho.io.npz import NpzFile, open_npz
from ptycho.io.npz_vectors import row_col
from ptycho.io.recorded import Recorded


def read(path: Path) -> Recorded:
    """Read a scan of counts.

    Args:
        path: The file.

    Raises:
        DataError: If the file is damaged or its probe is no illumination.
    """
    archive = open_npz(path)
    return Recorded(
        source="counts NPZ",
        frames=archive.entry("counts"),
        measurement="counts",
        positions=row_col(archive, "position_row", "position_col"),
        positions_unit="px",
        probe=_modes(path, archive.entry("probe")) if "probe" in archive else None,
        mask=archive.entry("mask") if "mask" in archive else None,
        metadata={"source_format": "counts NPZ", **_raster(archive)},
    )


def _modes(path: Path, probe: np.ndarray) -> Complex64[np.ndarray, "mode row col"]:
    if probe.ndim not in (2, 3) or probe.dtype.kind not in "fc":
        raise DataError(
            f"{path}: probe has shape {probe.shape}, type {probe.dtype}; expected (N, N) or "
            f"(modes, N, N), complex"
        )
    return np.asarray(probe, dtype=np.complex64).reshape(-1, *probe.shape[-2:])


def _raster(archive: NpzFile) -> dict[str, list[int]]:
    if "scan_row" not in archive or "scan_col" not in archive:
        return {}
    sides = (archive.entry(name) for name in ("scan_row", "scan_col"))
    return {"scan_shape": [int(side.max()) + 1 for side in sides]}
