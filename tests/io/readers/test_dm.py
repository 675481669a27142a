"""DigitalMicrograph files, written tag by tag."""

import struct

import numpy as np
import pytest
from stored_frames import check_frames, counts

from ptycho.errors import DataError
from ptycho.io.formats import recognise
from ptycho.io.readers.dm import read

_CODES = {"u2": (4, 10), "f4": (6, 2), "i4": (3, 7)}


class _Writer:
    """Builds the tags of version 3 or 4."""

    def __init__(self, version):
        self.version = version

    def n(self, value):
        return struct.pack(">Q" if self.version == 4 else ">I", value)

    def _tag(self, kind, name, body):
        size = self.n(len(body)) if self.version == 4 else b""
        return struct.pack(">BH", kind, len(name)) + name.encode() + size + body

    def group(self, name, *tags):
        return self._tag(20, name, b"\1\0" + self.n(len(tags)) + b"".join(tags))

    def _data(self, name, info, values):
        head = b"%%%%" + self.n(len(info)) + b"".join(self.n(i) for i in info)
        return self._tag(21, name, head + values)

    def long(self, name, value):
        return self._data(name, (3,), struct.pack("<i", value))

    def float(self, name, value):
        return self._data(name, (6,), struct.pack("<f", value))

    def flag(self, name, value):
        return self._data(name, (8,), struct.pack("<B", value))

    def text(self, name, value):
        return self._data(name, (20, 4, len(value)), value.encode("utf-16-le"))

    def rectangle(self, name):
        return self._data(name, (15, 0, 2, 0, 3, 0, 3), struct.pack("<2i", 1, 2))

    def array(self, name, values, code):
        return self._data(name, (20, code, values.size), values.tobytes())

    def file(self, *tags):
        body = b"\1\0" + self.n(len(tags)) + b"".join(tags)
        return struct.pack(">I", self.version) + self.n(len(body)) + struct.pack(">I", 1) + body


def _image(w, data, units, steps, swapped=None):
    kind, data_type = _CODES[data.dtype.str[1:]]
    sizes = data.shape[::-1]
    axes = [
        w.group("", w.float("Scale", step), w.text("Units", unit))
        for unit, step in zip(units, steps, strict=True)
    ]
    meta = [] if swapped is None else [w.group("Meta Data", w.flag("Data Order Swapped", swapped))]
    return w.group(
        "",
        w.group(
            "ImageData",
            w.group("Calibrations", w.group("Dimension", *axes)),
            w.array("Data", data, kind),
            w.long("DataType", data_type),
            w.group("Dimensions", *(w.long("", n) for n in sizes)),
        ),
        w.group(
            "ImageTags", w.rectangle("Area"),
            w.group("Microscope Info", w.float("Voltage", 300_000.0)), *meta,
        ),
    )  # fmt: skip


def _write(path, version, data, units, steps, swapped=None):
    w = _Writer(version)
    thumbnail = _image(w, np.zeros((4, 4), "<i4"), ("", ""), (1.0, 1.0))
    image = _image(w, data, units, steps, swapped)
    path.write_bytes(w.file(w.flag("InImageMode", 1), w.group("ImageList", thumbnail, image)))
    return path


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("dtype", ["<u2", "<f4"])
def test_the_slow_axes_are_the_scan(tmp_path, version, dtype):
    data = counts(6, 8, 10).astype(dtype).reshape(2, 3, 8, 10)
    path = _write(
        tmp_path / "a.dm", version, data, ("1/nm", "1/nm", "nm", "nm"), (0.1, 0.1, 0.5, 0.25)
    )
    assert recognise(path) == "DigitalMicrograph"
    found = read(path)
    check_frames(found, counts(6, 8, 10).astype(dtype))
    assert found.raster == (2, 3)
    assert found.raster_step_m == pytest.approx((0.25e-9, 0.5e-9))
    assert found.object_pixel_m == pytest.approx(1e-9 / 0.8)
    assert found.geometry.wavelength_m == pytest.approx(1.9687e-12, rel=1e-4)


@pytest.mark.parametrize(
    ("units", "swapped"), [(("nm", "nm", "1/nm", "1/nm"), None), (("", "", "", ""), 0)]
)
def test_the_fast_axes_may_be_the_scan(tmp_path, units, swapped):
    data = np.ascontiguousarray(counts().reshape(2, 3, 8, 8).transpose(2, 3, 0, 1))
    path = _write(tmp_path / "a.dm4", 4, data, units, (1.0,) * 4, swapped)
    found = read(path)
    check_frames(found, counts())
    assert found.raster == (2, 3)


def test_a_stack_without_calibration(tmp_path):
    found = read(_write(tmp_path / "a.dm3", 3, counts(), ("", "", ""), (1.0,) * 3))
    check_frames(found, counts())
    assert (found.raster, found.object_pixel_m) == (None, None)


def test_bad_files_are_one_line(tmp_path):
    path = _write(tmp_path / "a.dm4", 4, counts(), ("", "", ""), (1.0,) * 3)
    whole = path.read_bytes()
    for n in (40, 300, len(whole) - 700):
        path.write_bytes(whole[:n])
        with pytest.raises(DataError, match=r"expected|cut short"):
            read(path)
    path = _write(tmp_path / "b.dm4", 4, counts()[0], ("", ""), (1.0,) * 2)
    with pytest.raises(DataError, match="expected one with 3 or 4 axes"):
        read(path)
