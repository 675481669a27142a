"""The table of known formats, and the two functions that use it.

Way of the data: [file] -> RawData -> groups -> ...
A format is one row: how its files end, which entries they have, and which function reads them. The
function is imported when it is called, so a format with a heavy or an optional library costs
nothing until it is met. A new format needs a row here and a reader; nothing else changes.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ptycho.errors import DataError
from ptycho.io.npz import UNREADABLE, NpzFile
from ptycho.scan.raw_data import Measurement, RawData


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """How the files of one format are known and read."""

    name: str
    """What people call it."""

    suffixes: tuple[str, ...]
    """Endings of its files, lower case."""

    signatures: tuple[frozenset[str], ...]
    """Sets of entries; a file that has all entries of any one set is of this format."""

    reader: str
    """`module:function`, called as function(path, measurement, mask)."""


FORMATS = (
    Format(
        name="PtychoPINN NPZ",
        suffixes=(".npz",),
        signatures=(
            frozenset({"xcoords", "ycoords", "diff3d"}),
            frozenset({"xcoords", "ycoords", "diffraction"}),
        ),
        reader="ptycho.io.ptychopinn:read",
    ),
    Format(
        name="counts NPZ",
        suffixes=(".npz",),
        signatures=(frozenset({"counts", "position_row", "position_col", "probe"}),),
        reader="ptycho.io.counts:read",
    ),
)
"""Every format that `read_scan` knows; the first row that fits a file is taken."""


def read_scan(
    path: Path | str,
    *,
    measurement: Measurement | None = None,
    mask: np.ndarray | None = None,
) -> RawData:
    """Read a scan file of any known format.

    Args:
        path: the file.
        measurement: what its frames are; None believes the file.
        mask: (N, N) True on good pixels; None believes the file.

    Returns:
        The scan, checked.

    Raises:
        DataError: If the file is missing, of no known format, or not a sound scan.
    """
    path = Path(path)
    module, function = recognise(path).reader.split(":")
    return getattr(importlib.import_module(module), function)(path, measurement, mask)


def write_scan(path: Path | str, raw: RawData) -> Path:
    """Write a scan in the one format that everything here reads, PtychoPINN NPZ.

    Args:
        path: the file; its folder is made when missing.
        raw: the scan.

    Returns:
        The path.

    Raises:
        DataError: If the name does not end in .npz.
    """
    path = Path(path)
    if path.suffix.lower() != ".npz":
        raise DataError(f"{path}: cannot be written as a scan; expected a name that ends in .npz")
    path.parent.mkdir(parents=True, exist_ok=True)
    raw.save(path)
    return path


def recognise(path: Path) -> Format:
    """Return the format of a file, from its ending and the names of its entries.

    Raises:
        DataError: If the file is missing, or of no known format.
    """
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise DataError(f"{path}: {what}; expected a scan file ({_known_formats(FORMATS)})")
    by_suffix = [row for row in FORMATS if path.suffix.lower() in row.suffixes]
    if not by_suffix:
        raise DataError(
            f"{path}: unknown ending {path.suffix or '(none)'!r}; "
            f"expected {_known_formats(FORMATS)}"
        )
    found = CONTAINERS[path.suffix.lower()](path)
    for row in by_suffix:
        if any(signature <= found for signature in row.signatures):
            return row
    raise DataError(
        f"{path}: entries {_shortened(found)} fit no known format; "
        f"expected {_known_formats(by_suffix)}"
    )


def _npz_entries(path: Path) -> frozenset[str]:
    """Return the names of the arrays in an .npz without reading them."""
    try:
        return frozenset(NpzFile(path))
    except UNREADABLE as problem:
        raise DataError(f"{path}: cannot be opened ({problem}); expected an .npz archive") from None


def read_mask(path: Path) -> np.ndarray:
    """Read which pixels are good: an array in .npy, or in .npz the entry mask or the only one.

    Args:
        path: the file; what the array must fulfil, RawData checks.

    Raises:
        DataError: If there is no such file or no such array in it.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected a mask (.npy or .npz)")
    try:
        if path.suffix.lower() == ".npy":
            return np.load(path, allow_pickle=False)
        archive = NpzFile(path)
        names = list(archive)
        if "mask" in names or len(names) == 1:
            return archive["mask" if "mask" in names else names[0]]
    except UNREADABLE as problem:
        raise DataError(f"{path}: cannot be read ({problem}); expected .npy or .npz") from None
    raise DataError(f"{path}: entries {_shortened(frozenset(names))}; expected one named mask")


CONTAINERS: dict[str, Callable[[Path], frozenset[str]]] = {".npz": _npz_entries}
"""How the names of the entries are listed, by ending."""


def _known_formats(rows: tuple[Format, ...] | list[Format]) -> str:
    def entries(row: Format) -> str:
        return " or ".join(", ".join(sorted(signature)) for signature in row.signatures)

    return "; ".join(f"{row.name} ({', '.join(row.suffixes)} with {entries(row)})" for row in rows)


def _shortened(names: frozenset[str], most: int = 8) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return (", ".join(listed[:most]) or "(none)") + more
