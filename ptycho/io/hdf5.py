"""HDF5 files: what is in them, and frames that stay in them until they are asked for.

Data flow: [file] -> Recorded -> fields -> RawData -> ...
Faults of the file become one line: a broken link, a missing source of a virtual data set (HDF5
itself returns zeros there), a missing decompression filter, a truncated file.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Int, Shaped

from ptycho.errors import DataError
from ptycho.io.fields import LazyFrames

MAGIC = b"\x89HDF\r\n\x1a\n"

_MOST_ENTRIES = 20_000
_FILTERS = {32001: "blosc", 32004: "LZ4", 32008: "bitshuffle/LZ4", 32015: "zstd", 32026: "blosc2"}
_LARGEST_GAP = 16  # frames read and dropped rather than starting another read
_BYTES_AT_ONCE = 2**26
_TEXT = (bytes, np.bytes_)


class Hdf5File:
    """An open HDF5 file whose faults are DataErrors; use it in a `with` statement.

    Raises:
        DataError: If it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = h5py.File(path, "r")
        except (OSError, RuntimeError) as problem:
            raise DataError(
                f"{path}: cannot be opened as HDF5 ({_reason(problem)}); expected a complete file"
            ) from None

    def __enter__(self) -> "Hdf5File":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def get(self, name: str) -> h5py.Dataset | h5py.Group | None:
        """Return a data set or group; None if there is none, or a link to it is broken."""
        try:
            return self._file.get(name)
        except (KeyError, OSError, RuntimeError):
            return None

    def dataset(self, name: str) -> h5py.Dataset:
        """Return a data set.

        Raises:
            DataError: If there is none; a broken external link is named with its target.
        """
        found = self.get(name)
        if isinstance(found, h5py.Dataset):
            return found
        broken = self.broken_link(name)
        if broken is not None:
            raise DataError(f"{self.path}: {name} links to {broken}; expected that file next to it")
        what = "a group" if found is not None else "no such entry"
        raise DataError(f"{self.path}: {name}: {what}; expected a data set")

    def first(self, *names: str) -> h5py.Dataset | None:
        """Return the first of these data sets that exists."""
        for name in names:
            found = self.get(name)
            if isinstance(found, h5py.Dataset):
                return found
            if self.broken_link(name) is not None:
                self.dataset(name)  # raises
        return None

    def broken_link(self, name: str) -> str | None:
        """Return the file that a broken external link on the way to an entry names, or None."""
        parts = [part for part in name.split("/") if part]
        for depth in range(1, len(parts) + 1):
            place = "/".join(parts[:depth])
            try:
                link = self._file.get(place, getlink=True)
            except (KeyError, RuntimeError, OSError):
                return None
            if isinstance(link, h5py.ExternalLink) and self.get(place) is None:
                target = self.path.parent / link.filename
                missing = "which does not exist" if not target.exists() else "which lacks it"
                return f"{link.filename}:{link.path}, {missing}"
        return None

    def array(self, *names: str) -> np.ndarray | None:
        """Return the values of the first of these data sets that exists, read now."""
        found = self.first(*names)
        return None if found is None else read_whole(self.path, found)

    def number(self, *names: str) -> float | None:
        """Return the first of these entries that is one finite number, an array of one included."""
        found = self.first(*names)
        if found is None or found.dtype.kind not in "iufb" or found.size != 1:
            return None
        value = float(np.asarray(found[()]).reshape(-1)[0])
        return value if np.isfinite(value) else None

    def text(self, *names: str) -> str:
        """Return the first of these entries as text; empty if there is none."""
        found = self.first(*names)
        if found is None or found.size != 1:
            return ""
        value = np.asarray(found[()]).reshape(-1)[0]
        return plain_text(value)

    def attribute(self, name: str, key: str) -> Any:
        """Return an attribute of a data set, a group or (name "/") the file; None without."""
        found = self._file if name == "/" else self.get(name)
        if found is None or key not in found.attrs:
            return None
        value = found.attrs[key]
        return plain_text(value) if isinstance(value, (*_TEXT, str)) else value

    def names(self, group: str = "/") -> list[str]:
        """Return the names in a group."""
        found = self.get(group)
        return list(found) if isinstance(found, h5py.Group) else []

    def frames(self, name: str) -> LazyFrames:
        """Return a data set (M, H, W), or a raster (rows, columns, H, W), as frames in the file.

        Raises:
            DataError: If it is no such stack, a source of it is missing, or its filter is.
        """
        data = self.dataset(name)
        # Behind an external link a data set is named after its place in the target file.
        path = Path(data.file.filename)
        check_sources(path, data)
        check_filter(path, data)
        return frames_in(path, data)


def entries(path: Path) -> frozenset[str]:
    """Return the paths of all groups and data sets of a file, without the leading slash.

    Raises:
        DataError: If the file is damaged.
    """
    with Hdf5File(path) as file:
        try:
            return frozenset(_walk(file))
        except (OSError, RuntimeError, KeyError, ValueError) as problem:
            raise DataError(
                f"{path}: cannot be listed ({_reason(problem)}); expected a complete file"
            ) from None


def _walk(file: Hdf5File) -> Iterator[str]:
    """Yield entries breadth first; links to other files count, whole or broken, unopened."""
    waiting, n, seen = [""], 0, set()
    while waiting:
        place = waiting.pop(0)
        group = file.get(place or "/")
        if not isinstance(group, h5py.Group) or group.id.__hash__() in seen:
            continue
        seen.add(group.id.__hash__())
        for name in group:
            path = f"{place}/{name}".lstrip("/")
            n += 1
            if n > _MOST_ENTRIES:
                return
            yield path
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.HardLink) and group.get(name, getclass=True) is h5py.Group:
                waiting.append(path)


