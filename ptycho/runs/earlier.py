"""Results of an earlier run in the same folder: moved into a subfolder before a new run writes.

Moves what the earlier run wrote and what the new one may write; other files stay where they are.
"""

import logging
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ptycho.errors import ConfigError, DataError
from ptycho.io.atomic import PART
from ptycho.runs.files import ALWAYS, EARLIER_FOLDER, FILES, RECORD_FILE
from ptycho.runs.legacy import read_legacy_record
from ptycho.runs.schema import Record, read_record

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Earlier:
    """Results that were put aside."""

    home: Path
    """Folder of the run, where they came from."""

    place: Path
    """Where they are now."""

    names: tuple[str, ...]
    """Files and folders moved."""

    of_a_run: tuple[str, ...]
    """Those of them that a recorded run wrote."""

    def restore(self) -> None:
        """Move everything back."""
        for name in reversed(self.names):
            os.replace(self.place / name, self.home / name)
        self._tidy()

    def remove(self) -> None:
        """Delete what a recorded run wrote; files of other origin stay put aside."""
        for name in self.of_a_run:
            path = self.place / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        self._tidy()

    def _tidy(self) -> None:
        for folder in (self.place, self.place.parent):
            if not any(folder.iterdir()):
                folder.rmdir()


def put_aside(folder: Path, kind: str) -> Earlier | None:
    """Move the results of an earlier run out of the way; None when there are none.

    A move that breaks off is completed by the next one: the record is moved last.

    Args:
        folder: of the run that begins; locked.
        kind: of the run that begins.

    Raises:
        OSError: If the folder cannot be written.
    """
    _remove_parts(folder)
    record = _record(folder)
    written = () if record is None else files_of(folder, record)
    names = dict.fromkeys((*written, *FILES[kind], *ALWAYS))
    present = tuple(
        sorted((n for n in names if os.path.lexists(folder / n)), key=RECORD_FILE.__eq__)
    )
    if not present:
        return None
    place = folder / EARLIER_FOLDER / _title(folder, record, present)
    place.mkdir(parents=True, exist_ok=True)
    for name in present:
        os.replace(folder / name, place / name)
    ours = tuple(name for name in present if name in written)
    return Earlier(home=folder, place=place, names=present, of_a_run=ours)


def check_inputs(folder: Path, kind: str, inputs: Iterable[tuple[str, Path]]) -> None:
    """Refuse inputs that `put_aside` would move or the run would overwrite.

    Args:
        folder: of the run that begins.
        kind: of it.
        inputs: files and folders that it reads, each with the name of its setting.

    Raises:
        ConfigError: If an input is the folder itself, or one of the files of a run in it.
    """
    record = _record(folder)
    written = () if record is None else files_of(folder, record)
    home = folder.resolve()
    ours = {home / name for name in (*written, *FILES[kind], *ALWAYS)}
    for name, path in inputs:
        place = path.resolve()
        if place == home or not ours.isdisjoint((place, *place.parents)):
            raise ConfigError(
                f"{path}: is {name} itself, which this run would overwrite; expected another "
                "output_dir"
            )


def files_of(folder: Path, record: Record) -> tuple[str, ...]:
    """Return the files and folders of a run that are there.

    Args:
        folder: of the run.
        record: its own; one that broke off lists no files, so those of its kind count.
    """
    named = dict.fromkeys((*(record.files or FILES[record.kind]), *ALWAYS))
    inside = (name for name in named if Path(name).name == name)  # a record may come from anywhere
    return tuple(name for name in inside if os.path.lexists(folder / name))


def _record(folder: Path) -> Record | None:
    try:
        return read_record(folder) or read_legacy_record(folder)
    except DataError as problem:
        log.warning("%s", problem)
        return None


def _title(folder: Path, record: Record | None, present: tuple[str, ...]) -> str:
    """Return `<begin>-<id>` of a run; for files of unknown origin the time of the newest."""
    if record is not None and record.begin is not None:
        return f"{record.begin:%Y%m%dT%H%M%S}-{record.id}"
    newest = max((folder / name).lstat().st_mtime for name in present)
    name = "unknown" if record is None else record.id
    return f"{datetime.fromtimestamp(newest):%Y%m%dT%H%M%S}-{name}"


def _remove_parts(folder: Path) -> None:
    """Remove what a killed run was writing; nobody else writes here now."""
    names = {name for kind in FILES.values() for name in kind} | set(ALWAYS)
    for path in folder.glob(f".*{PART}"):
        if path.name.removeprefix(".").removesuffix(PART).rpartition(".")[0] in names:
            path.unlink()
