"""Zarr folders."""

import json
import sys

import numpy as np
import pytest
from stored_frames import check_frames, counts

from ptycho.errors import DataError
from ptycho.io.formats import recognise
from ptycho.io.readers.zarr_store import read

zarr = pytest.importorskip("zarr", minversion="3")


def _group(path, version, **arrays):
    root = zarr.open_group(str(path), mode="w", zarr_format=version)
    for name, values in arrays.items():
        root.create_array(name, data=np.asarray(values))
    return root


@pytest.mark.parametrize("version", [2, 3])
def test_a_group_with_frames_and_positions(tmp_path, version):
    path = tmp_path / "a.zarr"
    root = _group(
        path, version, frames=counts(), positions=np.arange(12.0).reshape(6, 2),
        bad_pixels=np.eye(8, dtype=bool),
    )  # fmt: skip
    root.attrs["energy_eV"], root.attrs["distance_m"] = 8000.0, 2.0
    assert recognise(path) == "Zarr"
    found = read(path)
    check_frames(found, counts())
    np.testing.assert_array_equal(found.positions[1], [2, 3])
    assert found.positions_unit == "px"
    assert found.mask.sum() == 56
    assert found.geometry.wavelength_m == pytest.approx(1.5498e-10, rel=1e-4)
    assert found.geometry.distance_m == 2.0


def test_small_positions_are_metres_and_units_are_believed(tmp_path):
    root = _group(tmp_path / "a.zarr", 3, positions=np.full((6, 2), 1e-7))
    assert read(tmp_path / "a.zarr").positions_unit == "m"
    root["positions"].attrs["units"] = "um"
    assert read(tmp_path / "a.zarr").positions_unit == "um"


@pytest.mark.parametrize("version", [2, 3])
def test_an_array_alone_may_be_a_raster(tmp_path, version):
    path = tmp_path / "a.zarr"
    zarr.create_array(str(path), data=counts().reshape(2, 3, 8, 8), zarr_format=version)
    found = read(path)
    check_frames(found, counts())
    assert found.raster == (2, 3)


def test_a_signal_of_hyperspy_in_zspy(tmp_path):
    path = tmp_path / "a.zspy"
    root = zarr.open_group(str(path), mode="w", zarr_format=2)
    signal = root.create_group("Experiments/x")
    signal.create_array("data", data=counts().reshape(2, 3, 8, 8))
    for i in range(4):
        axis = signal.create_group(f"axis-{i}")
        axis.attrs.update(navigate=i < 2, scale=0.5 if i < 2 else 0.1,
                          units="nm" if i < 2 else "1/nm")  # fmt: skip
    found = read(path)
    check_frames(found, counts())
    assert found.raster_step_m == pytest.approx((0.5e-9, 0.5e-9))
    assert found.object_pixel_m == pytest.approx(1e-9 / 0.8)


def test_bad_folders_are_one_line(tmp_path, monkeypatch):
    _group(tmp_path / "a.zarr", 3, a=counts(), b=counts())
    with pytest.raises(DataError, match="a, b may all be frames"):
        read(tmp_path / "a.zarr")
    _group(tmp_path / "b.zarr", 3, a=np.zeros(3))
    with pytest.raises(DataError, match="arrays a; expected frames"):
        read(tmp_path / "b.zarr")
    broken = tmp_path / "c.zarr"
    broken.mkdir()
    (broken / "zarr.json").write_text(json.dumps({"zarr_format": 3, "node_type": "array"}))
    with pytest.raises(DataError, match="expected a complete Zarr folder"):
        read(broken)
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(DataError, match=r"pip install 'ptycho\[zarr\]'"):
        read(tmp_path / "a.zarr")
