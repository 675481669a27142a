"""TIFF: a stack of pages in one file, or a folder with one file per frame.

Data flow: [file] -> Recorded -> fields -> RawData -> ...

Pages that are stored one after the other without compression are mapped into memory; others are
read one by one when they are asked for. The files of a folder are taken in natural order, 2 before
10. A stack with two leading axes (OME, ImageJ) is a raster.
"""

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from jaxtyping import Int, Shaped

from ptycho.errors import DataError
from ptycho.io.fields import LazyFrames
from ptycho.io.readers.stacks import Axes, frames_of
from ptycho.io.recorded import Recorded

_ENDINGS = (".tif", ".tiff")
_FAULTS = (OSError, ValueError, LookupError, TypeError, RuntimeError, struct.error)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """The pages that are read: those of one series, or of all (series None)."""

    series: int | None
    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None
    samples: int
    n_pages: int
    end: int | None
    """Last byte + 1 where the pages can be mapped."""


def read(path: Path) -> Recorded:
    """Return the pages of a TIFF file, those of its largest series.

    Raises:
        DataError: If it is damaged, or holds colours or complex numbers.
    """
    try:
        with tifffile.TiffFile(path) as file:
            found = _found(file)
    except (*_FAULTS, tifffile.TiffFileError) as problem:
        raise DataError(f"{path}: {_line(problem)}; expected a complete TIFF file") from None
    shape, dtype, size = found.shape, found.dtype, path.stat().st_size
    if found.samples != 1 or dtype is None or dtype.kind not in "iuf":
        raise DataError(
            f"{path}: {found.samples} values per pixel of type {dtype}; expected one real number"
        )
    if found.end is not None and found.end > size:
        raise DataError(f"{path}: {size} bytes; expected {found.end}; the file is cut short")
    leading = shape[:-2]
    raster = (int(leading[0]), int(leading[1])) if len(leading) == 2 and 1 not in leading else None
    n = int(np.prod(leading)) if leading else 1
    frame = (int(shape[-2]), int(shape[-1]))
    if found.end is not None and found.series is not None:
        opened = _Map(path, found.series, (n, *frame))
        frames = frames_of(str(path), opened(), Axes.leading(3), opened)
    elif found.n_pages == n:
        reader = _Pages(path, found.series, frame)
        frames = LazyFrames((n, *frame), dtype.newbyteorder("="), reader)
    else:
        raise DataError(
            f"{path}: {found.n_pages} pages for shape {shape}; expected one page per frame"
        )
    return Recorded(source="TIFF", frames=frames, raster=raster)


def _found(file: tifffile.TiffFile) -> _Found:
    """Return the largest series; all pages where each is a series of the same shape."""
    series = list(file.series)
    number = max(range(len(series)), key=lambda i: series[i].size)
    chosen = series[number]
    single = len(series) > 1 and len({(s.shape, s.dtype) for s in series}) == 1
    single = single and len(chosen.shape) == 2
    begin = chosen.dataoffset
    return _Found(
        series=None if single else number,
        shape=(len(series), *chosen.shape) if single else tuple(chosen.shape),
        dtype=chosen.dtype,
        samples=chosen.keyframe.samplesperpixel,
        n_pages=len(series) if single else len(chosen.pages),
        end=None if begin is None or single else begin + chosen.nbytes,
    )


def read_folder(path: Path) -> Recorded:
    """Return the files of a folder as frames, in natural order of their names.

    Raises:
        DataError: If a file holds more than one frame; while reading, if sizes differ.
    """
    names = sorted((f.name for f in path.iterdir() if f.suffix.lower() in _ENDINGS), key=_natural)
    first = _page(path / names[0], None)
    reader = _Files(path, names, first.shape)
    return Recorded(
        source="folder of TIFF files",
        frames=LazyFrames((len(names), *first.shape), first.dtype, reader),
        notes=(f"{len(names)} files, {names[0]} to {names[-1]}",),
    )


class _Map:
    """Maps the pages of one file."""

    def __init__(self, path: Path, series: int, shape: tuple[int, int, int]) -> None:
        self._path, self._series, self._shape = path, series, shape

    def __call__(self) -> np.ndarray:
        """Return the pages, read only."""
        pages: np.ndarray = tifffile.memmap(self._path, mode="r", series=self._series)
        return pages.reshape(self._shape)


class _Pages:
    """Reads pages one by one, which compression asks for."""

    def __init__(self, path: Path, series: int | None, shape: tuple[int, int]) -> None:
        self._path, self._series, self._shape = path, series, shape

    def __call__(self, numbers: Int[np.ndarray, " n"]) -> Shaped[np.ndarray, "n row col"]:
        """Return pages by ascending number."""
        try:
            with tifffile.TiffFile(self._path) as file:
                found = [file.asarray(key=int(i), series=self._series) for i in numbers]
        except (*_FAULTS, tifffile.TiffFileError) as problem:
            raise DataError(
                f"{self._path}: pages cannot be read ({_line(problem)}); expected a complete file"
            ) from None
        return np.stack(found) if found else np.empty((0, *self._shape))


class _Files:
    """Reads one file for each frame."""

    def __init__(self, folder: Path, names: list[str], shape: tuple[int, ...]) -> None:
        self._folder, self._names, self._shape = folder, names, shape

    def __call__(self, numbers: Int[np.ndarray, " n"]) -> Shaped[np.ndarray, "n row col"]:
        """Return frames by ascending number."""
        found = [_page(self._folder / self._names[int(i)], self._shape) for i in numbers]
        return np.stack(found) if found else _page(self._folder / self._names[0], None)[None][:0]


def _page(path: Path, shape: tuple[int, ...] | None) -> Shaped[np.ndarray, "row col"]:
    """Return the frame in a file.

    Raises:
        DataError: If it cannot be read, or has another shape than the others.
    """
    try:
        page = np.asarray(tifffile.imread(path))
    except (*_FAULTS, tifffile.TiffFileError) as problem:
        raise DataError(f"{path}: {_line(problem)}; expected a complete TIFF file") from None
    if page.ndim != 2 or page.dtype.kind not in "iuf":
        raise DataError(f"{path}: shape {page.shape}, {page.dtype}; expected one frame per file")
    if shape is not None and page.shape != shape:
        raise DataError(f"{path}: frame of shape {page.shape}; expected {shape} as in the first")
    return page


def _natural(name: str) -> list[Any]:
    """Return a key that sorts 2 before 10."""
    parts = re.split(r"(\d+)", name)
    return [int(part) if i % 2 else part.lower() for i, part in enumerate(parts)]


def _line(problem: BaseException) -> str:
    return " ".join(str(problem).split())[:200] or type(problem).__name__
