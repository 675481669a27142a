"""PtychoPINN scan files: what variants of them exist, read into one shape.

Way of the data: [file] -> RawData -> groups -> batches -> ... -> report.
Knows the keys and layouts of the file; what the arrays must fulfil together, RawData checks.

Members stored without compression stay in the file and are mapped. Nothing is ever unpickled.
"""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from ptycho.errors import DataError
from ptycho.io.npz import UNREADABLE, NpzFile, reason, write_npz
from ptycho.scan.checks import check_frames
from ptycho.scan.measurement import MEASUREMENTS, Measurement, infer_measurement

logger = logging.getLogger(__name__)

_FRAME_KEYS = ("diff3d", "diffraction")
_SAMPLED_FRAMES = 16


def read_scan_file(path: Path | str, *, measurement: Measurement | None = None) -> dict[str, Any]:
    """Return the fields of a RawData as the file holds them.

    Args:
        path: A PtychoPINN NPZ, any of its variants.
        measurement: What the frames are; None believes the file.

    Raises:
        DataError: When the file is missing, damaged, lacks an entry, or leaves open what its
            frames are.
    """
    path = Path(path)
    entries = _open(path)
    x, y = (_vector(path, entries, key) for key in ("xcoords", "ycoords"))
    key = _frame_key(path, entries)
    frames = _frames_first(path, key, _entry(path, entries, key), n_positions=len(x))
    check_frames(str(path), frames)
    fields = {
        "frames": frames,
        "measurement": measurement or _measurement(path, entries, key, frames),
        "xcoords": x,
        "ycoords": y,
        "probe": _probe(path, _entry(path, entries, "probeGuess"), frames.shape[-1]),
        "obj": _object(path, entries),
        "patches": _patches(path, entries, len(x)),
        **{
            key: _entry(path, entries, key) if key in entries else None
            for key in ("mask", "background")
        },
        "pixel_size_m": _pixel_size(path, entries),
        "metadata": _metadata(path, entries),
        "path": path,
    }
    for key in ("xcoords_start", "ycoords_start", "scan_index"):
        fields[key] = _vector(path, entries, key) if key in entries else None
    return fields


def write_scan_file(path: Path | str, fields: dict[str, Any]) -> None:
    """Write the fields of a RawData; the file is complete or not there.

    Raises:
        DataError: When the folder cannot be written.
    """
    path = Path(path)
    measurement = fields["measurement"]
    arrays = {
        "diff3d" if measurement == "amplitude" else "diffraction": fields["frames"],
        "measurement": np.array(measurement),
        **{key: fields[key] for key in ("xcoords", "ycoords", "xcoords_start", "ycoords_start")},
        "probeGuess": fields["probe"],
        "objectGuess": fields["obj"],
        "Y": fields["patches"],
        "mask": fields["mask"],
        "background": fields["background"],
        "scan_index": fields["scan_index"],
        "pixel_size_m": np.array(np.nan if (size := fields["pixel_size_m"]) is None else size),
        "_metadata": np.array(json.dumps(fields["metadata"], default=_plain)),
    }
    try:
        write_npz(path, {key: array for key, array in arrays.items() if array is not None})
    except OSError as problem:
        raise DataError(
            f"{path}: cannot be written ({reason(problem)}); expected a writable folder with room"
        ) from None


def _open(path) -> NpzFile:
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise DataError(f"{path}: {what}; expected a scan file (.npz)")
    try:
        return NpzFile(path)
    except UNREADABLE as problem:
        raise DataError(
            f"{path}: cannot be opened ({reason(problem)}); expected an .npz archive; "
            "copy or download it again if it should be one"
        ) from None


def _entry(path, entries, key) -> np.ndarray:
    if key not in entries:
        known = ", ".join(sorted(entries)) or "none"
        raise DataError(f"{path}: no entry {key}; expected it beside those there: {known}")
    try:
        return entries[key]
    except UNREADABLE as problem:
        raise DataError(
            f"{path}: entry {key} cannot be read ({reason(problem)}); expected an array of numbers"
        ) from None


def _vector(path, entries, key) -> np.ndarray:
    values = _entry(path, entries, key)
    if values.size != max(values.shape, default=1) or values.dtype.kind not in "iufb":
        raise DataError(
            f"{path}: {key} has shape {values.shape}, type {values.dtype}; "
            "expected one number per frame"
        )
    return values.reshape(-1)


