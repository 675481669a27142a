"""What a command says while it runs: log lines, and one line per mistake.

Log lines go to stderr, results to stdout. Commands keep a copy of their lines, with the time, in
`run.log` of the run's folder; it begins when the run saves its settings there, so a run that is
refused leaves nothing behind.
"""

import contextlib
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from ptycho.errors import PtychoError
from ptycho.settings.saved import SETTINGS_FILE

LOG_FILE = "run.log"
MISTAKE, INTERRUPTED = 2, 130
"""Exit codes: the user's mistake, and Ctrl-C as shells count it (128 + SIGINT)."""

_package = logging.getLogger("ptycho")


class _PlainFormatter(logging.Formatter):
    """The message alone; the level stands in front when it is not the usual one."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text if record.levelno == logging.INFO else f"{record.levelname.lower()}: {text}"


class _JsonFormatter(logging.Formatter):
    """One JSON object per line, for programs that follow a run."""

    def format(self, record: logging.LogRecord) -> str:
        return _json_line(record.created, record.levelname, record.name, record.getMessage())


def _json_line(seconds: float, level: str, logger: str, message: str) -> str:
    when = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return json.dumps({"time": when, "level": level, "logger": logger, "message": message})


class _ScreenHandler(logging.StreamHandler):
    """Writes to stderr, above a progress bar when one is drawn."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm = sys.modules.get("tqdm")
        if tqdm is None:
            super().emit(record)
        else:
            tqdm.tqdm.write(self.format(record), file=self.stream)


class _RunLogHandler(logging.Handler):
    """Holds lines back until the run has saved its settings in the folder, then writes them."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._settings = folder / SETTINGS_FILE
        self._before = self._saved_at()
        self._path = folder / LOG_FILE
        self._waiting: list[str] = []
        self._begun = False

    def _saved_at(self) -> int | None:
        return self._settings.stat().st_mtime_ns if self._settings.exists() else None

    def emit(self, record: logging.LogRecord) -> None:
        self._waiting.append(self.format(record))
        if self._saved_at() == self._before:
            return
        with self._path.open("a", encoding="utf-8") as log:
            if not self._begun and log.tell():
                log.write("\n")  # an empty line parts this run from an earlier one
            log.writelines(f"{line}\n" for line in self._waiting)
        self._begun = True
        self._waiting.clear()


@contextlib.contextmanager
def logging_to(
    *,
    verbose: bool = False,
    quiet: bool = False,
    as_json: bool = False,
    folder: Path | None = None,
) -> Iterator[None]:
    """Show the package's log lines on stderr, and keep them in `folder/run.log`, for a while.

    Args:
        verbose: Show debugging lines too.
        quiet: Show warnings and errors only.
        as_json: Show each line as a JSON object: time (UTC), level, logger, message.
        folder: Folder of the run; None keeps no file.
    """
    screen = _ScreenHandler(sys.stderr)
    screen.setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)
    screen.setFormatter(_JsonFormatter() if as_json else _PlainFormatter())
    handlers: list[logging.Handler] = [screen]
    if folder is not None:
        handlers.append(_RunLogHandler(folder))
        handlers[-1].setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    level = _package.level
    _package.setLevel(logging.DEBUG if verbose else logging.INFO)
    for handler in handlers:
        _package.addHandler(handler)
    try:
        yield
    finally:
        _package.setLevel(level)
        for handler in handlers:
            _package.removeHandler(handler)


def refuse(name: str, message: str, *, as_json: bool = False) -> int:
    """Tell the user's mistake in one line behind the command's name; return the exit code."""
    line = f"{name}: {' '.join(message.split())}"
    line = _json_line(time.time(), "ERROR", name, line) if as_json else line
    sys.stderr.write(f"{line}\n")
    return MISTAKE


def run_command(name: str, action: Callable[[], object], *, as_json: bool = False) -> int:
    """Run a command and return its exit code.

    A mistake of the user costs one line, and so do a file system that refuses and Ctrl-C; anything
    else is a fault of ours and keeps its traceback.
    """
    try:
        action()
    except PtychoError as mistake:
        _package.debug("refused: %s", mistake, exc_info=True)
        return refuse(name, str(mistake), as_json=as_json)
    except OSError as refusal:
        if refusal.errno is None:
            raise
        _package.debug("refused: %s", refusal, exc_info=True)
        where = refusal.filename or "writing"
        message = f"{where}: {refusal.strerror}; expected a path we may use"
        return refuse(name, message, as_json=as_json)
    except KeyboardInterrupt:
        return _interrupted(name)
    except SystemExit as leaving:  # Lightning answers Ctrl-C by exit(1)
        if isinstance(leaving.__context__, KeyboardInterrupt):
            return _interrupted(name)
        raise
    return 0


def _interrupted(name: str) -> int:
    sys.stderr.write(f"\n{name}: interrupted\n")
    return INTERRUPTED
