"""The runs below a folder: found, read, and read again when their files change.

Data flow: folders of runs -> [catalogue] -> table, panels. Plain Python: no browser, no figures.
Only runs found here can be opened by name. Symbolic links are not followed: neither folders nor
files of a run that lie elsewhere.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ptycho.errors import DataError, PtychoError
from ptycho.learning.model_files import MODEL_FILE
from ptycho.runs.files import (
    COVERAGE_FILE,
    HISTORY_FILE,
    LOG_FILE,
    METRICS_FILE,
    PICTURE_FILE,
    RECONSTRUCTION_FILE,
    RECORD_FILE,
    SELECTION_FILE,
    SETTINGS_FILE,
)
from ptycho.runs.folder import RunFolder, is_run, read_run

DEEPEST = 4
"""Levels of folders below the first one that are searched for runs."""

MOST_RUNS = 2000
"""Runs listed at most."""

QUIET_S = 600.0
"""Seconds without a new line after which an unfinished run no longer counts as running."""

_FILES = (
    RECORD_FILE, SETTINGS_FILE, METRICS_FILE, RECONSTRUCTION_FILE, MODEL_FILE, COVERAGE_FILE,
    SELECTION_FILE, HISTORY_FILE, PICTURE_FILE, LOG_FILE,
)  # fmt: skip

Signature = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One run of the list."""

    name: str
    """Its folder relative to the root of the catalogue; "." for the root."""

    signature: Signature
    """Names, times and sizes of its files, to detect changes."""

    changed_s: float
    """When its newest file was written, seconds since 1970."""

    run: RunFolder | None
    """What the folder holds, without arrays: each would keep a file open. None if it cannot be
    read."""

    fault: str = ""
    """Why it cannot be read."""

    def state(self) -> str:
        """Return running, finished, failed, interrupted, not finished or damaged."""
        if self.run is None:
            return "damaged"
        if self.run.state != "running":
            return self.run.state
        return "running" if time.time() - self.changed_s < QUIET_S else "not finished"

    def numbers(self) -> dict[str, Any]:
        """Return the results of the run; of an unfinished training, those so far."""
        if self.run is None:
            return {}
        found = dict(self.run.results)
        if self.run.epochs:
            last = self.run.epochs[-1]
            found.setdefault("epochs", last["epoch"])
            found.setdefault("best_loss", _least_loss(self.run))
        return found


class Catalogue:
    """The runs below a folder.

    Args:
        root: the folder searched, `DEEPEST` levels deep.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.entries: dict[str, Entry] = {}

    def refresh(self) -> bool:
        """Search again; return whether anything has changed."""
        before = self.entries
        found: dict[str, Entry] = {}
        for folder in _runs(self.root, DEEPEST):
            if len(found) == MOST_RUNS:
                break
            name = folder.relative_to(self.root).as_posix()
            signature = _signature(folder)
            known = before.get(name)
            if known is None or known.signature != signature:
                known = self._read(name, folder, signature)
            found[name] = known
        self.entries = found
        return {n: e.signature for n, e in found.items()} != {
            n: e.signature for n, e in before.items()
        }

    def open(self, name: str) -> RunFolder:
        """Return a run of the list with its arrays.

        Args:
            name: of an entry.

        Raises:
            DataError: If the list has no such run, or the run is damaged.
        """
        entry = self.entries.get(name)
        if entry is None:
            raise DataError(f"{name}: no run of this name; expected one of the list")
        if entry.run is None:
            raise DataError(entry.fault)
        return read_run(self.root / name)

    def _read(self, name: str, folder: Path, signature: Signature) -> Entry:
        changed = max((stamp for _, stamp, _ in signature), default=0) / 1e9
        damaged = Entry(name=name, signature=signature, changed_s=changed, run=None)
        outside = [n for n, _, _ in signature if not _inside(folder / n, folder)]
        if outside:
            return replace(damaged, fault=f"{outside[0]} lies outside its folder")
        try:
            run = replace(read_run(folder), arrays={}, picture={}, selection=None)
            entry = replace(damaged, run=run)
            entry.numbers()
        except (PtychoError, OSError) as problem:
            return replace(damaged, fault=str(problem))
        except (LookupError, TypeError, ValueError) as problem:
            # One malformed file must not hide the other runs.
            return replace(damaged, fault=f"{name}: not readable as a run ({problem})")
        return entry


def _runs(folder: Path, deeper: int) -> Iterator[Path]:
    """Yield the folders of runs, from this one downwards, sorted by name."""
    if is_run(folder):
        yield folder
    if deeper == 0:
        return
    try:
        with os.scandir(folder) as entries:
            below = sorted(
                entry.path
                for entry in entries
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
            )
    except OSError:
        return  # not readable
    for path in below:
        yield from _runs(Path(path), deeper - 1)


def _signature(folder: Path) -> Signature:
    found = []
    for name in _FILES:
        try:
            stat = (folder / name).stat()
        except OSError:
            continue
        found.append((name, stat.st_mtime_ns, stat.st_size))
    return tuple(found)


def _inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder)


def _least_loss(run: RunFolder) -> float | None:
    losses = [epoch.get("val_loss", epoch.get("train_loss")) for epoch in run.epochs]
    return min((loss for loss in losses if loss is not None), default=None)