def frames_in(path: Path, data: h5py.Dataset) -> LazyFrames:
    """Return frames that are read by slices when they are indexed; the file is opened again then.

    Args:
        path: of the file.
        data: (M, H, W) or (rows, columns, H, W); a colour axis of length 1 is dropped.
    """
    shape = data.shape
    if len(shape) == 2:
        shape = (1, *shape)
    leading, frame = shape[:-2], shape[-2:]
    if len(leading) == 2 and leading[1] == 1 and shape[0] > 1:
        leading = (leading[0],)  # (n, channel, H, W)
    if len(leading) not in (1, 2):
        raise DataError(
            f"{path}: {data.name} has shape {data.shape}; expected (frames, rows, columns), or "
            "(scan rows, scan columns, rows, columns)"
        )
    reader = _Slices(path, data.name, shape[:-2], frame)
    return LazyFrames((int(np.prod(leading)), *frame), data.dtype, reader)


class _Slices:
    """Reads frames of one data set; keeps the file open in the process that reads."""

    def __init__(
        self, path: Path, name: str, leading: tuple[int, ...], frame: tuple[int, int]
    ) -> None:
        self._path, self._name, self._leading, self._frame = path, name, leading, frame
        self._owner = -1
        self._file: h5py.File | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_owner": -1, "_file": None}

    def _data(self) -> h5py.Dataset:
        if self._file is None or self._owner != os.getpid():
            # A forked process must not share the handle.
            self._file, self._owner = h5py.File(self._path, "r"), os.getpid()
        return self._file[self._name]

    def __call__(self, numbers: Int[np.ndarray, " n"]) -> Shaped[np.ndarray, "n row col"]:
        """Return frames by ascending number."""
        try:
            data = self._data()
            found = np.empty((len(numbers), *self._frame), data.dtype)
            each = data.dtype.itemsize * self._frame[0] * self._frame[1]
            for begin, end in _runs(numbers, max(1, _BYTES_AT_ONCE // max(each, 1))):
                first, last = int(numbers[begin]), int(numbers[end - 1]) + 1
                found[begin:end] = self._between(data, first, last)[numbers[begin:end] - first]
        except (OSError, RuntimeError, KeyError) as problem:
            raise DataError(
                f"{self._path}: {self._name} cannot be read ({_reason(problem)}); expected a "
                "complete file"
            ) from None
        return found

    def _between(self, data: h5py.Dataset, first: int, last: int) -> Shaped[np.ndarray, "n h w"]:
        if data.ndim == 2:
            return np.asarray(data[()])[None]
        if data.ndim == 3:
            return np.asarray(data[first:last])
        columns = self._leading[1]
        rows = np.asarray(data[first // columns : -(-last // columns)])
        flat = rows.reshape(-1, *self._frame)
        skipped = first - first // columns * columns
        return flat[skipped : skipped + last - first]


def _runs(numbers: Int[np.ndarray, " n"], most: int) -> Iterator[tuple[int, int]]:
    """Yield (begin, end) of runs of ascending numbers without large gaps, `most` frames at most."""
    begin = 0
    for i in range(1, len(numbers) + 1):
        far = i == len(numbers) or numbers[i] - numbers[i - 1] > _LARGEST_GAP
        if far or numbers[i] - numbers[begin] >= most:
            yield begin, i
            begin = i


def check_sources(path: Path, data: h5py.Dataset) -> None:
    """Raise DataError if a virtual data set refers to files that are missing.

    HDF5 returns the fill value, usually 0, for what is missing, without an error.
    """
    if not data.is_virtual:
        return
    files = {source.file_name for source in data.virtual_sources()}
    missing = sorted(f for f in files if f != "." and not (path.parent / f).exists())
    if missing:
        raise DataError(
            f"{path}: {data.name} is virtual and {len(missing)} of its {len(files)} source files "
            f"are missing, the first {missing[0]}; expected them next to it (HDF5 reads zeros "
            "there)"
        )


def check_filter(path: Path, data: h5py.Dataset) -> None:
    """Raise DataError if a decompression filter of a data set is not installed.

    The filters of hdf5plugin are registered by importing it, once it is needed.
    """
    needed = _missing_filters(data)
    if not needed:
        return
    try:
        import hdf5plugin  # noqa: F401  # registers its filters
    except ImportError:
        pass
    else:
        needed = _missing_filters(data)
    if needed:
        named = ", ".join(
            f"{_FILTERS.get(n, 'an unknown filter')} (HDF5 filter {n})" for n in needed
        )
        raise DataError(
            f"{path}: {data.name} is compressed with {named}, which is not installed; expected: "
            "pip install 'ptycho[compressed]'"
        )


def _missing_filters(data: h5py.Dataset) -> list[int]:
    plist = data.id.get_create_plist()
    if data.is_virtual or plist.get_layout() != h5py.h5d.CHUNKED:
        return []
    numbers = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
    return [number for number in numbers if not h5py.h5z.filter_avail(number)]


def read_whole(path: Path, data: h5py.Dataset) -> np.ndarray:
    """Return all values of a data set.

    Raises:
        DataError: If it cannot be read.
    """
    check_sources(path, data)
    check_filter(path, data)
    try:
        return np.asarray(data[()])
    except (OSError, RuntimeError) as problem:
        raise DataError(
            f"{path}: {data.name} cannot be read ({_reason(problem)}); expected a complete file"
        ) from None


def plain_text(value: Any) -> str:
    """Return text that HDF5 holds as bytes or as str."""
    return value.decode("utf-8", "replace") if isinstance(value, _TEXT) else str(value)


def _reason(problem: BaseException) -> str:
    """Return the last sentence of HDF5's message in one line."""
    return " ".join(str(problem).split())[:200] or type(problem).__name__
