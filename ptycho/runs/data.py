"""What a record says of an input of a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ptycho.io.atomic import file_checksum


def data_entry(
    role: str, path: Path | None, facts: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return an input of a run as its record lists it.

    Args:
        role: name of the setting that it came from, for example `test_data`.
        path: of the file; None for a scan made in memory.
        facts: more about it: `n_frames`, `frame_size` (pixels), `photons_per_frame`,
            `pixel_size_m`, `probe_diameter` (object pixels), `skipped` (numbers of frames).

    Returns:
        `role`, `path`, `sha256` and `bytes`, null for what is no file, and the facts.

    Raises:
        OSError: If the file cannot be read.
    """
    checksum, n_bytes = None, None
    if path is not None and path.is_file():
        checksum, n_bytes = file_checksum(path), path.stat().st_size
    return {
        "role": role,
        "path": None if path is None else str(path.absolute()),
        "sha256": checksum,
        "bytes": n_bytes,
        **(facts or {}),
    }
