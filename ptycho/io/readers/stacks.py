"""Frames inside plain files and arrays of any axis order, read when they are indexed.

Data flow: [file] -> Recorded -> fields -> RawData -> ...
Two layouts cover the containers of electron microscopy: records, frames at equal distances in a
file of bytes, and arrays of 3 or 4 axes in any order (HDF5, Zarr, memory maps).
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Int, Shaped

from ptycho.errors import DataError
from ptycho.io.fields import LazyFrames
from ptycho.io.units import metres_per

_MOST_AT_ONCE = 256  # frames in one read


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """Which axes of a stored array are which."""

    scan: tuple[int, ...]
    """Scan rows and columns, slow first; one axis for a plain stack."""

    frame: tuple[int, int]
    """Rows and columns of a frame."""

    @classmethod
    def leading(cls, ndim: int) -> "Axes":
        """Return the common order: scan first, then rows and columns of a frame."""
        return cls(scan=tuple(range(ndim - 2)), frame=(ndim - 2, ndim - 1))

    def frame_shape(self, shape: Sequence[int]) -> tuple[int, int]:
        """Return (H, W) for an array of some shape."""
        return shape[self.frame[0]], shape[self.frame[1]]

    def raster(self, shape: Sequence[int]) -> tuple[int, int] | None:
        """Return (rows, columns) of the scan for an array of some shape; None with one axis."""
        return (shape[self.scan[0]], shape[self.scan[1]]) if len(self.scan) == 2 else None


class OpenHdf5:
    """Opens one data set of an HDF5 file."""

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name

    def __call__(self) -> Any:
        """Return the data set, its file open for reading."""
        return h5py.File(self._path, "r")[self._name]


def frames_of(where: str, array: Any, axes: Axes, opened: Callable[[], Any]) -> LazyFrames:
    """Return an array of 3 or 4 axes as frames (M, H, W), row after row of the scan.

    Args:
        where: the file and entry, for errors.
        array: anything with `shape` and `dtype` that is indexed by slices.
        axes: what its axes are.
        opened: returns the array in the process that reads; can be sent to another process.

    Raises:
        DataError: If its values are no real numbers.
    """
    dtype = np.dtype(array.dtype)
    if dtype.kind not in "iufb":
        raise DataError(f"{where}: values of type {dtype}; expected frames of real numbers")
    shape = tuple(int(array.shape[axis]) for axis in axes.scan)
    reader = _Picked(where, shape, axes, opened)
    height, width = axes.frame_shape(array.shape)
    n = int(np.prod(shape))
    return LazyFrames((n, int(height), int(width)), dtype.newbyteorder("="), reader)


class _Picked:
    """Reads frames of one array by number; opens it once in every process that reads."""

    def __init__(
        self, where: str, shape: tuple[int, ...], axes: Axes, opened: Callable[[], Any]
    ) -> None:
        self._where, self._shape, self._axes, self._open = where, shape, axes, opened
        self._owner, self._array = -1, None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_owner": -1, "_array": None}

    def __call__(self, numbers: Int[np.ndarray, " n"]) -> Shaped[np.ndarray, "n row col"]:
        """Return frames by ascending number."""
        if self._owner != os.getpid():  # a forked process must not share a handle
            self._array, self._owner = self._open(), os.getpid()
        try:
            parts = [self._block(block) for block in self._blocks(numbers)]
        except (OSError, RuntimeError, KeyError, ValueError) as problem:
            raise DataError(
                f"{self._where}: cannot be read ({' '.join(str(problem).split())[:200]}); expected "
                "a complete file"
            ) from None
        if not parts:
            parts = [self._block(np.arange(1))[:0]]
        found = np.concatenate(parts)
        return found.astype(found.dtype.newbyteorder("="), copy=False)

    def _blocks(self, numbers: Int[np.ndarray, " n"]) -> list[Int[np.ndarray, " m"]]:
        """Return the numbers in groups with a common scan row, not too long or scattered."""
        row = numbers // self._shape[-1]
        ends = np.flatnonzero((np.diff(row) > 0) | (np.diff(numbers) > 16)) + 1
        groups = np.split(numbers, ends) if len(numbers) else []
        return [
            group[i : i + _MOST_AT_ONCE]
            for group in groups
            for i in range(0, len(group), _MOST_AT_ONCE)
        ]

    def _block(self, numbers: Int[np.ndarray, " m"]) -> Shaped[np.ndarray, "m row col"]:
        """Return frames of one scan row."""
        places = np.unravel_index(numbers, self._shape)
        inner = places[-1]
        index: list[Any] = [slice(None)] * (len(self._shape) + 2)
        for axis, place in zip(self._axes.scan[:-1], places[:-1], strict=True):
            index[axis] = slice(int(place[0]), int(place[0]) + 1)
        index[self._axes.scan[-1]] = slice(int(inner[0]), int(inner[-1]) + 1)
        assert self._array is not None
        block = np.asarray(self._array[tuple(index)])
        order = (*self._axes.scan, *self._axes.frame)
        upright = block.transpose(order).reshape(-1, *self._axes.frame_shape(block.shape))
        return upright[inner - inner[0]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Records in a file: headers and frames at equal distances."""

    frame: tuple[int, ...]
    """Shape of what is stored for one frame, (H, W) where nothing is packed."""

    dtype: str
    """Type of a stored value, with its byte order."""

    begin: int = 0
    """Byte of the first record."""

    header: int = 0
    """Bytes before the frame in every record."""

    footer: int = 0
    """Bytes after it."""

    def record(self) -> np.dtype[Any]:
        """Return the type of one record."""
        return np.dtype(
            {
                "names": ["frame"],
                "formats": [(self.dtype, self.frame)],
                "offsets": [self.header],
                "itemsize": self.header + self.n_bytes() + self.footer,
            }
        )

    def n_bytes(self) -> int:
        """Return the bytes of a frame."""
        return int(np.prod(self.frame)) * np.dtype(self.dtype).itemsize


