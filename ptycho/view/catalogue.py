"""The runs below a folder: found, read, and read again when their files change.

Way of the data: [folders of runs] -> table, panels. Plain Python: no browser, no figures.
Names given out are those of runs found here; nothing else can be opened by a name. Symbolic links
are not followed: neither folders on the way nor files of a run that lie elsewhere.
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
"""Folders below the first one in which runs are looked for."""

MOST_RUNS = 2000
"""Runs shown; a page of more is of use to nobody."""

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
    """Its folder, relative to the one looked through; "." for that itself."""

    signature: Signature
    """Names, times and sizes of its files: what tells that they have changed."""

    changed_s: float
    """When the newest of them was written, seconds since 1970."""

    run: RunFolder | None
    """What the folder holds, without arrays: a map of each would take as many open files; None
    when it cannot be read."""

    fault: str = ""
    """Why not."""

    def state(self) -> str:
        """Return running, finished, failed, interrupted, not finished or damaged."""
        if self.run is None:
            return "damaged"
        if self.run.state != "running":
            return self.run.state
        return "running" if time.time() - self.changed_s < QUIET_S else "not finished"

    def numbers(self) -> dict[str, Any]:
        """Return what the run has reached; of an unfinished training, what it has so far."""
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
        root: looked through, `DEEPEST` folders deep.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.entries: dict[str, Entry] = {}

    def refresh(self) -> bool:
        """Look again; return whether anything has changed since."""
        before = self.entries
        found: dict[str, Entry] = {}
        for folder in _runs(self.root, DEEPEST):
            if len(found) == MOST_RUNS:
                break
            name = folder.relative_to(self.root).as_posix()
            signature = _signature(folder)
            known = before.get(name)
            same = known is not None and known.signature == signature
            found[name] = known if same else self._read(name, folder, signature)
        self.entries = found
        return {n: e.signature for n, e in found.items()} != {
            n: e.signature for n, e in before.items()
        }

    def open(self, name: str) -> RunFolder:
        """Return all that a run of the list holds, arrays included.

        Args:
            name: of an entry.

        Raises:
            DataError: If there is no such run in the list, or it is damaged.
        """
        entry = self.entries.get(name)
        if entry is None:
            raise DataError(f"{name}: no run of that name; expected one of the list")
        if entry.run is None:
            raise DataError(entry.fault)
        return read_run(self.root / name)

    def _read(self, name: str, folder: Path, signature: Signature) -> Entry:
        changed = max((stamp for _, stamp, _ in signature), default=0) / 1e9
        about = {"name": name, "signature": signature, "changed_s": changed}
        strange = [n for n, _, _ in signature if not _inside(folder / n, folder)]
        if strange:
            return Entry(run=None, fault=f"{strange[0]} lies outside its folder", **about)
        try:
            run = replace(read_run(folder), arrays={}, picture={}, selection=None)
            entry = Entry(run=run, **about)
            entry.numbers()
        except (PtychoError, OSError) as problem:
            return Entry(run=None, fault=str(problem), **about)
        except (LookupError, TypeError, ValueError) as problem:
            # One strange file must not take the list away from all the others.
            fault = f"{name}: holds what no run writes ({problem})"
            return Entry(run=None, fault=fault, **about)
        return entry


def _runs(folder: Path, deeper: int) -> Iterator[Path]:
    """Yield a folder and those below it that are runs, in the order of their names."""
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
        return  # not ours to read
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
