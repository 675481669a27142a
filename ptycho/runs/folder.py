"""What a run has left in its folder, read back into one place; finished or still going on.

Way of the data: ... -> object -> metrics -> [folder of a run] -> report.
Knows files and arrays only: no torch, no figures, no settings classes. Arrays are mapped, not
loaded, where their file allows it.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Complex, Float, Int

from ptycho.errors import DataError
from ptycho.io.npz import UNREADABLE, NpzFile, reason, write_npz
from ptycho.runs.journal import HISTORY_FILE, PICTURE_FILE

SETTINGS_FILE = "settings_used.yaml"
METRICS_FILE = "metrics.json"
RECONSTRUCTION_FILE = "reconstruction.npz"
MODEL_FILE = "settings.json"
WEIGHTS_FILE = "model.safetensors"
COVERAGE_FILE = "coverage.json"
SELECTION_FILE = "selection.npz"
LOG_FILE = "run.log"

_HEAD = re.compile(r"# Every setting of this run \((\w+), ptycho ([^)]+)\)")

RESULTS = {
    "train": WEIGHTS_FILE,
    "pretrain": WEIGHTS_FILE,
    "inference": RECONSTRUCTION_FILE,
    "refine": RECONSTRUCTION_FILE,
    "evaluate": METRICS_FILE,
    "groups": COVERAGE_FILE,
}
"""Kinds of run, and the file that tells that one is finished."""


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

    about: Mapping[str, Any]
    """`data` (path), `sha256`, `bytes`, `n_frames`, `frame_size`, `photons_per_frame`,
    `pixel_size_m`, `probe_diameter` (object pixels), `versions`; what is unknown is missing."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunFolder:
    """The folder of one run; what it does not hold is None or empty."""

    path: Path
    """The folder."""

    kind: str
    """A key of `RESULTS`."""

    version: str
    """Of the package that made the run."""

    settings: Mapping[str, Any]
    """The effective settings."""

    finished: bool
    """Whether the result of such a run is there."""

    model: Mapping[str, Any] | None = None
    """What a trained model tells of itself."""

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

    epochs: tuple[Mapping[str, Any], ...] = ()
    """One entry for each epoch of a training: `epoch`, `seconds`, losses, health."""

    findings: tuple[tuple[int, str], ...] = ()
    """What the health monitors found: epoch and sentence."""

    log: tuple[str, ...] = ()
    """Lines of the log, of the latest run in the folder."""

    @property
    def times(self) -> tuple[datetime, datetime] | None:
        """When the log begins and ends, local time; None without one."""
        stamps = [stamp for line in self.log if (stamp := _stamp(line)) is not None]
        return (stamps[0], stamps[-1]) if stamps else None

    @property
    def first_sweep(self) -> int:
        """The number of the first free residual; 0 where that is what the run started from."""
        return 0 if self.kind == "refine" else 1

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the log warned of, each once."""
        found = [line.partition(" WARNING ")[2].strip() for line in self.log if " WARNING " in line]
        return tuple(dict.fromkeys(found))


def is_run(path: Path) -> bool:
    """Return whether a folder is that of a run, by the settings saved in it."""
    return _kind_and_version(path) is not None


def read_run(path: Path) -> RunFolder:
    """Read the folder of a run.

    A run that is still going on has less in its folder; so has one that broke off.

    Args:
        path: the folder.

    Raises:
        DataError: If it is no folder of a run, or a file in it is damaged.
    """
    found = _kind_and_version(path)
    if found is None:
        raise DataError(
            f"{path}: no {SETTINGS_FILE} of a run; expected the output folder of ptycho_train, "
            "ptycho_inference, ptycho_evaluate or another command that fills one"
        )
    kind, version = found
    epochs, findings = _history(path / HISTORY_FILE)
    return RunFolder(
        path=path,
        kind=kind,
        version=version,
        settings=_settings(path / SETTINGS_FILE),
        finished=(path / RESULTS[kind]).is_file(),
        model=_json(path / MODEL_FILE, training=dict),
        metrics=_metrics(path / METRICS_FILE),
        coverage=_json(path / COVERAGE_FILE),
        arrays=_arrays(path / RECONSTRUCTION_FILE),
        picture=_arrays(path / PICTURE_FILE),
        selection=_selection(path / SELECTION_FILE),
        epochs=epochs,
        findings=findings,
        log=_latest(_lines(path / LOG_FILE)),
    )


def write_selection(folder: Path, selection: Selection) -> None:
    """Write `selection.npz` into the folder of a run; the file is complete or not there.

    Raises:
        OSError: If the folder cannot be written.
    """
    arrays = {
        "positions": np.asarray(selection.positions, np.float64),
        "groups": np.asarray(selection.groups, np.int32),
        "scan_index": np.asarray(selection.scan_index, np.int32),
        "probe": np.asarray(selection.probe, np.complex64),
        "about": np.array(json.dumps(dict(selection.about))),
    }
    write_npz(folder / SELECTION_FILE, arrays)


def file_checksum(path: Path) -> str:
    """Return the SHA-256 of a file, as `sha256sum` prints it; OSError when it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _kind_and_version(path: Path) -> tuple[str, str] | None:
    try:
        with (path / SETTINGS_FILE).open(encoding="utf-8", errors="replace") as file:
            head = _HEAD.match(file.readline())
    except OSError:
        return None
    return (head[1], head[2]) if head and head[1] in RESULTS else None


def _settings(path: Path) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise DataError(f"{path}: not valid YAML ({reason(problem)}); expected settings") from None
    if not isinstance(found, dict):
        raise DataError(f"{path}: holds no settings; expected 'key: value' lines")
    return found


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
        about = json.loads(str(found.pop("about")))
        whole = Selection(**found, about=about)
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


def _latest(lines: list[str]) -> tuple[str, ...]:
    """Return what stands behind the last empty line: runs in one folder are parted by them."""
    last = max((number for number, line in enumerate(lines) if not line), default=-1)
    return tuple(lines[last + 1 :])


def _stamp(line: str) -> datetime | None:
    try:
        return datetime.strptime(line[:19], "%Y-%m-%d %H:%M:%S")
    except ValueError:
        return None
