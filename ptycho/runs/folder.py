"""The folder of a run read back into one value; finished or still going on.

Data flow: ... -> object -> metrics -> [folder of a run] -> report, viewer, comparison.
Knows files and arrays only: no torch, no figures, no settings classes. Arrays are mapped, not
loaded, where their file allows it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Complex, Float, Int

from ptycho.calibration.value import Calibration, read_calibration
from ptycho.errors import DataError
from ptycho.io.npz import UNREADABLE, NpzFile, reason, write_npz
from ptycho.learning.model_files import MODEL_FILE
from ptycho.runs.files import (
    CALIBRATION_FILE,
    COVERAGE_FILE,
    HISTORY_FILE,
    LOG_FILE,
    METRICS_FILE,
    PICTURE_FILE,
    RECONSTRUCTION_FILE,
    RECORD_FILE,
    SELECTION_FILE,
)
from ptycho.runs.legacy import is_legacy, latest_log, read_legacy_record
from ptycho.runs.results import first_iteration
from ptycho.runs.schema import Record, read_record


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Selection:
    """Which part of which scan a run has looked at."""

    positions: Float[np.ndarray, "position 2"]
    """Probe centres (row, col) of the whole scan, object pixels."""

    groups: Int[np.ndarray, "group member"]
    """Frame indices; single frames are groups of one."""

    scan_index: Int[np.ndarray, " position"]
    """Which of several scans in the file each position belongs to."""

    probe: Complex[np.ndarray, "mode row col"]
    """The scan's own illumination."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunFolder:
    """The folder of one run; what it does not hold is None or empty."""

    path: Path
    """The folder."""

    record: Record
    """What `run.json` says of the run."""

    model: Mapping[str, Any] | None = None
    """What a trained model says of itself."""

    metrics: Mapping[str, Any] | None = None
    """The numbers of a reconstruction or a comparison, with the FRC curve."""

    coverage: Mapping[str, Any] | None = None
    """What the groups cover, with the paragraph for people."""

    arrays: Mapping[str, np.ndarray]
    """The arrays of `reconstruction.npz` by name."""

    picture: Mapping[str, np.ndarray]
    """The arrays of `logs/current.npz` by name: the object as a training saw it last."""

    selection: Selection | None = None
    """Positions and groups used."""

    calibration: Calibration | None = None
    """How the run read its scan, with the evidence, if it was calibrated."""

    epochs: tuple[Mapping[str, Any], ...] = ()
    """One entry for each epoch of a training: `epoch`, `seconds`, losses, health."""

    findings: tuple[tuple[int, str], ...] = ()
    """What the health monitors found: epoch and sentence."""

    log: tuple[str, ...] = ()
    """Lines of the log."""

    @property
    def kind(self) -> str:
        """A key of `ptycho.runs.files.RESULTS`."""
        return self.record.kind

    @property
    def id(self) -> str:
        """Of the run."""
        return self.record.id

    @property
    def state(self) -> str:
        """running, finished, failed or interrupted."""
        return self.record.state

    @property
    def finished(self) -> bool:
        """Whether all results are written."""
        return self.record.state == "finished"

    @property
    def version(self) -> str:
        """Of the package that made the run."""
        return self.record.versions.get("ptycho", "unknown")

    @property
    def settings(self) -> Mapping[str, Any]:
        """The effective settings."""
        return self.record.settings

    @property
    def data(self) -> tuple[Mapping[str, Any], ...]:
        """The inputs, see `ptycho.runs.data.data_entry`."""
        return self.record.data

    @property
    def scan(self) -> Mapping[str, Any]:
        """The entry of the scan among the inputs: the first one with frames; empty without."""
        return next((entry for entry in self.record.data if "n_frames" in entry), {})

    @property
    def results(self) -> Mapping[str, Any]:
        """The main numbers by name."""
        return self.record.results

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings of the run and of later additions, each once."""
        added = (text for part in self.record.additions for text in part.get("warnings", ()))
        return tuple(dict.fromkeys((*self.record.warnings, *map(str, added))))

    @property
    def times(self) -> tuple[datetime, datetime] | None:
        """Begin and end, local time; until it has ended, that of its last sign of life."""
        if self.record.begin is None:
            return None
        begin = self.record.begin.astimezone().replace(tzinfo=None)
        if self.record.end is not None:
            return begin, self.record.end.astimezone().replace(tzinfo=None)
        files = (self.path / name for name in (RECORD_FILE, HISTORY_FILE, LOG_FILE))
        stamps = [path.stat().st_mtime for path in files if path.is_file()]
        return begin, max([begin, *map(datetime.fromtimestamp, stamps)])

    @property
    def first_sweep(self) -> int:
        """The number of the first free residual; 0 where that is what the run started from."""
        return first_iteration(self.kind)


def is_run(path: Path) -> bool:
    """Return whether a folder is that of a run, by its record."""
    return (path / RECORD_FILE).is_file() or is_legacy(path)


def read_run(path: Path) -> RunFolder:
    """Read the folder of a run.

    A run that is still going on has less in its folder; so has one that broke off.

    Args:
        path: the folder.

    Raises:
        DataError: If it is no folder of a run, or a file in it is damaged.
    """
    record = (read_record(path) or read_legacy_record(path)) if path.is_dir() else None
    if record is None:
        raise DataError(
            f"{path}: no {RECORD_FILE} of a run; expected the output folder of ptycho_train, "
            "ptycho_inference, ptycho_evaluate or another command that fills one"
        )
    epochs, findings = _history(path / HISTORY_FILE)
    return RunFolder(
        path=path,
        record=record,
        model=_json(path / MODEL_FILE, training=dict),
        metrics=_metrics(path / METRICS_FILE),
        coverage=_json(path / COVERAGE_FILE),
        arrays=_arrays(path / RECONSTRUCTION_FILE),
        picture=_arrays(path / PICTURE_FILE),
        selection=_selection(path / SELECTION_FILE),
        calibration=_calibration(path / CALIBRATION_FILE),
        epochs=epochs,
        findings=findings,
        log=latest_log(path),
    )


def write_selection(folder: Path, selection: Selection) -> None:
    """Write `selection.npz` into the folder of a run; the file is complete or not there.

    Raises:
        OSError: If the folder cannot be written.
    """
    arrays: dict[str, np.ndarray] = {
        "positions": np.asarray(selection.positions, np.float64),
        "groups": np.asarray(selection.groups, np.int32),
        "scan_index": np.asarray(selection.scan_index, np.int32),
        "probe": np.asarray(selection.probe, np.complex64),
    }
    write_npz(folder / SELECTION_FILE, arrays)


def _json(path: Path, **parts: type) -> dict[str, Any] | None:
    """Return a JSON document whose named parts, where they are there, are of these types.

    None when there is no such file.
    """
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as problem:
        raise DataError(f"{path}: no JSON ({problem}); expected what a run writes") from None
    if not isinstance(found, dict):
        raise DataError(f"{path}: holds a {type(found).__name__}; expected names and values")
    for name, kind in parts.items():
        value = found.get(name)
        if value is not None and not isinstance(value, kind):
            raise DataError(
                f"{path}: {name} is a {type(value).__name__}; expected a {kind.__name__}"
            )
    return found


def _metrics(path: Path) -> dict[str, Any] | None:
    """Return the numbers of a run under today's names."""
    found = _json(
        path,
        object=dict,
        frc=dict,
        uncertainty=dict,
        trust=dict,
        unexplained_light=dict,
        free_residual=list,
        sweeps=int,
    )
    if found is not None and "trust" in found:
        found["uncertainty"] = found.pop("trust")
    return found


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Return all arrays of an archive by name; nothing when there is none."""
    if not path.is_file():
        return {}
    try:
        archive = NpzFile(path)
        return {name: archive[name] for name in archive}
    except UNREADABLE as problem:
        raise DataError(
            f"{path}: cannot be read ({reason(problem)}); expected arrays as a run writes them"
        ) from None


def _selection(path: Path) -> Selection | None:
    found = _arrays(path)
    if not found:
        return None
    try:
        found.pop("about", None)  # of ptycho 0.1: part of the record
        whole = Selection(**found)
        positions, groups = np.shape(whole.positions), np.asarray(whole.groups)
    except (KeyError, TypeError, ValueError) as problem:
        raise DataError(f"{path}: {reason(problem)}; expected what a run writes") from None
    inside = groups.size == 0 or 0 <= groups.min() <= groups.max() < positions[0]
    if positions[1:] != (2,) or groups.ndim != 2 or not inside:
        raise DataError(
            f"{path}: groups {groups.shape} of positions {positions}; expected indices "
            "(group, member) of positions (M, 2)"
        )
    return whole


def _calibration(path: Path) -> Calibration | None:
    return read_calibration(path) if path.is_file() else None


def _history(path: Path) -> tuple[tuple[dict[str, Any], ...], tuple[tuple[int, str], ...]]:
    """Return epochs and findings; a last line that is still being written is passed over."""
    epochs, findings = [], []
    for line in _lines(path):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and isinstance(entry.get("epoch"), int):
            if "finding" in entry:
                findings.append((entry["epoch"], str(entry["finding"])))
            else:
                epochs.append(entry)
    return tuple(epochs), tuple(findings)


def _lines(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return text.splitlines()
