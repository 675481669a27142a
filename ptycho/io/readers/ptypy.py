"""Scans (.ptyd) and reconstructions (.ptyr) of ptypy.

Data flow: [file] -> Recorded -> fields -> RawData -> groups -> ...

| entry of .ptyd | shape | meaning |
|---|---|---|
| `chunks/<i>/data` | (m, N, N) | counts, upright, zero frequency at `meta/center` |
| `chunks/<i>/positions` | (m, 2) | (y, x) of the probe, m; else `info/positions_scan` |
| `chunks/<i>/weights` | (m, N, N), (N, N) or empty | above 0 on good pixels |
| `meta/{energy, distance, psize}` | | keV, m, m (one or two numbers) |

| entry of .ptyr | shape | meaning |
|---|---|---|
| `content/{probe, obj}/<id>/data` | (layers, H, W) | complex |
| `content/*/<id>/{_psize, _origin, _energy}` | | m, m (y, x) of pixel (0, 0), keV |
| `content/positions/<id>` | (M, 2) | (y, x), m, if they were recorded |

An entry with the attribute `type` = pickle is never loaded; `None` is a number of type None.

Source: layout of ptypy's h5rw and PtyScan, by reading (academic licence).
"""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Shaped

from ptycho.errors import DataError
from ptycho.experiment import Geometry
from ptycho.io.fields import FrameStack
from ptycho.io.hdf5 import Hdf5File
from ptycho.io.readers.linked import counts_or_intensity, stacked
from ptycho.io.readers.products import layers_as_one, modes_of
from ptycho.io.readers.quantities import table, wavelength_m
from ptycho.io.recorded import Recorded

_OPAQUE = ("pickle", "None", "record_array")
_BLOCK = 64  # frames of weights in memory at a time


def read_scan(path: Path) -> Recorded:
    """Return the content of a .ptyd file.

    Raises:
        DataError: If the file is damaged, or a chunk has an unexpected shape.
    """
    with Hdf5File(path) as file:
        chunks = [f"chunks/{name}" for name in sorted(file.names("chunks"), key=_number)]
        chunks = [chunk for chunk in chunks if _plain(file, f"{chunk}/data")]
        if not chunks:
            raise DataError(f"{path}: chunks without frames; expected chunks/0/data")
        parts = [file.frames(f"{chunk}/data") for chunk in chunks]
        frames = stacked(str(path), parts)
        wavelength, notes = _wavelength(file, "meta/energy", "info/energy")
        centre, corner, centre_notes = _centre(file, frames)
        mask, mask_notes = _mask(file, chunks, frames)
        return Recorded(
            source="ptypy scan (.ptyd)",
            frames=frames,
            frames_entry="chunks/*/data",
            measurement=counts_or_intensity(frames),
            positions=_positions(file, chunks, [len(part) for part in parts]),
            mask=mask,
            corner=corner,
            geometry=Geometry(
                wavelength_m=wavelength,
                distance_m=_scalar(file, "meta/distance") or _scalar(file, "info/distance"),
                detector_pixel_m=_detector_pixel(file),
            ),
            notes=(*notes, *centre_notes, *mask_notes),
            metadata={} if centre is None else {"center": list(centre)},
        )


def read_result(path: Path) -> Recorded:
    """Return the content of a .ptyr file: probe, object, and positions if they were recorded.

    Raises:
        DataError: If the file is damaged, or an entry has an unexpected shape.
    """
    with Hdf5File(path) as file:
        scans = [n for n in file.names("content/probe") if _plain(file, f"content/probe/{n}/data")]
        objs = [n for n in file.names("content/obj") if _plain(file, f"content/obj/{n}/data")]
        tables = [
            n for n in file.names("content/positions") if _plain(file, f"content/positions/{n}")
        ]
        probe = file.array(f"content/probe/{scans[0]}/data") if scans else None
        stored = f"content/obj/{objs[0]}" if objs else "content/obj"
        obj, notes = layers_as_one(path, file.array(f"{stored}/data"))
        pixel = _pair(file, f"{stored}/_psize")
        origin = _pair(file, f"{stored}/_origin")
        wavelength, energy_notes = _wavelength(file, f"{stored}/_energy")
        several = max(len(scans), len(objs), len(tables)) > 1
        chosen = (f"several scans in the file; read {objs[0]}",) if several and objs else ()
        centre = None
        if obj is not None and pixel is not None and origin is not None:
            centre = (-origin[0] / pixel[0], -origin[1] / pixel[1])
        return Recorded(
            source="ptypy reconstruction (.ptyr)",
            probe=None if probe is None else modes_of(path, probe),
            obj=None if centre is None else obj,
            obj_centre=centre,
            positions=table(file, f"content/positions/{tables[0]}", 2) if tables else None,
            object_pixel_m=None if pixel is None else pixel[0],
            geometry=Geometry(wavelength_m=wavelength),
            notes=(*notes, *energy_notes, *chosen),
        )


