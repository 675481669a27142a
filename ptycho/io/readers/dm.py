"""Gatan DigitalMicrograph .dm3 and .dm4: a tree of tags, with the largest image mapped into memory.

Data flow: [file] -> Recorded -> fields -> RawData -> ...

Layout: version (3 or 4), size, byte order, then a group of tags. A tag is its kind (20 group, 21
data), a name and, in version 4, its size; data begin with `%%%%` and numbers that describe their
type. Structure is big-endian, values mostly little-endian; numbers of the structure have 4 bytes
in version 3 and 8 in version 4. `ImageList/<i>/ImageData` holds `Data`, `DataType`, `Dimensions`
(fast axis first) and `Calibrations/Dimension/<axis>/{Scale,Units}`; `ImageTags/Microscope Info`
the voltage (V). The scan of a 4-D image may be its fast or its slow axes: units decide, then
`Meta Data/Data Order Swapped`.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ptycho.errors import DataError
from ptycho.experiment import Geometry, electron_wavelength
from ptycho.io.readers.stacks import Axes, frames_of, reciprocal_pixel_m, step_m
from ptycho.io.recorded import Recorded

_TYPES = {
    1: "i2", 2: "f4", 6: "u1", 7: "i4", 9: "i1", 10: "u2", 11: "u4", 12: "f8", 14: "u1",
    39: "i8", 40: "u8",
}  # fmt: skip
"""`DataType` of an image -> type of a value."""

_VALUES = {
    2: "h", 3: "i", 4: "H", 5: "I", 6: "f", 7: "d", 8: "B", 9: "b", 10: "b", 11: "q", 12: "Q",
}  # fmt: skip
"""Number of a type of data -> code of `struct`."""

_LONGEST_TEXT = 256
_DEEPEST = 64


def read(path: Path) -> Recorded:
    """Return the frames of the largest image with 3 or 4 axes.

    Raises:
        DataError: If there is none, or the tree of tags is damaged.
    """
    tags = _tags(path)
    images = [name for name in tags if name.endswith("/ImageData/Data")]
    found = {}
    for name in images:
        group = name.removesuffix("/Data")
        shape = _shape(tags, group)
        if len(shape) in (3, 4) and tags.get(f"{group}/DataType") in _TYPES:
            found[group] = int(np.prod(shape))
    if not found:
        shapes = ", ".join(str(_shape(tags, name.removesuffix("/Data"))) for name in images)
        raise DataError(
            f"{path}: images of shape {shapes or 'none'}; expected one with 3 or 4 axes of real "
            "numbers"
        )
    group = max(found, key=lambda each: found[each])
    return _recorded(path, tags, group)


def _shape(tags: dict[str, Any], group: str) -> tuple[int, ...]:
    """Return the shape of an image, slow axis first."""
    names = sorted(
        (name for name in tags if name.startswith(f"{group}/Dimensions/")),
        key=lambda name: int(name.rsplit("/", 1)[1]),
    )
    return tuple(int(tags[name]) for name in reversed(names))


def _recorded(path: Path, tags: dict[str, Any], group: str) -> Recorded:
    shape = _shape(tags, group)
    begin, n_bytes = tags[f"{group}/Data"]
    dtype = np.dtype(tags["/order"] + _TYPES[tags[f"{group}/DataType"]])
    needed = int(np.prod(shape)) * dtype.itemsize
    if needed > n_bytes or begin + needed > path.stat().st_size:
        raise DataError(
            f"{path}: {min(n_bytes, path.stat().st_size - begin)} bytes of data; expected {needed} "
            f"for shape {shape}; the file is cut short"
        )
    opened = _Opened(path, dtype, begin, shape)
    calibrated = [_calibration(tags, group, axis) for axis in range(len(shape))][::-1]
    axes, why = _axes(calibrated, tags, group)
    frames = frames_of(f"{path}: {group}", opened(), axes, opened)
    image = group.removesuffix("/ImageData")
    volts = tags.get(f"{image}/ImageTags/Microscope Info/Voltage")
    known = isinstance(volts, (int, float)) and 1e3 <= volts <= 3e6
    wavelength = electron_wavelength(float(volts)) if known else None  # type: ignore[arg-type]
    steps = [step_m(*calibrated[axis]) for axis in axes.scan]
    both = len(steps) == 2 and None not in steps
    return Recorded(
        source="DigitalMicrograph",
        frames=frames,
        raster=axes.raster(shape),
        raster_step_m=(steps[0], steps[1]) if both else None,  # type: ignore[arg-type]
        geometry=Geometry(wavelength_m=wavelength),
        object_pixel_m=reciprocal_pixel_m(
            *calibrated[axes.frame[0]], min(frames.shape[1:]), wavelength
        ),
        notes=(why,),
    )


class _Opened:
    """Maps the image."""

    def __init__(self, path: Path, dtype: np.dtype[Any], begin: int, shape: tuple[int, ...]):
        self._path, self._dtype, self._begin, self._shape = path, dtype, begin, shape

    def __call__(self) -> np.ndarray:
        """Return the map, read only."""
        return np.memmap(self._path, self._dtype, "r", offset=self._begin, shape=self._shape)


def _calibration(tags: dict[str, Any], group: str, axis: int) -> tuple[float, str]:
    """Return step and unit of an axis; counted from the fast one."""
    place = f"{group}/Calibrations/Dimension/{axis}"
    scale, units = tags.get(f"{place}/Scale", 0.0), tags.get(f"{place}/Units", "")
    return (float(scale) if isinstance(scale, (int, float)) else 0.0), str(units)


def _axes(
    calibrated: list[tuple[float, str]], tags: dict[str, Any], group: str
) -> tuple[Axes, str]:
    """Return the axes of scan and frame, and what decided."""
    ndim = len(calibrated)
    scans = [step_m(1.0, unit) is not None for _, unit in calibrated]
    waves = [reciprocal_pixel_m(1.0, unit, 1, 1.0) is not None for _, unit in calibrated]
    fast_scan = Axes(scan=tuple(range(2, ndim)), frame=(0, 1))
    if ndim == 4 and (all(scans[2:]) or all(waves[:2])) and not (scans[0] or waves[3]):
        return fast_scan, "the fast axes are the scan, by their units"
    if any(scans) or any(waves) or ndim == 3:
        return Axes.leading(ndim), "the slow axes are the scan"
    image = group.removesuffix("/ImageData")
    swapped = tags.get(f"{image}/ImageTags/Meta Data/Data Order Swapped")
    if swapped is not None and not swapped:
        return fast_scan, "the fast axes are the scan, by Data Order Swapped"
    return Axes.leading(ndim), "the slow axes are the scan, without units to confirm it"


def _tags(path: Path) -> dict[str, Any]:
    """Return path of a tag -> value, (begin, bytes) for long arrays; `/order` is `<` or `>`."""
    with path.open("rb") as file:
        try:
            (version,) = struct.unpack(">I", file.read(4))
            tree = _Tree(file, 8 if version == 4 else 4)
            tree.number()
            tree.order = "<" if struct.unpack(">I", file.read(4))[0] == 1 else ">"
            return {**dict(tree.group("")), "/order": tree.order}
        except (struct.error, ValueError, LookupError, OverflowError, MemoryError) as problem:
            raise DataError(
                f"{path}: tags cannot be read ({problem}); expected a complete .dm3 or .dm4 file"
            ) from None


class _Tree:
    """Walks the tags of an open file."""

    def __init__(self, file: BinaryIO, width: int) -> None:
        self._file, self._width, self.order = file, width, "<"

    def number(self) -> int:
        """Return the next number of the structure."""
        code = ">Q" if self._width == 8 else ">I"
        return int(struct.unpack(code, self._file.read(self._width))[0])

    def group(self, place: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
        """Yield the tags of a group; unnamed ones are counted."""
        if depth > _DEEPEST:
            raise ValueError("groups in groups without end")
        self._file.read(2)  # sorted, open
        for i in range(self.number()):
            kind, length = struct.unpack(">BH", self._file.read(3))
            name = self._file.read(length).decode("latin-1") or str(i)
            inner = f"{place}/{name}" if place else name
            if self._width == 8:
                self.number()  # bytes of the tag
            if kind == 20:
                yield from self.group(inner, depth + 1)
            elif kind == 21:
                yield inner, self._value(name)
            else:
                raise ValueError(f"tag of kind {kind} at byte {self._file.tell()}")

    def _value(self, name: str) -> Any:
        if self._file.read(4) != b"%%%%":
            raise ValueError(f"no %%%% at byte {self._file.tell() - 4}")
        info = [self.number() for _ in range(_checked(self.number(), 100_000))]
        kind = info[0]
        if kind in _VALUES:
            return self._read(_VALUES[kind], 1)[0]
        if kind == 15:
            return self._read("".join(_VALUES[code] for code in info[4::2]), None)
        if kind == 18:
            return self._file.read(_checked(info[1], 10**7)).decode("latin-1")
        if kind == 20:
            return self._array(info, name)
        raise ValueError(f"data of type {kind}")

    def _read(self, codes: str, n: int | None) -> tuple[Any, ...]:
        layout = struct.Struct(self.order + (codes if n is None else f"{n}{codes}"))
        return layout.unpack(self._file.read(layout.size))

    def _array(self, info: list[int], name: str) -> Any:
        """Return short text, which is stored as an array; the place of any other array."""
        length = info[-1]
        if info[1] == 15:  # of structures
            codes = "".join(_VALUES[code] for code in info[5:-1:2])
        else:
            codes = _VALUES[info[1]]
        begin, n_bytes = self._file.tell(), struct.calcsize(self.order + codes) * length
        if length <= _LONGEST_TEXT and info[1] == 4 and name != "Data":
            words = np.array(self._read(codes, length), "<u2")
            return words.tobytes().decode("utf-16-le", "replace").rstrip("\0")
        self._file.seek(begin + n_bytes)
        return begin, n_bytes


def _checked(n: int, most: int) -> int:
    if n > most:
        raise ValueError(f"{n} values of a description")
    return n
