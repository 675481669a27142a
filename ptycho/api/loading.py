"""Opening a scan file.

Data flow: file -> [RawData] -> groups -> batches -> ...
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from ptycho.errors import ConfigError, DataError
from ptycho.io import Reading
from ptycho.io.array_file import read_array
from ptycho.scan.exclusion import Exclude, Exclusion
from ptycho.scan.inspection import Inspection, inspect_scan
from ptycho.scan.raw_data import Measurement, RawData
from ptycho.scan.screening import applied, screened
from ptycho.settings.base import from_mapping
from ptycho.settings.reading import exclude_of, reading_of
from ptycho.settings.shared import ScanFileSettings

log = logging.getLogger(__name__)

PHOTONS_OF_AN_UNKNOWN_UNIT = 1e6
"""Photons of the mean frame where its unit is unknown: so many that noise hardly matters."""


def load(
    path: Path | str | Sequence[Path | str],
    *,
    mask: Path | str | Shaped[np.ndarray, "..."] | None = None,
    N: int | None = None,
    nphotons: float | None = None,
    scan: int | None = None,
    **settings: Any,
) -> RawData:
    """Return the scan in a file of any known format, or in several that belong together.

    Frames stay in the file where its format allows mapping it; nothing is sliced here.

    Args:
        path: the scan file; a list of files is one scan: frames in some, in this order,
            positions in another.
        mask: (N, N) array, or a file that holds it, True or 1 on valid detector pixels; None takes
            it from the scan file.
        N: expected frame size in pixels, checked against the file.
        nphotons: photons of the mean frame, for files in another unit; None takes them from the
            file.
        scan: scan to take from a file that holds several (its scan_index); None takes all frames.
        **settings: any setting of a scan file by name, as `ptycho import --help` lists them:
            measurement, crop, bin, center, frames, positions, energy_kev, ...; keep_all=True
            keeps frames and pixels that are excluded otherwise, see `excluded` of the scan.

    Raises:
        DataError: If the file holds no valid scan.
        ConfigError: If a setting is unknown or does not fit, the frames have another size than
            expected, or the file holds no such scan.
    """
    paths = [path] if isinstance(path, str | Path) else list(path)
    chosen = from_mapping(ScanFileSettings, settings, where="ptycho.load")
    reading = reading_of(chosen)
    joined = (*(Path(other) for other in paths[1:]), *reading.join)
    valid = read_array(Path(mask), "mask") if isinstance(mask, str | Path) else mask
    if valid is not None:
        reading = replace(reading, mask=valid)
    return read_scan(
        Path(paths[0]), replace(reading, join=joined), N=N, nphotons=nphotons, scan=scan,
        exclude=exclude_of(chosen),
    )  # fmt: skip


def read_scan(
    path: Path,
    reading: Reading,
    *,
    N: int | None = None,
    nphotons: float | None = None,
    scan: int | None = None,
    exclude: Exclude | Exclusion | None = None,
) -> RawData:
    """Return the scan in a file as a command reads it, inspected; see `load`.

    Args:
        path: the scan file.
        reading: how to read it.
        N: see `load`.
        nphotons: see `load`.
        scan: see `load`.
        exclude: what may be excluded that the inspection names, or what a run excluded, whose
            frames `reading` skips; None excludes what commands do by default.
    """

    def read(numbers: Sequence[int]) -> RawData:
        skip = tuple(sorted({*reading.skip, *(int(number) for number in numbers)}))
        raw = RawData.from_file(path, replace(reading, skip=skip))
        if N is not None and raw.frame_size != N:
            raise ConfigError(
                f"{path}: frames of {raw.frame_size} pixels; expected {N} (--N, or the size of the "
                "frames of the training)"
            )
        return raw if scan is None else single_scan(raw, scan)

    lines: list[str] = []
    if isinstance(exclude, Exclusion):
        raw = applied(read(()), exclude)
        found = inspect_scan(raw)
        for line in exclude.sentences():
            log.info("%s: as in the run: %s", path, line)
    else:
        raw, found, lines = screened(read, exclude or Exclude())
    if found.errors:
        raise DataError(f"{path}: {found.errors[0].sentence()}")
    report_mask(raw)
    lines += [finding.sentence() for finding in found.warnings]
    warnings = tuple(f"{path}: {line}" for line in lines)
    for text in warnings:
        log.warning("%s", text)
    raw = replace(raw, warnings=warnings)
    if nphotons is not None:
        log.info("rescaling frames: mean %.3g -> %.3g photons", raw.photons_per_frame(), nphotons)
        return raw.scaled_to(nphotons)
    if any(finding.name == "unknown_unit" for finding in found.findings):
        log.info("%s: frames taken as %.0e photons each", path, PHOTONS_OF_AN_UNKNOWN_UNIT)
        return raw.scaled_to(PHOTONS_OF_AN_UNKNOWN_UNIT)
    return raw


def inspected(
    raw: RawData, reading: Reading, *, skip_found: bool = False
) -> tuple[RawData, Inspection]:
    """Return a scan and its inspection, both without the frames that a first one names if asked.

    Args:
        raw: the scan in a file, or a part of it, which has no path.
        reading: how it was read.
        skip_found: whether to leave out the frames that the inspection names.
    """
    found = inspect_scan(raw, frames_only=reading.frames_only)
    frames = sorted({number for finding in found.findings for number in finding.frames})
    if not (skip_found and frames):
        return raw, found
    if raw.path is None:
        raw = raw.subset(np.setdiff1d(np.arange(raw.n_frames), frames))
    else:
        skip = tuple(sorted({*reading.skip, *raw.numbers_of(frames)}))
        raw = RawData.from_file(raw.path, replace(reading, skip=skip))
    return raw, inspect_scan(raw, frames_only=reading.frames_only)


def load_data(
    path: Path | str,
    *,
    measurement: Measurement | None = None,
    frame_size: int | None = None,
    nphotons: float | None = None,
    mask: Path | str | None = None,
) -> RawData:
    """Return the whole scan in a file; see `load`, whose N is called frame_size here.

    Nothing is sliced: at gridsize 1 `RawData.select_groups` takes the first frames, above it finds
    the groups of the whole scan before it samples them.
    """
    return load(path, measurement=measurement, N=frame_size, nphotons=nphotons, mask=mask)


def name_of(raw: RawData) -> str:
    """Return what a scan is called in messages: its file, if it has one."""
    return "scan" if raw.path is None else str(raw.path)


def single_scan(raw: RawData, scan: int | None) -> RawData:
    """Return one of the scans in a file; different scans do not share an object.

    Args:
        raw: one scan, or several by their scan_index. As many labels as frames are a counter, no
            labels.
        scan: its label; None if there is one scan only.

    Raises:
        ConfigError: If there are several and none of them is asked for, or there is no such scan.
    """
    labels = np.unique(np.asarray(raw.scan_index))
    if scan is None and len(labels) in (1, raw.n_frames):
        return raw
    if scan is None or scan not in labels:
        named = ", ".join(str(label) for label in labels[:8]) + (", ..." if len(labels) > 8 else "")
        raise ConfigError(
            f"scan: {scan}, {name_of(raw)} holds the scans {named}; expected one of them"
        )
    return raw.subset(np.flatnonzero(raw.scan_index == scan))


def report_mask(raw: RawData) -> None:
    """Log the number of valid pixels of a mask."""
    if raw.mask is not None:
        n_valid = int(raw.mask.sum())
        inverted = 2 * n_valid < raw.mask.size
        remedy = "; expected True on valid pixels; --mask_polarity bad inverts it"
        level = logging.WARNING if inverted else logging.INFO
        log.log(
            level, "mask: %d of %d pixels valid%s", n_valid, raw.mask.size,
            remedy if inverted else "",
        )  # fmt: skip
