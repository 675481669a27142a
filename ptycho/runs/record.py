"""The writer of `run.json`: every command records its run through this module.

Data flow: command -> [run.json, run.log, settings_used.yaml] -> report, viewer, comparison.

    with begin(folder, kind="train", settings=settings) as run:
        with run.stage("training"):
            ...
        run.finish({"best_loss": 0.01})
"""

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from ptycho.errors import PtychoError
from ptycho.io.atomic import plain, write_json, write_text
from ptycho.runs.earlier import Earlier, check_inputs, files_of, put_aside
from ptycho.runs.files import ALWAYS, LOG_FILE, RECORD_FILE, SETTINGS_FILE
from ptycho.runs.journal import FolderJournal
from ptycho.runs.legacy import read_legacy_record
from ptycho.runs.lock import only_run_in
from ptycho.runs.schema import Record, State, new_record, read_record

log = logging.getLogger(__name__)

_package = logging.getLogger("ptycho")


class Run(FolderJournal):
    """A run that is going on: its record and its folder.

    Args:
        folder: of the run, there and locked.
        record: of the run that begins.
    """

    def __init__(self, folder: Path, record: Record) -> None:
        super().__init__(folder)
        self.folder = folder
        self.record = record

    def save(self) -> None:
        """Write `run.json`.

        Raises:
            OSError: If the folder cannot be written.
        """
        write_json(self.folder / RECORD_FILE, self.record.document())

    def add_data(self, entry: Mapping[str, Any]) -> None:
        """Add an input, see `data_entry`; each is kept once."""
        if plain(entry) not in self.record.data:
            self._change(data=(*self.record.data, plain(entry)))

    def warn(self, *messages: str) -> None:
        """Add warnings; each is kept once."""
        together = tuple(dict.fromkeys((*self.record.warnings, *messages)))
        if together != self.record.warnings:
            self._change(warnings=together)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure the time of a part of the run.

        Args:
            name: of the part; times of equal names add up.
        """
        started = time.perf_counter()
        try:
            yield
        finally:
            seconds = self.record.stages.get(name, 0.0) + time.perf_counter() - started
            self._change(stages={**self.record.stages, name: round(seconds, 3)})

    def finish(self, results: Mapping[str, Any] | None = None) -> None:
        """Record that everything is written.

        Args:
            results: the main numbers by name.

        Raises:
            OSError: If the folder cannot be written.
        """
        self._end("finished", results=plain(results or {}))

    def close(self) -> None:
        """Finish the run unless that is recorded; list what was written since, such as its page."""
        if self.record.state == "running":
            self.finish()
        elif self.record.files != (files := self._files()):
            self._change(files=files)

    def fail(self, problem: BaseException) -> None:
        """Record what ended the run early."""
        if self.record.state != "running":
            return
        if _is_interrupt(problem):
            self._end("interrupted")
        else:
            self._end("failed", error=_one_line(problem))

    def has_results(self) -> bool:
        """Return whether the run has written more than its record."""
        return bool(set(self._files()) - set(ALWAYS))

    def _files(self) -> tuple[str, ...]:
        return files_of(self.folder, replace(self.record, files=()))

    def _end(self, state: State, **changes: Any) -> None:
        end = datetime.now().astimezone()
        self._change(state=state, end=end, files=self._files(), **changes)

    def _change(self, **changes: Any) -> None:
        self.record = replace(self.record, **changes)
        self.save()


class _Addition(Run):
    """A run that adds to the results of another; the record changes when it ends.

    Args:
        folder: of both, locked.
        record: of the run that begins.
        owner: of the run that it adds to; None where the folder holds no run.
    """

    def __init__(self, folder: Path, record: Record, owner: Record | None) -> None:
        super().__init__(folder, record)
        self._owner = owner

    def save(self) -> None:
        """Write `run.json` with this run in it, once it has ended."""
        if self.record.state == "running":
            return
        record = self.record
        if self._owner is None:
            _save_settings(self.folder, record.settings)
        else:
            record = _with_addition(self._owner, record)
        write_json(self.folder / RECORD_FILE, record.document())


@contextlib.contextmanager
def begin(
    folder: Path,
    *,
    kind: str,
    settings: Mapping[str, Any],
    data: Sequence[Mapping[str, Any]] = (),
    inputs: Sequence[tuple[str, Path]] = (),
    overwrite: bool = False,
) -> Iterator[Run]:
    """Begin a run in a folder; it ends with the block.

    Results of an earlier run in the folder are put aside, into `earlier/`. A run that ends with a
    `PtychoError` before it has written results is undone: the folder is as it was. While it goes
    on, lines of the "ptycho" logger are written to `run.log` and its warnings into the record.

    Args:
        folder: made when missing.
        kind: a key of `ptycho.runs.files.FILES`.
        settings: every effective setting by name.
        data: inputs, see `data_entry`; further ones through `Run.add_data`.
        inputs: files and folders that the run reads, each with the name of its setting.
        overwrite: delete the earlier run's results when this one has finished.

    Raises:
        ConfigError: If another run is writing into the folder, or an input would be overwritten.
        OSError: If the folder cannot be written.
    """
    with only_run_in(folder):
        check_inputs(folder, kind, inputs)
        run = Run(folder, replace(new_record(kind, plain(settings)), data=tuple(map(plain, data))))
        earlier = put_aside(folder, kind)
        try:
            run.save()
            _save_settings(folder, run.record.settings)
            with _listening(_log_file(folder), _Warnings(run)):
                _report(folder, earlier, overwrite)
                yield run
                run.close()
        except BaseException as problem:
            with contextlib.suppress(OSError):  # the disk may be full: the first error counts
                run.fail(problem)
            if isinstance(problem, PtychoError | OSError) and not run.has_results():
                _undo(run, earlier)
            raise
        if earlier is not None and overwrite:
            earlier.remove()


@contextlib.contextmanager
def add_to(
    folder: Path,
    *,
    kind: str,
    settings: Mapping[str, Any],
    data: Sequence[Mapping[str, Any]] = (),
) -> Iterator[Run]:
    """Begin a run that adds to the results of the one in the folder; it ends with the block.

    It is listed in the `additions` of that run's record, its results next to the others. Where the
    folder holds no run, the addition becomes a run of its own; nothing is put aside.

    Args:
        folder: of the earlier run.
        kind: of the addition.
        settings: every effective setting by name.
        data: inputs, see `data_entry`.

    Raises:
        ConfigError: If another run is writing into the folder.
        DataError: If the record of the folder is damaged.
        OSError: If the folder cannot be written.
    """
    with only_run_in(folder):
        owner = read_record(folder) or read_legacy_record(folder)
        record = replace(new_record(kind, plain(settings)), data=tuple(map(plain, data)))
        run = _Addition(folder, record, owner)
        try:
            with _listening(_Warnings(run)):
                yield run
                run.close()
        except BaseException as problem:
            if not isinstance(problem, PtychoError | OSError):
                run.fail(problem)
            raise


def _with_addition(owner: Record, record: Record) -> Record:
    """Return the record of a run with an addition; its results join those of the run."""
    addition = record.document()
    for name in ("schema_version", "files", "additions", "process"):
        del addition[name]
    return replace(
        owner,
        results={**owner.results, **record.results},
        files=tuple(dict.fromkeys((*owner.files, *record.files))) if owner.files else (),
        additions=(*owner.additions, addition),
    )


def _save_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Write `settings_used.yaml`, which `--config` reads."""
    import yaml

    head = "# Every setting of this run; --config reads this file.\n"
    body = yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True)
    write_text(folder / SETTINGS_FILE, head + body)


