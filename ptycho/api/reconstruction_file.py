"""Reading `reconstruction.npz`: an object with its place, and what explains the frames.

Data flow: reconstruction.npz -> [arrays] -> metrics, refinement.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Shaped

from ptycho.api.result import Result
from ptycho.engines.problem import Estimate, Problem
from ptycho.engines.stored import OPTIONAL, REQUIRED, as_problem, from_arrays
from ptycho.errors import DataError
from ptycho.io import entries_of
from ptycho.io.npz import NpzFile, open_npz
from ptycho.metrics import well_covered
from ptycho.runs.files import RECONSTRUCTION_FILE
from ptycho.scan.raw_data import RawData


@dataclass(frozen=True, slots=True)
class PlacedObject:
    """An object, its place, and where it is known."""

    obj: Shaped[np.ndarray, "row col"]
    """Complex transmission."""

    mask: Bool[np.ndarray, "row col"]
    """True on known pixels."""

    origin: tuple[int, int]
    """(row, col) of its first pixel in scan coordinates."""

    pixel_size_m: float | None
    """Size of an object pixel in metres, None if unknown."""


def file_of(path: Path) -> Path:
    """Return the reconstruction.npz that a path means: itself, or the one in a folder."""
    return path / RECONSTRUCTION_FILE if path.is_dir() else path


def read_reconstruction(path: Path) -> PlacedObject:
    """Return the object of a `reconstruction.npz`.

    Args:
        path: the file or its folder.

    Raises:
        DataError: If it is missing, damaged or something else.
    """
    file = file_of(path)
    entries = _open(file)
    obj, coverage, origin = (_entry(entries, key) for key in ("object", "coverage", "origin"))
    if obj.ndim != 2 or obj.shape != coverage.shape or origin.shape != (2,):
        raise DataError(
            f"{file}: object {obj.shape}, coverage {coverage.shape}, origin {origin.shape}; "
            "expected (H, W), (H, W) and (2,)"
        )
    pixel = float(_entry(entries, "pixel_size_m")) if "pixel_size_m" in entries else math.nan
    return PlacedObject(
        np.asarray(obj, dtype=np.complex64),
        well_covered(np.asarray(coverage, dtype=np.float32)),
        (round(float(origin[0])), round(float(origin[1]))),
        pixel if math.isfinite(pixel) else None,
    )


def read_entries(
    path: Path, names: Iterable[str], *, optional: Iterable[str] = ()
) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Return arrays of a `reconstruction.npz` by name.

    Args:
        path: the file or its folder.
        names: entries that have to be there.
        optional: entries that may be missing.

    Raises:
        DataError: If it is missing or damaged, or lacks one of the names.
    """
    entries = _open(file_of(path))
    wanted = [*names, *(name for name in optional if name in entries)]
    return {name: _entry(entries, name) for name in wanted}


def arrays_of(result: Result | Path | str) -> Mapping[str, Shaped[np.ndarray, "..."]]:
    """Return the arrays of a reconstruction in memory or in a file."""
    if not isinstance(result, Result):
        return read_entries(Path(result), REQUIRED, optional=OPTIONAL)
    optional = {
        "intensity": result.intensity, "background": result.background,
        "probe_components": result.probe_components, "probe_weights": result.probe_weights,
    }  # fmt: skip
    return {
        "object": result.obj, "coverage": result.coverage, "origin": np.array(result.origin),
        "probe": result.probe, "positions": result.positions, "frames": result.frames,
    } | {name: values for name, values in optional.items() if values is not None}  # fmt: skip


def is_reconstruction(path: Path) -> bool:
    """Return whether a path means a `reconstruction.npz`; a scan file of any format does not."""
    return path.is_dir() or {"object", "coverage"} <= entries_of(path)


def read_truth(path: Path) -> PlacedObject:
    """Return what serves as ground truth: the object of a scan, or another reconstruction.

    Args:
        path: a scan file of any format, a `reconstruction.npz` or its folder.

    Raises:
        DataError: If it is missing, damaged, or has no object.
    """
    if is_reconstruction(path):
        return read_reconstruction(path)
    raw = RawData.from_file(path)
    if raw.obj is None:
        raise DataError(f"{path}: no object; expected a scan with its true object")
    return PlacedObject(raw.obj, np.isfinite(raw.obj), (0, 0), raw.pixel_size_m)


def _open(path: Path) -> NpzFile:
    return open_npz(path, expected=f"a scan or {RECONSTRUCTION_FILE}")


def _entry(entries: NpzFile, key: str) -> Shaped[np.ndarray, "..."]:
    return entries.entry(key, expected=f"a {RECONSTRUCTION_FILE} as ptycho_inference writes")


def problem_of(result: Result, device: torch.device) -> tuple[Problem, Estimate]:
    """Return the frames of a result as a problem, and the result as its estimate.

    Windows extend beyond the illuminated pixels; the mean of the object fills unknown ones.

    Args:
        result: of a scan.
        device: where to compute.
    """
    known = result.coverage > 0
    filled = np.where(known, result.obj, result.obj[known].mean())
    arrays = {**arrays_of(result), "object": filled}
    return as_problem(from_arrays(arrays, result.scan, "result"), result.scan, device)
