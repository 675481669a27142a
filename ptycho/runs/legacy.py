"""Folders of ptycho 0.1, which have no `run.json`: their record is gathered from other files.

The kind stands in the first line of `settings_used.yaml`, times and warnings stand in `run.log`.
Nothing else reads these two for what a run was.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ptycho.errors import DataError
from ptycho.io.npz import UNREADABLE, NpzFile, reason
from ptycho.learning.model_files import MODEL_FILE
from ptycho.runs.files import (
    LOG_FILE,
    METRICS_FILE,
    RESULTS,
    SELECTION_FILE,
    SETTINGS_FILE,
)
from ptycho.runs.results import headline
from ptycho.runs.schema import Record

_HEAD = re.compile(r"# Every setting of this run \((\w+), ptycho ([^)]+)\)")

_KINDS = {
    "train": "train",
    "pretrain": "pretrain",
    "inference": "reconstruct",
    "refine": "refine",
    "evaluate": "evaluate",
    "groups": "groups",
}
"""First line of `settings_used.yaml` -> kind of run."""

_ABOUT = ("n_frames", "frame_size", "photons_per_frame", "pixel_size_m", "probe_diameter")
_ROLES = ("train_data_file", "test_data", "data")


def is_legacy(folder: Path) -> bool:
    """Return whether a folder is that of a run of ptycho 0.1."""
    return _kind_and_version(folder) is not None


def read_legacy_record(folder: Path) -> Record | None:
    """Return the record of a run of ptycho 0.1; None when the folder holds no such run.

    Its id is made from its settings, its state is finished or running: that a run was interrupted
    was not recorded.

    Raises:
        DataError: If a file of the run is damaged.
    """
    found = _kind_and_version(folder)
    if found is None:
        return None
    kind, version = found
    settings, log = _settings(folder / SETTINGS_FILE), latest_log(folder)
    stamps = [stamp for line in log if (stamp := _stamp(line)) is not None]
    warnings = [line.partition(" WARNING ")[2].strip() for line in log if " WARNING " in line]
    about = _about(folder / SELECTION_FILE)
    return Record(
        kind=kind,
        id=hashlib.sha256((folder / SETTINGS_FILE).read_bytes()).hexdigest()[:8],
        state="finished" if (folder / RESULTS[kind]).is_file() else "running",
        settings=settings,
        data=_data(about, settings),
        versions={"ptycho": version} | about.get("versions", {}),
        begin=stamps[0] if stamps else None,
        end=stamps[-1] if stamps else None,
        warnings=tuple(dict.fromkeys(warnings)),
        results=headline(
            kind, metrics=_json(folder / METRICS_FILE), model=_json(folder / MODEL_FILE)
        ),
    )


def latest_log(folder: Path) -> tuple[str, ...]:
    """Return the lines of the latest run in `run.log`; an empty line separates runs."""
    path = folder / LOG_FILE
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    lines = text.splitlines()
    last = max((number for number, line in enumerate(lines) if not line), default=-1)
    return tuple(lines[last + 1 :])


def _kind_and_version(folder: Path) -> tuple[str, str] | None:
    try:
        with (folder / SETTINGS_FILE).open(encoding="utf-8", errors="replace") as file:
            head = _HEAD.match(file.readline())
    except OSError:
        return None
    return (_KINDS[head[1]], head[2]) if head and head[1] in _KINDS else None


def _settings(path: Path) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise DataError(f"{path}: not valid YAML ({reason(problem)}); expected settings") from None
    if not isinstance(found, dict):
        raise DataError(f"{path}: holds no settings; expected 'key: value' lines")
    return found


def _stamp(line: str) -> datetime | None:
    try:
        return datetime.strptime(line[:19], "%Y-%m-%d %H:%M:%S").astimezone()
    except ValueError:
        return None


def _about(path: Path) -> dict[str, Any]:
    """Return what `selection.npz` says of the scan; nothing when it cannot be read."""
    try:
        found = json.loads(str(NpzFile(path).read("about")))
    except (KeyError, *UNREADABLE):
        return {}
    return found if isinstance(found, dict) else {}


def _data(about: Mapping[str, Any], settings: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    if "data" not in about:
        return ()
    entry = {
        "role": next((name for name in _ROLES if settings.get(name)), _ROLES[-1]),
        "path": about["data"],
        "sha256": about.get("sha256"),
        "bytes": about.get("bytes"),
    }
    return (entry | {name: about[name] for name in _ABOUT if name in about},)


def _json(path: Path) -> dict[str, Any] | None:
    """Return a JSON document; None when it is missing or damaged: the reader names that."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
