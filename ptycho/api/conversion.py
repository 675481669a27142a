"""Scans and reconstructions as files of other programs.

Data flow: RawData or reconstruction -> [Content] -> file.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from ptycho.errors import DataError
from ptycho.experiment import Experiment, Geometry
from ptycho.io.writers.content import Content
from ptycho.io.writers.writing import write_content
from ptycho.scan.raw_data import RawData

_ARRAYS = ("object", "origin", "probe", "positions", "frames")
_FURTHER = ("coverage", "intensity", "background", "probe_weights")
_LOST = {
    "coverage": "coverage", "intensity": "intensity of each frame",
    "probe_weights": "variation of the probe over the scan",
}  # fmt: skip


def write_scan(
    raw: RawData,
    path: Path | str,
    *,
    to: str | None = None,
    overwrite: bool = False,
    sources: Iterable[Path] = (),
) -> tuple[Path, ...]:
    """Write a scan as a file of another program; return the files written.

    Frames are copied some at a time and keep their stored type. What the format cannot hold is
    logged as a warning.

    Args:
        raw: the scan.
        path: the file; a missing folder is created.
        to: format, a row of `ptycho.io.writers.WRITERS`; None takes the one with this ending.
        overwrite: whether existing files are replaced; never the file of the scan.
        sources: further files that are being read.

    Raises:
        ConfigError: If the format is unknown, or a file exists and may not be replaced.
        DataError: If the scan lacks what the format needs, such as the size of an object pixel.
    """
    read = [*sources, *_files_of(raw)]
    return write_content(content_of(raw), Path(path), to=to, overwrite=overwrite, sources=read)


def _files_of(raw: RawData) -> list[Path]:
    return [*([] if raw.path is None else [raw.path]), *raw.joined]


def content_of(raw: RawData) -> Content:
    """Return a scan as what is written."""
    earlier = _columns(raw.ycoords_start, raw.xcoords_start)
    labels = np.asarray(raw.scan_index)
    source = "scan" if raw.path is None else str(raw.path)
    return Content(
        source=source,
        title="scan" if raw.path is None else raw.path.stem,
        frames=raw.mended_frames,
        measurement=raw.measurement,
        positions=raw.positions,
        start=None if np.array_equal(earlier, raw.positions) else earlier,
        scan_index=labels if labels.any() else None,
        probe=raw.probe,
        probe_known=raw.probe_known,
        obj=raw.obj,
        mask=raw.mask,
        background=None if raw.background is None else np.asarray(raw.background),
        patches=raw.patches,
        pixel_size_m=raw.pixel_size_m or _pixel(raw.experiment.geometry, raw.frame_size),
        experiment=raw.experiment,
        metadata=raw.metadata,
    )


def export_result(
    reconstruction: Path | str,
    path: Path | str,
    *,
    to: str | None = None,
    overwrite: bool = False,
    scan: RawData | None = None,
    geometry: Geometry | None = None,
    object_pixel_m: float | None = None,
) -> tuple[Path, ...]:
    """Write a reconstruction as a file of another program; return the files written.

    Args:
        reconstruction: folder of a run, or its `reconstruction.npz`.
        path: the file; a missing folder is created.
        to: format, a row of `ptycho.io.writers.WRITERS`; None takes the one with this ending.
        overwrite: whether existing files are replaced; never the reconstruction.
        scan: the scan it was made from: its frames, mask and geometry are written as well.
        geometry: of the measurement; each length overrides that of `scan`.
        object_pixel_m: side of an object pixel, where the reconstruction does not state it.

    Raises:
        ConfigError: If the format is unknown, or a file exists and may not be replaced.
        DataError: If there is no such reconstruction, it was made from another scan, or it lacks
            what the format needs.
    """
    from ptycho.api.reconstruction_file import file_of  # which imports torch

    file = file_of(Path(reconstruction))
    content = content_of_result(file)
    if scan is not None:
        content = with_scan(content, scan)
    known = _merged(geometry or Geometry(), content.geometry)
    size = content.probe.shape[-1]
    content = replace(
        content,
        experiment=replace(content.experiment, geometry=known),
        pixel_size_m=object_pixel_m or content.pixel_size_m or _pixel(known, size),
    )
    sources = [file, *([] if scan is None else _files_of(scan))]
    return write_content(content, Path(path), to=to, overwrite=overwrite, sources=sources)


def content_of_result(file: Path) -> Content:
    """Return the arrays of a `reconstruction.npz` as what is written.

    Raises:
        DataError: If it is missing, damaged or something else.
    """
    from ptycho.api.reconstruction_file import read_entries

    found = read_entries(file, _ARRAYS, optional=[*_FURTHER, "pixel_size_m"])
    positions, obj, probe = found["positions"], found["object"], found["probe"]
    if positions.ndim != 2 or positions.shape[1] != 2 or obj.ndim != 2 or probe.ndim != 3:
        raise DataError(
            f"{file}: object {obj.shape}, probe {probe.shape}, positions {positions.shape}; "
            "expected (H, W), (modes, N, N) and (M, 2)"
        )
    numbers = np.asarray(found["frames"]).astype(np.int64)
    pixel = float(found["pixel_size_m"]) if "pixel_size_m" in found else np.nan
    row, col = (float(first) for first in found["origin"])
    return Content(
        source=str(file),
        title=file.resolve().parent.name,
        positions=np.asarray(positions, np.float64),
        frame_numbers=None if np.array_equal(numbers, np.arange(len(numbers))) else numbers,
        probe=np.asarray(probe, np.complex64),
        obj=np.asarray(obj, np.complex64),
        origin=(row, col),
        background=found.get("background"),
        pixel_size_m=pixel if np.isfinite(pixel) else None,
        experiment=Experiment(),
        lost=tuple(word for name, word in _LOST.items() if name in found),
    )


def with_scan(content: Content, scan: RawData) -> Content:
    """Return a reconstruction with frames, mask and geometry of its scan.

    Raises:
        DataError: If the reconstruction was made from other frames.
    """
    numbers, size = content.numbers, content.probe.shape[-1]
    where = "the scan" if scan.path is None else str(scan.path)
    if size != scan.frame_size or numbers.max(initial=0) >= scan.n_frames:
        raise DataError(
            f"{content.source}: frames of {size} pixels up to number {numbers.max(initial=0)}, "
            f"{where} holds {scan.n_frames} of {scan.frame_size} pixels; expected the scan it was "
            "made from"
        )
    away = np.abs(content.positions - scan.positions[numbers]).max(initial=0.0)
    if away > size / 2:
        raise DataError(
            f"{content.source}: positions up to {away:.3g} pixels away from those of {where}; "
            "expected the scan it was made from"
        )
    every = len(numbers) == scan.n_frames
    chosen = scan if every else scan.subset(numbers)
    return replace(
        content,
        frames=chosen.mended_frames,
        measurement=scan.measurement,
        mask=scan.mask,
        pixel_size_m=content.pixel_size_m or scan.pixel_size_m,
        experiment=scan.experiment,
    )


def _columns(
    rows: Shaped[np.ndarray, "..."] | None, cols: Shaped[np.ndarray, "..."] | None
) -> Shaped[np.ndarray, "position 2"]:
    return np.stack([np.asarray(rows), np.asarray(cols)], axis=1)


def _pixel(geometry: Geometry, size: int) -> float | None:
    return geometry.object_pixel_m(size)


def _merged(first: Geometry, second: Geometry) -> Geometry:
    """Return the lengths of the first, where it has none those of the second."""
    return Geometry(
        wavelength_m=first.wavelength_m or second.wavelength_m,
        distance_m=first.distance_m or second.distance_m,
        detector_pixel_m=first.detector_pixel_m or second.detector_pixel_m,
    )
