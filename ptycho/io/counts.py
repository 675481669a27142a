"""Counts NPZ: photon or electron counts with positions as rows and columns.

Way of the data: [file] -> RawData -> groups -> ...

| entry | shape, type | meaning |
|---|---|---|
| `counts` | (M, N, N) whole numbers | counts, zero frequency at N//2 |
| `position_row`, `position_col` | (M,) | probe centre, object pixels |
| `probe` | (N, N) or (mode, N, N) complex | illumination, any scale |
| `scan_row`, `scan_col` | (M,) whole numbers, optional | place of each frame in a raster |
| `mask` | (N, N), optional | True on good pixels |

The transform: x = position_col, y = position_row; nothing is flipped, moved or scaled.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Complex64

from ptycho.errors import DataError
from ptycho.io.npz import UNREADABLE, NpzFile
from ptycho.scan.raw_data import Measurement, RawData

_ENTRIES = frozenset(
    {"counts", "position_row", "position_col", "probe", "scan_row", "scan_col", "mask"}
)


def read(path: Path, measurement: Measurement | None, mask: np.ndarray | None = None) -> RawData:
    """Read a scan of counts.

    Args:
        path: the file.
        measurement: None or what the frames are, should they not be counts after all.
        mask: (N, N) True on good pixels; None believes the file.

    Raises:
        DataError: If the file is damaged, or its entries do not fit together.
    """
    try:
        archive = NpzFile(path)
        entry = {name: archive[name] for name in archive if name in _ENTRIES}
    except UNREADABLE as problem:
        raise DataError(f"{path}: cannot be read ({problem}); expected a counts NPZ") from None
    _check_positions(path, entry)
    return RawData(
        frames=entry["counts"],
        measurement=measurement or "counts",
        xcoords=entry["position_col"].astype(np.float64),
        ycoords=entry["position_row"].astype(np.float64),
        probe=_modes(path, entry["probe"]),
        mask=entry.get("mask") if mask is None else mask,
        path=path,
        metadata={"source_format": "counts NPZ", **_raster(entry)},
    )


def _check_positions(path: Path, entry: dict[str, np.ndarray]) -> None:
    for name in ("position_row", "position_col"):
        if entry[name].shape != entry["counts"].shape[:1]:
            raise DataError(
                f"{path}: {name} has shape {entry[name].shape} for {len(entry['counts'])} frames; "
                f"expected one position per frame"
            )


def _modes(path: Path, probe: np.ndarray) -> Complex64[np.ndarray, "mode row col"]:
    if probe.ndim not in (2, 3) or probe.dtype.kind not in "fc":
        raise DataError(
            f"{path}: probe has shape {probe.shape}, type {probe.dtype}; expected (N, N) or "
            f"(modes, N, N), complex"
        )
    return np.asarray(probe, dtype=np.complex64).reshape(-1, *probe.shape[-2:])


def _raster(entry: dict[str, np.ndarray]) -> dict[str, list[int]]:
    if "scan_row" not in entry or "scan_col" not in entry:
        return {}
    sides = (entry[name] for name in ("scan_row", "scan_col"))
    return {"scan_shape": [int(side.max()) + 1 for side in sides]}
