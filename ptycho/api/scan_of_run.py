"""The scan of a reconstruction, read again as its run read it.

Data flow: reconstruction, scan file -> [RawData] -> evaluation, export.
"""

import logging
from pathlib import Path

from ptycho.api.calibration import as_calibrated
from ptycho.api.loading import read_scan, single_scan
from ptycho.api.reconstruction_file import file_of
from ptycho.io import Reading
from ptycho.io.atomic import file_checksum
from ptycho.runs.folder import RunFolder, is_run, read_run
from ptycho.scan.exclusion import Exclusion
from ptycho.scan.raw_data import RawData
from ptycho.scan.screening import applied
from ptycho.settings.reading import exclude_of, reading_of, reading_of_run
from ptycho.settings.shared import ScanFileSettings

log = logging.getLogger(__name__)


def scan_of_run(
    reconstruction: Path, path: Path, given: ScanFileSettings, *, inspected: bool = True
) -> RawData:
    """Return the scan in a file, read as the run of a reconstruction read it.

    Args:
        reconstruction: folder of the run, or its `reconstruction.npz`.
        path: the scan file; one that is not the scan of the run is read by `given` alone.
        given: settings that take precedence over those of the run where they are not the default.
        inspected: whether the scan is inspected, and errors found are raised.

    Raises:
        DataError: If the file holds no valid scan.
        ConfigError: If a setting does not fit the file.
    """
    raw = uncalibrated_scan_of_run(reconstruction, path, given, inspected=inspected)
    return as_calibrated(raw, file_of(reconstruction).parent)


def uncalibrated_scan_of_run(
    reconstruction: Path,
    path: Path,
    given: ScanFileSettings,
    *,
    scan: int | None = None,
    inspected: bool = True,
) -> RawData:
    """Return the scan in a file as a run read it, but for its calibration; see `scan_of_run`.

    What the run excluded is excluded again, and nothing else, whatever is found now.

    Args:
        reconstruction: see `scan_of_run`.
        path: see `scan_of_run`.
        given: see `scan_of_run`.
        scan: label of the scan in the file; None takes that of the run.
        inspected: see `scan_of_run`.
    """
    run = _run_with_scan(file_of(reconstruction).parent, path)
    reading, label = _reading_of(run, path, given)
    label = label if scan is None else scan
    if run is None and inspected:
        return read_scan(path, reading, scan=label, exclude=exclude_of(given))
    excluded = Exclusion() if run is None else excluded_by(run)
    if inspected:
        return read_scan(path, reading, scan=label, exclude=excluded)
    raw = RawData.from_file(path, reading)
    return applied(raw if label is None else single_scan(raw, label), excluded)


def reading_of_scan(
    reconstruction: Path, path: Path, given: ScanFileSettings
) -> tuple[Reading, int | None]:
    """Return how to read a file, and which scan in it is meant; see `scan_of_run`."""
    return _reading_of(_run_with_scan(file_of(reconstruction).parent, path), path, given)


def _reading_of(
    run: RunFolder | None, path: Path, given: ScanFileSettings
) -> tuple[Reading, int | None]:
    if run is None:
        return reading_of(given), None
    log.info("%s: read as by the run in %s", path, run.path)
    reading = reading_of_run(run.settings, run.data, given)
    return reading, run.settings.get("scan")


def excluded_by(run: RunFolder) -> Exclusion:
    """Return what a run excluded from its scan.

    Raises:
        DataError: If its record is damaged.
    """
    return Exclusion.from_document(run.scan.get("excluded"), run.scan.get("frame_size") or 0)


def _run_with_scan(folder: Path, path: Path) -> RunFolder | None:
    """Return the run in a folder if a file is its scan, by place or content."""
    run = read_run(folder) if is_run(folder) else None
    if run is None or not run.scan:
        return None
    if path.is_dir():
        return run if str(path.absolute()) == run.scan.get("path") else None
    same = path.stat().st_size == run.scan.get("bytes")
    return run if same and file_checksum(path) == run.scan.get("sha256") else None
