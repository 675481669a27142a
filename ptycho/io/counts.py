"""Counts NPZ: photon or electron counts with positions as rows and columns.

Way of the data: [file] -> RawData -> groups -> ...

| entry | shape, type | meaning |
|---|---|---|
| `counts` | (M, N, N) whole numbers | counts, zero frequency at N//2 |
| `position_row`, `position_col` | (M,) | probe centre, object pixels |
| `probe` | (N, N) or (mode, N, N) complex | illumination, any scale |
| `scan_row`, `scan_col` | (M,) whole numbers, optional | place of each frame in a raster |

The transform: x = position_col, y = position_row; nothing is flipped, moved or scaled.
"""

from pathlib import Path

import numpy as np

from ptycho.errors import DataError
from ptycho.npz import UNREADABLE, NpzFile
from ptycho.raw_data import Measurement, RawData

_ENTRIES = frozenset({"counts", "position_row", "position_col", "probe", "scan_row", "scan_col"})


def read(path: Path, measurement: Measurement | None) -> RawData:
    """Read a scan of counts.

    Args:
        path: the file.
        measurement: None or what the frames are, should they not be counts after all.

    Raises:
        DataError: If the file is damaged, or its entries do not fit together.
    """
    try:
        archive = NpzFile(path)
        entry = {name: archive[name] for name in archive if name in _ENTRIES}
    except UNREADABLE as problem:
        raise DataError(f"{path}: cannot be read ({problem}); expected a counts NPZ") from None
    return RawData(
        frames=entry["counts"],
        measurement=measurement or "counts",
        xcoords=entry["position_col"],
        ycoords=entry["position_row"],
        probe=entry["probe"],
        path=path,
        metadata={"source_format": "counts NPZ", **_raster(entry)},
    )


def _raster(entry: dict[str, np.ndarray]) -> dict[str, list[int]]:
    if "scan_row" not in entry or "scan_col" not in entry:
        return {}
    sides = (entry[name] for name in ("scan_row", "scan_col"))
    return {"scan_shape": [int(side.max()) + 1 for side in sides]}
