"""The functions that read and write scan files by the table of formats.

Data flow: [file] -> Recorded -> fields -> RawData -> groups -> ...
"""

from collections.abc import Iterable
from pathlib import Path

from ptycho.errors import ConfigError, DataError
from ptycho.io.containers import HDF5, LONGEST_MAGIC
from ptycho.io.fields import ScanFields
from ptycho.io.format_table import FORMATS, Format
from ptycho.io.reading import Reading
from ptycho.io.recorded import Recorded


def read_fields(path: Path | str, reading: Reading | None = None) -> ScanFields:
    """Read the scan in a file of any known format, and in the files to be joined with it.

    Args:
        path: The file; a folder of frames, where the format is one.
        reading: What the file leaves open or states wrongly.

    Raises:
        DataError: If the file is missing, damaged or in an unknown format, or a part of the scan
            is missing.
        ConfigError: If a setting of `reading` does not fit the file.
    """
    from ptycho.io.assemble import assemble
    from ptycho.io.joining import join

    path, reading = Path(path), reading or Reading()
    files = (path, *reading.join)
    if reading.mapped and not any(HDF5.holds(_head(each), each) for each in files):
        raise ConfigError(f"map: paths in HDF5 files; {path} is none")
    parts = [read_recorded(each, reading) for each in files]
    fields = assemble(str(path), join(str(path), parts), reading)
    return {**fields, "path": path, "joined": reading.join, "skipped": reading.skip}


def read_recorded(path: Path, reading: Reading) -> Recorded:
    """Return what one file states.

    Raises:
        DataError: See `read_fields`.
    """
    if reading.mapped and HDF5.holds(_head(path), path):
        from ptycho.io.readers.mapped import read_mapped

        return read_mapped(path, reading.mapped)
    return FORMATS[recognise(path)].load()(path)


def write_fields(path: Path | str, fields: ScanFields) -> None:
    """Write a scan as PtychoPINN NPZ, the one format that is written.

    Args:
        path: The file; its folder is created when missing. It is complete or not there.
        fields: The scan.

    Raises:
        DataError: If the name does not end in .npz, or the folder cannot be written.
    """
    from ptycho.io.ptychopinn import write

    path = Path(path)
    if path.suffix.lower() != ".npz":
        raise DataError(f"{path}: cannot be written as a scan; expected a name that ends in .npz")
    write(path, fields)


def recognise(path: Path) -> str:
    """Return the name of a file's format, from its first bytes and its entries.

    Raises:
        DataError: If the file is missing, damaged or in an unknown format.
    """
    head = _head(path)
    rows = {name: row for name, row in FORMATS.items() if row.container.holds(head, path)}
    if not rows:
        kind = "a folder" if path.is_dir() else f"unknown kind of file (begins with {head[:8]!r})"
        raise DataError(f"{path}: {kind}; expected {_known(FORMATS.items())}")
    found = _entries(path, head)
    fitting = {
        name: max(len(entries) for entries in row.signatures if entries <= found)
        for name, row in rows.items()
        if any(entries <= found for entries in row.signatures)
    }
    if not fitting:
        raise DataError(f"{path}: {_misfit(found, rows)}")
    return max(fitting, key=lambda name: fitting[name])


def entries_of(path: Path) -> frozenset[str]:
    """Return the names of a file's entries; none where its kind of file has no names.

    Raises:
        DataError: If the file is missing or damaged.
    """
    return _entries(path, _head(path))


def _head(path: Path) -> bytes:
    if path.is_dir():
        return b""
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected {_known(FORMATS.items())}")
    try:
        with path.open("rb") as file:
            return file.read(LONGEST_MAGIC)
    except OSError as problem:
        raise DataError(
            f"{path}: cannot be opened ({problem.strerror}); expected a readable file"
        ) from None


def _entries(path: Path, head: bytes) -> frozenset[str]:
    for row in FORMATS.values():
        if row.container.holds(head, path) and row.container.entries is not None:
            return row.container.entries(path)
    return frozenset()


def _misfit(found: frozenset[str], rows: dict[str, Format]) -> str:
    """Return how the entries of a file miss the nearest format."""
    missing = {
        (name, signature): signature - found
        for name, row in rows.items()
        for signature in row.signatures
        if 2 * len(signature & found) >= len(signature)
    }
    if not missing:
        of_hdf5 = any(row.container is HDF5 for row in rows.values())
        remedy = "name its paths: --map frames=/PATH --map x=/PATH,unit=um --map y=/PATH,unit=um"
        return f"entries {_shortened(found)} fit no known format; expected " + (
            f"those of one in docs/FILE_FORMATS.md; {remedy}" if of_hdf5 else _known(rows.items())
        )
    fewest = min(len(names) for names in missing.values())
    name = next(key[0] for key, names in missing.items() if len(names) == fewest)
    lacking = [
        ", ".join(sorted(names))
        for key, names in missing.items()
        if key[0] == name and len(names) == fewest
    ]
    return (
        f"no entry {' or '.join(lacking)} among those found ({_shortened(found)}); expected it in "
        f"a {name} scan"
    )


def _known(rows: Iterable[tuple[str, Format]]) -> str:
    kinds = dict.fromkeys(row.container.name for _, row in rows)
    return f"a scan file: {', '.join(kinds)}; docs/FILE_FORMATS.md lists the formats"


def _shortened(names: frozenset[str], most: int = 8) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return (", ".join(listed[:most]) or "none") + more
