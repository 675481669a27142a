"""Files that are complete or not there: written elsewhere and moved into place in one step.

Knows paths, text and JSON; no arrays, no runs.
"""

import contextlib
import hashlib
import json
import math
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

PART = ".part"
"""End of the name of a file that is being written."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; move it to `path` at the end.

    After an exception the temporary file is removed and `path` is as it was.

    Args:
        path: the file to write; its folder must exist.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PART}")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8); an existing one is replaced in one step.

    Bytes of a file name that are not UTF-8 are written escaped.

    Raises:
        OSError: If the folder cannot be written; `path` is as it was.
    """
    with (
        replacing(path) as temporary,
        temporary.open("x", encoding="utf-8", errors="backslashreplace") as file,
    ):
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def write_json(path: Path, document: Mapping[str, Any], *, indent: int = 2) -> None:
    """Write a JSON document; numbers that are not finite become null.

    Args:
        path: the file; an existing one is replaced in one step.
        document: names and values; NumPy numbers, arrays and paths are converted.
        indent: spaces of each level.

    Raises:
        OSError: If the folder cannot be written; `path` is as it was.
    """
    write_text(path, json.dumps(plain(document), indent=indent, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it, through all levels; None for nan and infinity."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.generic | np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def file_checksum(path: Path) -> str:
    """Return the SHA-256 of a file, as `sha256sum` prints it.

    Raises:
        OSError: If the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
