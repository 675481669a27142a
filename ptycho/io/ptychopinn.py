"""PtychoPINN NPZ, the native format: all its variants in, one out.

Data flow: [file] -> Recorded -> fields -> RawData -> groups -> batches -> ... -> report.
Knows the entries and layouts of the file; RawData checks that they form a sound scan.

Members stored without compression stay in the file and are mapped. Nothing is ever unpickled.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ptycho.errors import DataError
from ptycho.io.fields import ScanFields, check_frames
from ptycho.io.measurement import MEASUREMENTS, Measurement
from ptycho.io.npz import UNREADABLE, NpzFile, open_npz, reason, write_npz
from ptycho.io.npz_vectors import row_col, vector
from ptycho.io.recorded import Recorded
from ptycho.spread import spread

logger = logging.getLogger(__name__)

_FRAME_KEYS = ("diff3d", "diffraction")
_SAMPLED_FRAMES = 16


def read(path: Path) -> Recorded:
    """Return the content of a scan file.

    Args:
        path: A PtychoPINN NPZ, any of its variants.

    Raises:
        DataError: If the file is missing, damaged, lacks an entry, or states what its frames are
            in an unknown word.
    """
    entries = open_npz(path)
    positions = row_col(entries, "ycoords", "xcoords")
    key = _frame_key(entries)
    frames = _frames_first(path, key, entries.entry(key), n_positions=len(positions))
    check_frames(str(path), frames)
    exported = "bad_pixels" in entries and "measurement" not in entries
    return Recorded(
        source="NPZ written by ptychodus for PtychoPINN" if exported else "PtychoPINN NPZ",
        frames=frames,
        frames_entry=key,
        measurement="intensity" if exported else _stated(entries),
        amplitude_by_convention=key == "diff3d",
        positions=positions,
        positions_unit="px",
        start=_start(entries),
        scan_index=vector(entries, "scan_index") if "scan_index" in entries else None,
        probe=_probe(path, entries.entry("probeGuess"), frames.shape[-1])
        if "probeGuess" in entries
        else None,
        probe_known=not ("probe_known" in entries and not entries.entry("probe_known").any()),
        obj=_object(entries),
        patches=_patches(entries, len(positions)),
        mask=_mask(entries),
        background=entries.entry("background") if "background" in entries else None,
        object_pixel_m=_pixel_size(entries),
        experiment=str(entries.entry("experiment")) if "experiment" in entries else None,
        metadata=_metadata(entries),
    )


def write(path: Path, fields: ScanFields) -> None:
    """Write the fields of a scan; the file is complete or not there.

    Raises:
        DataError: If the folder cannot be written.
    """
    size = fields.get("pixel_size_m")
    arrays: Mapping[str, Any] = {
        "diff3d" if fields["measurement"] == "amplitude" else "diffraction": fields["frames"],
        "measurement": fields["measurement"],
        "xcoords": fields["xcoords"],
        "ycoords": fields["ycoords"],
        "xcoords_start": fields.get("xcoords_start"),
        "ycoords_start": fields.get("ycoords_start"),
        "probeGuess": fields["probe"],
        "probe_known": None if fields.get("probe_known", True) else False,
        "objectGuess": fields.get("obj"),
        "Y": fields.get("patches"),
        "mask": fields.get("mask"),
        "background": fields.get("background"),
        "scan_index": fields.get("scan_index"),
        "pixel_size_m": np.nan if size is None else size,
        "_metadata": json.dumps(fields.get("metadata", {}), default=_plain),
        "experiment": fields.get("experiment"),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_npz(path, {key: array for key, array in arrays.items() if array is not None})
    except OSError as problem:
        raise DataError(
            f"{path}: cannot be written ({reason(problem)}); expected a writable folder with room"
        ) from None


def _start(entries: NpzFile) -> np.ndarray | None:
    """Return (row, col) before a correction; a coordinate without an earlier one stands for it."""
    if "xcoords_start" not in entries and "ycoords_start" not in entries:
        return None
    col, row = (
        f"{key}_start" if f"{key}_start" in entries else key for key in ("xcoords", "ycoords")
    )
    return row_col(entries, row, col)


def _mask(entries: NpzFile) -> np.ndarray | None:
    """Return the valid pixels; ptychodus marks the others, in `bad_pixels`."""
    if "mask" in entries:
        return entries.entry("mask")
    return ~entries.entry("bad_pixels").astype(bool) if "bad_pixels" in entries else None


def _frame_key(entries: NpzFile) -> str:
    present = [key for key in _FRAME_KEYS if key in entries]
    if len(present) == 2:
        first, second = (entries.entry(key) for key in present)
        chosen = spread(len(first), _SAMPLED_FRAMES) if first.ndim else ...
        if first.shape != second.shape or not np.array_equal(first[chosen], second[chosen]):
            raise DataError(
                f"{entries.path}: diff3d {first.shape} and diffraction {second.shape} differ; "
                "expected one of them, or the same frames twice; remove one"
            )
    return present[0]


def _frames_first(path: Path, key: str, frames: np.ndarray, *, n_positions: int) -> np.ndarray:
    """Return the frames as (M, N, N); legacy files have M last, or a trailing axis of 1."""
    if frames.ndim == 4 and frames.shape[-1] == 1:
        frames = frames[..., 0]
    last = frames.ndim == 3 and frames.shape[2] == n_positions
    if last and (frames.shape[0] != n_positions or _varies_least_along_the_last_axis(frames)):
        logger.info(
            "%s: %s has shape %s with the frames last (legacy layout); reordered in memory, "
            "`ptycho import` writes them first", path, key, frames.shape,
        )  # fmt: skip
        return np.ascontiguousarray(np.moveaxis(frames, -1, 0))
    return frames


def _varies_least_along_the_last_axis(frames: np.ndarray) -> bool:
    """Return whether the last of three equal axes counts the frames.

    Frames differ little in their sums; rows and columns of a detector differ much.
    """
    spreads = []
    for axes in ((1, 2), (0, 1)):
        sums = frames.sum(axis=axes, dtype=np.float64)
        spreads.append(float(sums.std() / max(sums.mean(), np.finfo(float).tiny)))
    return spreads[1] < 0.5 * spreads[0]


def _stated(entries: NpzFile) -> Measurement | None:
    if "measurement" not in entries:
        return None
    tag = str(entries.entry("measurement"))
    for known in MEASUREMENTS:
        if tag == known:
            return known
    raise DataError(
        f"{entries.path}: measurement is {tag!r}; expected one of {', '.join(MEASUREMENTS)}; "
        "set it with --measurement"
    )


def _probe(path: Path, probe: np.ndarray, size: int) -> np.ndarray:
    """Return the probe as (mode, N, N), whatever its order and axes of length 1."""
    shape = probe.shape
    while probe.ndim > 3 and probe.shape[0] == 1:
        probe = probe[0]
    if probe.ndim == 3 and probe.shape[:2] == (size, size) != probe.shape[1:]:
        probe = np.moveaxis(probe, -1, 0)
    if probe.ndim == 2:
        probe = probe[None]
    if probe.ndim != 3 or probe.dtype.kind not in "fciu":
        raise DataError(
            f"{path}: probeGuess has shape {shape}, type {probe.dtype}; "
            f"expected ({size}, {size}) or (modes, {size}, {size}), complex"
        )
    return np.asarray(probe)


def _object(entries: NpzFile) -> np.ndarray | None:
    if "objectGuess" not in entries:
        return None
    obj = np.asarray(entries.entry("objectGuess"))
    if obj.dtype.kind not in "fciu" or obj.size == 0 or (obj == obj.flat[0]).all():
        return None  # a constant stands for "no object known"
    while obj.ndim > 2 and obj.shape[0] == 1:
        obj = obj[0]
    if obj.ndim != 2:
        raise DataError(
            f"{entries.path}: objectGuess has shape {obj.shape}; expected (rows, columns)"
        )
    return obj


def _patches(entries: NpzFile, n_positions: int) -> np.ndarray | None:
    if "Y" not in entries:
        return None
    try:
        patches = entries["Y"]
    except UNREADABLE as problem:
        logger.warning("%s: Y cannot be read (%s); ignored", entries.path, reason(problem))
        return None
    if patches.ndim == 4 and patches.shape[-1] == 1:
        patches = patches[..., 0]
    if patches.ndim != 3 or len(patches) != n_positions:
        logger.info(
            "%s: Y has shape %s, not one patch per frame; ignored", entries.path, patches.shape
        )
        return None
    return patches


def _pixel_size(entries: NpzFile) -> float | None:
    if "pixel_size_m" not in entries:
        return None
    size = entries.entry("pixel_size_m")
    if size.size != 1 or size.dtype.kind not in "iuf":
        raise DataError(
            f"{entries.path}: pixel_size_m has shape {size.shape}, type {size.dtype}; expected one "
            "number"
        )
    return None if np.isnan(size.item()) else float(size.item())


def _metadata(entries: NpzFile) -> dict[str, Any]:
    """Return the metadata; the historic form, a pickled object, is not read."""
    if "_metadata" not in entries:
        return {}
    try:
        found = json.loads(str(entries["_metadata"]))
    except UNREADABLE as problem:
        logger.warning(
            "%s: _metadata is no plain JSON text (%s); ignored", entries.path, reason(problem)
        )
        return {}
    return found if isinstance(found, dict) else {"metadata": found}


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold for one that it cannot."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)
