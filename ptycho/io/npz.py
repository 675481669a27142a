"""An .npz archive whose arrays can be memory-mapped, written completely or not at all.

Serves scan files, groups caches and results; knows none of them.

A member stored without compression is plain bytes inside the file, so NumPy can map it. The
writer pads each member's header so that the bytes start at a multiple of 64, and moves the
finished file into place in one step: a reader never sees half a file.
"""

import math
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np

from ptycho.errors import DataError
from ptycho.io.atomic import replacing
from ptycho.io.fields import LazyFrames, blocks

_ALIGNMENT = 64
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, ..., length of the name, of the extra field
_PADDING_ID = 0xD935  # the extra field that other zip writers use for alignment
_LARGE_FROM = 2**30  # bytes; such members get the longer header that has room for their size
UNREADABLE = (
    zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError, RuntimeError,
    MemoryError, OverflowError,
)  # fmt: skip
"""What opening or reading a damaged or foreign archive may raise."""

_HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def write_npz(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays uncompressed and aligned; an existing file is replaced in one step.

    Args:
        path: The archive.
        arrays: Name -> array, number or text, no objects; frames still in their file are copied
            some at a time.

    Raises:
        OSError: When the folder cannot be written; no trace is left.
    """
    with replacing(path) as temporary, temporary.open("x+b") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, array in arrays.items():
                lazy = isinstance(array, LazyFrames)
                _write_member(archive, file, name, array if lazy else np.asanyarray(array))
        file.flush()
        os.fsync(file.fileno())


def open_npz(path: Path, *, expected: str = "a scan file") -> "NpzFile":
    """Open an archive that a user named.

    Args:
        path: The archive.
        expected: What the user should have named, for errors.

    Raises:
        DataError: If the file is missing, damaged or no archive.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
        raise DataError(f"{path}: {found}; expected {expected}")
    try:
        return NpzFile(path)
    except UNREADABLE as problem:
        raise DataError(
            f"{path}: cannot be opened ({reason(problem)}); expected an .npz archive; copy or "
            "download it again if it should be one"
        ) from None


def reason(problem: Exception) -> str:
    """Return the message of a reading error, in one line."""
    lines = str(getattr(problem, "strerror", None) or problem).splitlines()
    return lines[0] if lines else type(problem).__name__


class NpzFile:
    """The arrays of an archive by name; mapped when stored uncompressed, else read on access.

    Args:
        path: The archive.

    Raises:
        OSError, zipfile.BadZipFile: If the file is missing or no archive; see UNREADABLE.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        with zipfile.ZipFile(self.path) as archive:
            self._members = {info.filename.removesuffix(".npy"): info for info in archive.filelist}

    def __getitem__(self, name: str) -> np.ndarray:
        """Return one array; ValueError when it holds Python objects."""
        mapped = self._mapped(self._members[name])
        return self.read(name) if mapped is None else mapped

    def entry(self, name: str, *, expected: str = "it in the file") -> np.ndarray:
        """Return one array of a file that a user named.

        Args:
            name: Of the array.
            expected: Completes the error where it is missing.

        Raises:
            DataError: If it is missing or cannot be read.
        """
        if name not in self:
            found = ", ".join(sorted(self)) or "none"
            raise DataError(
                f"{self.path}: no entry {name} among those found ({found}); expected {expected}"
            )
        try:
            return self[name]
        except UNREADABLE as problem:
            raise DataError(
                f"{self.path}: entry {name} cannot be read ({reason(problem)}); expected an array "
                "of numbers"
            ) from None

    def __contains__(self, name: object) -> bool:
        """Return whether there is an array of this name, without reading it."""
        return name in self._members

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._members)

    def __len__(self) -> int:
        """Return the number of arrays."""
        return len(self._members)

    def read(self, name: str) -> np.ndarray:
        """Return one array copied into memory, its check sum verified."""
        with zipfile.ZipFile(self.path) as archive, archive.open(self._members[name]) as file:
            array: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
            if file.read(1):
                raise ValueError(f"{name}: bytes left over behind the array")
            return array

    def _mapped(self, info: zipfile.ZipInfo) -> np.ndarray | None:
        """Return the array as a read-only map of the file, or None where that is impossible."""
        encrypted = info.flag_bits & 0x1
        if info.compress_type != zipfile.ZIP_STORED or encrypted:
            return None
        with self.path.open("rb") as file:
            start = _start_of_data(file, info)
            version = np.lib.format.read_magic(file)
            if version not in _HEADER_READERS:
                return None
            shape, columns_first, dtype = _HEADER_READERS[version](file)
            n_bytes = dtype.itemsize * int(np.prod(shape, dtype=object))
            if dtype.hasobject or not shape or n_bytes == 0:
                return None
            offset = file.tell()
        if offset - start + n_bytes != info.file_size:
            raise ValueError(
                f"{info.filename}: the header announces {n_bytes} bytes, "
                f"{info.file_size - offset + start} are stored"
            )
        mapped: np.ndarray = np.memmap(
            self.path, dtype=dtype, mode="r", offset=offset, shape=shape,
            order="F" if columns_first else "C",
        )  # fmt: skip
        return mapped


def _start_of_data(file: IO[bytes], info: zipfile.ZipInfo) -> int:
    """Return where the bytes of a member begin, and leave the file there."""
    file.seek(info.header_offset)
    signature, name_length, extra_length = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    if signature != b"PK\x03\x04":
        raise zipfile.BadZipFile(f"{info.filename}: no member where the directory points")
    return file.seek(name_length + extra_length, os.SEEK_CUR)


def _write_member(
    archive: zipfile.ZipFile, file: IO[bytes], name: str, array: np.ndarray | LazyFrames
) -> None:
    if array.dtype.hasobject:
        raise ValueError(f"{name}: holds Python objects; expected numbers or text")
    info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
    info.external_attr = 0o644 << 16
    large = math.prod(array.shape) * array.dtype.itemsize >= _LARGE_FROM
    plain_header = _LOCAL_HEADER.size + len(info.filename.encode()) + (20 if large else 0)
    padding = -(file.tell() + plain_header + 4) % _ALIGNMENT
    info.extra = struct.pack("<HH", _PADDING_ID, padding) + bytes(padding)
    with archive.open(info, "w", force_zip64=large) as member:
        if isinstance(array, LazyFrames):
            _write_frames(member.write, array)
        else:
            np.lib.format.write_array(member, array, version=None, allow_pickle=False)


def _write_frames(write: Callable[[Any], int], frames: LazyFrames) -> None:
    """Write frames as `np.lib.format.write_array` writes the array of all."""
    kind = np.lib.format.dtype_to_descr(frames.dtype)
    header = BytesIO()
    described = {"descr": kind, "fortran_order": False, "shape": frames.shape}
    np.lib.format.write_array_header_1_0(header, described)
    write(header.getvalue())
    for block in blocks(frames):
        write(np.ascontiguousarray(block, frames.dtype).data)
