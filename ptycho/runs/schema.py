"""The record of a run as a value, and its shape in `run.json`; described in docs/RUN_RECORD.md.

Data flow: command -> [record] -> report, viewer, comparison.
"""

import json
import os
import platform
import secrets
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, get_args

from ptycho import __version__
from ptycho.errors import DataError
from ptycho.runs.files import RECORD_FILE, RESULTS

SCHEMA_VERSION = 1

State = Literal["running", "finished", "failed", "interrupted"]

_PACKAGES = ("numpy", "scipy", "torch", "lightning")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is known of one run."""

    kind: str
    """A key of `ptycho.runs.files.RESULTS`."""

    id: str
    """Eight hexadecimal digits, random."""

    state: State
    """running; finished; failed, an error ended it; interrupted, by the user or by a kill."""

    settings: Mapping[str, Any]
    """Every effective setting by name."""

    data: tuple[Mapping[str, Any], ...] = ()
    """Scans and other inputs, see `ptycho.runs.data.data_entry`."""

    versions: Mapping[str, str] = field(default_factory=dict)
    """Of ptycho, Python and the packages that decide the numbers."""

    begin: datetime | None = None
    """With time zone."""

    end: datetime | None = None
    """With time zone; None while it is running and after a kill."""

    stages: Mapping[str, float] = field(default_factory=dict)
    """Seconds of each part of the run by name."""

    warnings: tuple[str, ...] = ()
    """Warnings that the package logged, each once."""

    error: str | None = None
    """What ended a failed run, one line."""

    results: Mapping[str, Any] = field(default_factory=dict)
    """The main numbers by name."""

    files: tuple[str, ...] = ()
    """Files and folders written, relative to the folder of the run."""

    additions: tuple[Mapping[str, Any], ...] = ()
    """Later evaluations written into the same folder, each a record of its own, without files."""

    process: Mapping[str, Any] = field(default_factory=dict)
    """`host` and `pid` of the process that writes."""

    def document(self) -> dict[str, Any]:
        """Return the record in the shape of `run.json`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": self.kind,
            "id": self.id,
            "state": self.state,
            "settings": self.settings,
            "data": list(self.data),
            "versions": self.versions,
            "times": {"begin": _text(self.begin), "end": _text(self.end), "stages": self.stages},
            "warnings": list(self.warnings),
            "error": self.error,
            "results": self.results,
            "files": list(self.files),
            "additions": list(self.additions),
            "process": self.process,
        }


def new_record(kind: str, settings: Mapping[str, Any]) -> Record:
    """Return the record of a run of this process that begins now."""
    return Record(
        kind=kind,
        id=secrets.token_hex(4),
        state="running",
        settings=dict(settings),
        versions=_versions(),
        begin=datetime.now().astimezone(),
        process={"host": socket.gethostname(), "pid": os.getpid()},
    )


def read_record(folder: Path) -> Record | None:
    """Return the record of a run from `run.json`; None when there is no such file.

    A run whose process no longer exists on this machine is returned as interrupted.

    Raises:
        DataError: If the file is damaged or of a newer version.
    """
    path = folder / RECORD_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as problem:
        raise DataError(f"{path}: {problem}; expected the record of a run") from None
    return _parsed(path, text)


def _parsed(path: Path, text: str) -> Record:
    try:
        found = json.loads(text)
    except ValueError as problem:
        raise DataError(f"{path}: no JSON ({problem}); expected the record of a run") from None
    if not isinstance(found, dict):
        raise DataError(f"{path}: holds a {type(found).__name__}; expected the record of a run")
    if found.get("schema_version") != SCHEMA_VERSION:
        raise DataError(
            f"{path}: schema_version {found.get('schema_version')!r}; expected {SCHEMA_VERSION}, "
            f"the one that ptycho {__version__} reads"
        )
    times = found.pop("times", None)
    names = {each.name for each in fields(Record)} - {"begin", "end", "stages"}
    values = {name: value for name, value in found.items() if name in names}
    for name, kind in _SHAPES.items():
        if name in values and not isinstance(values[name], kind):
            raise DataError(
                f"{path}: {name} is a {type(values[name]).__name__}; expected a {kind.__name__}"
            )
    if values.get("kind") not in RESULTS or values.get("state") not in get_args(State):
        raise DataError(
            f"{path}: kind {values.get('kind')!r}, state {values.get('state')!r}; expected one of "
            f"{', '.join(RESULTS)} and one of {', '.join(get_args(State))}"
        )
    for name in ("data", "warnings", "files", "additions"):
        values[name] = tuple(values.get(name, ()))
    try:
        if values["state"] == "running" and _process_is_gone(values.get("process", {})):
            values["state"] = "interrupted"
        return Record(
            begin=_time(times["begin"]), end=_time(times["end"]),
            stages=dict(times.get("stages", {})), **values,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as problem:
        raise DataError(f"{path}: {problem!r}; expected the record of a run") from None


_SHAPES: Mapping[str, type] = {
    "id": str, "settings": dict, "data": list, "versions": dict, "warnings": list,
    "results": dict, "files": list, "additions": list, "process": dict,
}  # fmt: skip


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat(timespec="milliseconds")


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _versions() -> dict[str, str]:
    found = {"ptycho": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _process_is_gone(process: Mapping[str, Any]) -> bool:
    """Return whether the process is known to have ended; False on other machines."""
    pid = process.get("pid")
    if process.get("host") != socket.gethostname() or not isinstance(pid, int):
        return False
    if sys.platform == "win32":  # there, signal 0 is Ctrl-C
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