def _plain(file: Hdf5File, name: str) -> bool:
    """Return whether an entry is an array that holds something, rather than a pickle or None."""
    kind = str(file.attribute(name, "type") or "")
    if kind in _OPAQUE:
        return False
    found = file.first(name)
    return found is not None and found.size > 0 and found.dtype.kind in "fciub"


def _number(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdigit() else (2**31, name)


def _scalar(file: Hdf5File, name: str) -> float | None:
    """Return a number above 0; None without one."""
    pair = _pair(file, name)
    return pair[0] if pair is not None and pair[0] > 0 else None


def _pair(file: Hdf5File, name: str) -> tuple[float, float] | None:
    """Return one or two numbers as (row, col)."""
    if not _plain(file, name):
        return None
    values = np.asarray(file.array(name), np.float64).reshape(-1)
    if not np.isfinite(values).all() or len(values) > 3:
        return None
    return float(values[0]), float(values[min(1, len(values) - 1)])


def _wavelength(file: Hdf5File, *names: str) -> tuple[float | None, tuple[str, ...]]:
    for name in names:
        if _plain(file, name):
            return wavelength_m(file, name, unit="keV")
    return None, ()


def _detector_pixel(file: Hdf5File) -> float | None:
    """Return the side of a pixel of the stored frames.

    `info/psize` is that of the detector, before `info/rebin`; some writers keep it in `meta` too.
    """
    detector, rebin = _scalar(file, "info/psize"), _scalar(file, "info/rebin")
    return detector * (rebin or 1) if detector is not None else _scalar(file, "meta/psize")


def _positions(
    file: Hdf5File, chunks: list[str], lengths: list[int]
) -> Float[np.ndarray, "position 2"] | None:
    found, scan = [], None
    if _plain(file, "info/positions_scan"):
        scan = table(file, "info/positions_scan", 2)
    first = 0
    for chunk, n in zip(chunks, lengths, strict=True):
        if _plain(file, f"{chunk}/positions"):
            part = table(file, f"{chunk}/positions", 2)
        elif scan is not None:
            indices = file.array(f"{chunk}/indices")
            wanted = np.arange(first, first + n) if indices is None else indices.reshape(-1)
            if wanted.max(initial=0) >= len(scan):
                raise DataError(
                    f"{file.path}: {chunk}/indices up to {wanted.max()} for {len(scan)} positions "
                    "in info/positions_scan; expected a position for each"
                )
            part = scan[wanted.astype(int)]
        else:
            return None
        if len(part) != n:
            raise DataError(
                f"{file.path}: {len(part)} positions for {n} frames in {chunk}; expected one per "
                "frame"
            )
        found.append(part)
        first += n
    return np.concatenate(found)


def _centre(
    file: Hdf5File, frames: FrameStack
) -> tuple[tuple[float, float] | None, bool, tuple[str, ...]]:
    """Return the pixel of the zero frequency, whether it is (0, 0), and notes about another one."""
    centre = _pair(file, "meta/center")
    if centre is None:
        return None, False, ()
    middle = (frames.shape[1] // 2, frames.shape[2] // 2)
    if max(abs(c) for c in centre) < 0.5:
        return centre, True, ()
    if max(abs(c - m) for c, m in zip(centre, middle, strict=True)) < 0.6:
        return centre, False, ()
    words = f"meta/center is ({centre[0]:g}, {centre[1]:g}), not the middle {middle}"
    return centre, False, (f"{words}: set it with --center and a --crop",)


def _mask(
    file: Hdf5File, chunks: list[str], frames: FrameStack
) -> tuple[Bool[np.ndarray, "row col"] | None, tuple[str, ...]]:
    """Return the pixels with a weight above 0 in all frames, and a note if frames differ."""
    good, some = None, None
    for chunk in chunks:
        name = f"{chunk}/weights"
        if not _plain(file, name):
            continue
        weights = file.dataset(name)
        if weights.shape[-2:] != tuple(frames.shape[1:]):
            raise DataError(
                f"{file.path}: {name} has shape {weights.shape}; expected the size of the frames, "
                f"{tuple(frames.shape[1:])}"
            )
        blocks = file.frames(name)
        for begin in range(0, len(blocks), _BLOCK):
            above: Shaped[np.ndarray, "n h w"] = blocks[begin : begin + _BLOCK] > 0
            good = above.all(axis=0) if good is None else good & above.all(axis=0)
            some = above.any(axis=0) if some is None else some | above.any(axis=0)
    if good is None or some is None:
        return None, ()
    n = int((some & ~good).sum())
    note = (f"weights: {n} pixels are valid in some frames only; taken as bad in all",) if n else ()
    return np.asarray(good), note
