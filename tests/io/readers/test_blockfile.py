"""Blockfiles."""

import struct

import pytest
from stored_frames import check_frames, counts

from ptycho.errors import DataError
from ptycho.io.formats import recognise
from ptycho.io.readers.blockfile import read


def _write(path, step=2.5, volts=200_000):
    begin = 0x1000
    head = struct.pack(
        "<6sHIIIHHHHHddI",
        b"IMGBLO", 0x102, 0x400, begin, 0, 8, 0, 3, 2, 0, step, 2 * step, volts,
    )  # fmt: skip
    data = head.ljust(begin, b"\0")
    for i, frame in enumerate(counts()):
        data += struct.pack("<HI", 0x55AA, i) + frame.astype("u1").tobytes()
    path.write_bytes(data)
    return path


def test_patterns_raster_and_steps(tmp_path):
    path = _write(tmp_path / "a.blo")
    assert recognise(path) == "blockfile"
    found = read(path)
    check_frames(found, counts())
    assert found.raster == (2, 3)
    assert found.raster_step_m == pytest.approx((5e-9, 2.5e-9))
    assert found.measurement == "intensity"
    assert found.geometry.wavelength_m == pytest.approx(2.5079e-12, rel=1e-4)


def test_unknown_step_and_voltage_stay_unknown(tmp_path):
    found = read(_write(tmp_path / "a.blo", step=0.0, volts=0))
    assert found.raster_step_m is None
    assert found.geometry.wavelength_m is None


def test_a_file_cut_short_is_refused(tmp_path):
    path = _write(tmp_path / "a.blo")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(DataError, match=r"expected .* for 6 frames of 8 x 8"):
        read(path)
    path.write_bytes(whole[:20])
    with pytest.raises(DataError, match="expected the header"):
        read(path)
