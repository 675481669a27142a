"""The package's log lines around one call: muted for a while, warnings collected."""

import contextlib
import logging
from collections.abc import Iterator

_package = logging.getLogger("ptycho")


@contextlib.contextmanager
def muted(part: str = "ptycho") -> Iterator[None]:
    """Drop log lines below errors for a while.

    Args:
        part: of the package, by the name of its logger.
    """
    logger = logging.getLogger(part)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Yield a list that receives each warning the package logs meanwhile, once."""
    found: list[str] = []
    handler = _Collector(found)
    _package.addHandler(handler)
    try:
        yield found
    finally:
        _package.removeHandler(handler)


class _Collector(logging.Handler):
    def __init__(self, found: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.found = found

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message not in self.found:
            self.found.append(message)