def _report(folder: Path, earlier: Earlier | None, overwrite: bool) -> None:
    if earlier is None:
        return
    if overwrite and earlier.of_a_run:
        log.info("%s: replacing the results of the earlier run", folder)
    else:
        log.info("%s: earlier results moved to %s", folder, earlier.place)


def _undo(run: Run, earlier: Earlier | None) -> None:
    for name in ALWAYS:
        (run.folder / name).unlink(missing_ok=True)
    if earlier is not None:
        earlier.restore()


def _log_file(folder: Path) -> logging.Handler:
    path = folder / LOG_FILE
    lines = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace", delay=True)
    lines.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    return lines


@contextlib.contextmanager
def _listening(*handlers: logging.Handler) -> Iterator[None]:
    """Hand the log lines of the package to these handlers for a while."""
    for handler in handlers:
        _package.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            _package.removeHandler(handler)
            handler.close()


class _Warnings(logging.Handler):
    """Adds warnings to the record of a run."""

    def __init__(self, run: Run) -> None:
        super().__init__(logging.WARNING)
        self._run = run

    def emit(self, record: logging.LogRecord) -> None:
        """Add one; a full disk is reported by what writes next, not by its warning."""
        with contextlib.suppress(OSError):
            self._run.warn(record.getMessage())


def _is_interrupt(problem: BaseException) -> bool:
    """Return whether a run was ended by Ctrl-C, which Lightning answers by exit(1)."""
    return isinstance(problem, KeyboardInterrupt) or (
        isinstance(problem, SystemExit) and isinstance(problem.__context__, KeyboardInterrupt)
    )


def _one_line(problem: BaseException) -> str:
    text = " ".join(str(problem).split())
    return text if isinstance(problem, PtychoError) else f"{type(problem).__name__}: {text}"