Decoder = Callable[[Shaped[np.ndarray, "n ..."]], Shaped[np.ndarray, "n row col"]]
"""From stored frames to pixels."""


def records(path: Path, layout: Layout, n: int, decode: Decoder | None = None) -> LazyFrames:
    """Return the frames of a file of records, mapped into memory.

    Args:
        path: the file.
        layout: of its records.
        n: how many there are.
        decode: from stored frames to pixels; None where they are the same. A plain function, so
            that frames can be sent to another process.

    Raises:
        DataError: If the file is shorter than that, or n is 0.
    """
    needed = layout.begin + n * layout.record().itemsize
    found = path.stat().st_size
    if n < 1 or found < needed:
        raise DataError(
            f"{path}: {found} bytes; expected {needed} for {n} frames of "
            f"{' x '.join(map(str, layout.frame))} values of type {np.dtype(layout.dtype)}"
        )
    reader = _Mapped(path, layout, n, decode)
    example = reader(np.arange(1))
    height, width = example.shape[1:]
    return LazyFrames((n, height, width), example.dtype, reader)


class _Mapped:
    """Reads records of a file; a copy in another process maps the file again."""

    def __init__(self, path: Path, layout: Layout, n: int, decode: Decoder | None) -> None:
        self._path, self._layout, self._n, self._decode = path, layout, n, decode
        self._map: np.ndarray | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_map": None}

    def __call__(self, numbers: Int[np.ndarray, " n"]) -> Shaped[np.ndarray, "n row col"]:
        """Return frames by ascending number."""
        if self._map is None:
            begin, dtype = self._layout.begin, self._layout.record()
            self._map = np.memmap(self._path, dtype, "r", offset=begin, shape=(self._n,))
        stored = np.asarray(self._map["frame"][numbers])
        stored = stored.astype(stored.dtype.newbyteorder("="), copy=False)
        return stored if self._decode is None else self._decode(stored)


def reciprocal_pixel_m(
    step: float, unit: str, size: int, wavelength_m: float | None = None
) -> float | None:
    """Return the object pixel of frames whose pixels are calibrated, metres; None without unit.

        object pixel = 1 / (N dq),  dq = angle / wavelength

    Args:
        step: dq, the size of a detector pixel in `unit`.
        unit: 1/length as any program spells it (`A^-1`, `1/nm`, `[1_/_n_m]`), mrad or rad.
        size: N, pixels per side of a frame.
        wavelength_m: needed for an angle.
    """
    word = "".join(c for c in unit if c not in "[]_ ()").replace("⁻¹", "^-1")
    if not np.isfinite(step) or step <= 0:
        return None
    if word in ("mrad", "rad"):
        angle = step * (1e-3 if word == "mrad" else 1.0)
        return None if wavelength_m is None else wavelength_m / (size * angle)
    for before, after in (("1/", ""), ("", "^-1"), ("", "-1")):
        if word.startswith(before) and word.endswith(after):
            length = metres_per(word.removeprefix(before).removesuffix(after))
            if length is not None:
                return length / (size * step)
    return None


def step_m(step: float, unit: str) -> float | None:
    """Return a scan step in metres; None if its unit is no length or it is 0."""
    word = "".join(c for c in unit if c not in "[]_ ")
    length = metres_per(word)
    return None if length is None or not np.isfinite(step) or step == 0 else abs(step) * length
