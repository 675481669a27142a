"""What a command prints while it runs: log lines, and one line per error.

Log lines go to stderr, results to stdout. A run keeps a copy of its lines in run.log, see
`ptycho.runs.record`.
"""

import contextlib
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TextIO

from ptycho.errors import PtychoError, WrongPicture

MISTAKE, WRONG, INTERRUPTED = 2, 3, 130
"""Exit codes: a user error, a wrong picture with --strict, and Ctrl-C as shells count it (128 +
SIGINT)."""

_package = logging.getLogger("ptycho")
_console = logging.getLogger(__name__)

_IN_SIGHT = 8  # lines after which a warning has scrolled away


class _PlainFormatter(logging.Formatter):
    """The message alone, preceded by its level if that is not INFO."""

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


class _ScreenHandler(logging.StreamHandler[TextIO]):
    """Writes to stderr, above a progress bar when one is drawn."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm = sys.modules.get("tqdm")
        if tqdm is None:
            super().emit(record)
        else:
            tqdm.tqdm.write(self.format(record), file=self.stream)


class _Reminder(logging.Handler):
    """Keeps the warnings that other lines have followed, to show them again at the end."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._lines = 0
        self._warnings: dict[str, int] = {}
        self.closing: list[str] = []
        """Lines that stand at the end of a command, the verdict."""

    def emit(self, record: logging.LogRecord) -> None:
        self._lines += 1
        if getattr(record, "closing", False):
            self.closing.append(record.getMessage())
        if record.levelno >= logging.WARNING:
            self._warnings[record.getMessage()] = self._lines

    def missed(self) -> list[str]:
        """Return the warnings that have scrolled away, oldest first."""
        return [text for text, line in self._warnings.items() if self._lines - line >= _IN_SIGHT]


@contextlib.contextmanager
def logging_to(
    *,
    verbose: bool = False,
    quiet: bool = False,
    as_json: bool = False,
) -> Iterator[None]:
    """Show the package's log lines on stderr for a while.

    Args:
        verbose: Show debugging lines too.
        quiet: Show warnings and errors only.
        as_json: Show each line as a JSON object: time (UTC), level, logger, message.
    """
    screen = _ScreenHandler(sys.stderr)
    screen.setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)
    screen.setFormatter(_JsonFormatter() if as_json else _PlainFormatter())
    level, reminder = _package.level, _Reminder()
    _package.setLevel(logging.DEBUG if verbose else logging.INFO)
    _package.addHandler(screen)
    _package.addHandler(reminder)
    try:
        yield
        if not as_json and (missed := reminder.missed()):
            _console.info("warnings of this run:")
            for text in missed:
                _console.info("  %s", text)
            for text in reminder.closing.copy():
                _console.info("%s", text)
    finally:
        _package.removeHandler(reminder)
        _package.setLevel(level)
        _package.removeHandler(screen)


def refuse(name: str, message: str, *, as_json: bool = False) -> int:
    """Print a user error in one line after the name of the command; return the exit code."""
    line = f"{name}: {' '.join(message.split())}"
    line = _json_line(time.time(), "ERROR", name, line) if as_json else line
    sys.stderr.write(f"{line}\n")
    return MISTAKE


def run_command(name: str, action: Callable[[], object], *, as_json: bool = False) -> int:
    """Run a command and return its exit code.

    A user error costs one line, and so do an error of the file system and Ctrl-C; anything else is
    a bug and keeps its traceback.
    """
    try:
        action()
    except WrongPicture as wrong:
        refuse(name, str(wrong), as_json=as_json)
        return WRONG
    except PtychoError as mistake:
        _package.debug("refused: %s", mistake, exc_info=True)
        return refuse(name, str(mistake), as_json=as_json)
    except OSError as refusal:
        if refusal.errno is None:
            raise
        _package.debug("refused: %s", refusal, exc_info=True)
        where = refusal.filename or "writing"
        message = f"{where}: {refusal.strerror}; check that the path exists and is writable"
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
