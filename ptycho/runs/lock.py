"""One run at a time in a folder.

The lock is one of the operating system: it ends with the process, however that ends. A file system
without locks costs a warning; two runs in one folder are then the user's to avoid.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

from ptycho.errors import ConfigError
from ptycho.locking import acquire
from ptycho.runs.files import LOCK_FILE

log = logging.getLogger(__name__)


@contextmanager
def only_run_in(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder.

    Args:
        folder: made when missing, with its parents; those that are empty at the end are removed.

    Raises:
        ConfigError: If another run is writing into it.
        OSError: If the folder cannot be made or written.
    """
    made = _make(folder)
    lock = filelock.FileLock(folder / LOCK_FILE, timeout=0)
    try:
        _acquire(lock, folder)
        try:
            yield
        finally:
            if lock.is_locked:
                # Removed while it is held; who has opened it by then starts over.
                with suppress(OSError):
                    Path(lock.lock_file).unlink()
                lock.release()
    finally:
        with suppress(OSError):
            for path in made:
                path.rmdir()  # OSError unless it is empty


def _make(folder: Path) -> list[Path]:
    """Make a folder; return those that were missing, the deepest first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _acquire(lock: filelock.BaseFileLock, folder: Path) -> None:
    try:
        missing = acquire(lock)
    except filelock.Timeout:
        raise ConfigError(
            f"output_dir: {folder} is in use by another run; expected a folder of its own, or to "
            "wait until that run has ended"
        ) from None
    if missing is not None:
        log.warning("%s: no lock (%s); other runs are not kept out", folder, missing)