def _frame_key(path, entries) -> str:
    present = [key for key in _FRAME_KEYS if key in entries]
    if not present:
        known = ", ".join(sorted(entries)) or "none"
        raise DataError(f"{path}: no entry diff3d or diffraction; expected one beside: {known}")
    if len(present) == 2:
        first, second = (_entry(path, entries, key) for key in present)
        chosen = _spread(len(first)) if first.ndim else ...
        if first.shape != second.shape or not np.array_equal(first[chosen], second[chosen]):
            raise DataError(
                f"{path}: diff3d {first.shape} and diffraction {second.shape} differ; "
                "expected one of them, or the same frames twice; remove one"
            )
    return present[0]


def _frames_first(path, key, frames, *, n_positions) -> np.ndarray:
    """Return the frames as (M, N, N); legacy files have them last, or a trailing axis of 1."""
    if frames.ndim == 4 and frames.shape[-1] == 1:
        frames = frames[..., 0]
    if frames.ndim == 3 and frames.shape[0] != n_positions == frames.shape[2]:
        logger.info(
            "%s: %s has shape %s with the frames last (legacy); reordered in memory, save the "
            "scan once to have them first", path, key, frames.shape,
        )  # fmt: skip
        return np.ascontiguousarray(np.moveaxis(frames, -1, 0))
    return frames


def _measurement(path, entries, key, frames) -> Measurement:
    if "measurement" in entries:
        tag = str(_entry(path, entries, "measurement"))
        if tag in MEASUREMENTS:
            return tag
        raise DataError(
            f"{path}: measurement is {tag!r}; expected one of {', '.join(MEASUREMENTS)}; "
            "say it with --measurement"
        )
    sample = np.asarray(frames[_spread(len(frames))])
    found = infer_measurement(sample, amplitude_by_custom=key == "diff3d")
    if found is None:
        raise DataError(
            f"{path}: {key} of type {frames.dtype} may hold intensity or amplitude; expected "
            "a file that says which; say it with --measurement"
        )
    logger.info("%s: %s taken as %s (%s)", path, key, *found)
    return found[0]


def _probe(path, probe, size) -> np.ndarray:
    """Return the probe as (mode, N, N), whatever axes of length 1 or order the file has."""
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


def _object(path, entries) -> np.ndarray | None:
    if "objectGuess" not in entries:
        return None
    obj = np.asarray(_entry(path, entries, "objectGuess"))
    if obj.dtype.kind not in "fciu" or obj.size == 0 or (obj == obj.flat[0]).all():
        return None  # a constant stands for "no object known"
    while obj.ndim > 2 and obj.shape[0] == 1:
        obj = obj[0]
    if obj.ndim != 2:
        raise DataError(f"{path}: objectGuess has shape {obj.shape}; expected (rows, columns)")
    return obj


def _patches(path, entries, n_positions) -> np.ndarray | None:
    if "Y" not in entries:
        return None
    try:
        patches = entries["Y"]
    except UNREADABLE as problem:
        logger.warning("%s: Y cannot be read (%s); left out", path, reason(problem))
        return None
    if patches.ndim == 4 and patches.shape[-1] == 1:
        patches = patches[..., 0]
    if patches.ndim != 3 or len(patches) != n_positions:
        logger.info("%s: Y has shape %s, not one patch per frame; left out", path, patches.shape)
        return None
    return patches


def _pixel_size(path, entries) -> float | None:
    if "pixel_size_m" not in entries:
        return None
    size = _entry(path, entries, "pixel_size_m")
    if size.size != 1 or size.dtype.kind not in "iuf":
        raise DataError(
            f"{path}: pixel_size_m has shape {size.shape}, type {size.dtype}; expected one number"
        )
    return None if np.isnan(size.item()) else float(size.item())


def _metadata(path, entries) -> dict[str, Any]:
    """Return the metadata; the historic form is a pickled object and is left unread."""
    if "_metadata" not in entries:
        return {}
    try:
        found = json.loads(str(entries["_metadata"]))
    except UNREADABLE as problem:
        logger.warning("%s: _metadata is no plain JSON text (%s); left out", path, reason(problem))
        return {}
    return found if isinstance(found, dict) else {"metadata": found}


def _spread(n_frames) -> np.ndarray:
    """Return a few frame numbers spread over all of them, the first and the last included."""
    return np.unique(np.linspace(0, max(n_frames - 1, 0), _SAMPLED_FRAMES).astype(np.intp))[
        : max(n_frames, 0)
    ]


def _plain(value) -> Any:
    """Return a value JSON can hold for one it cannot."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)
