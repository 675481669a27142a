"""EMD files of several programs."""

import json

import h5py
import numpy as np
import pytest
from stored_frames import check_frames, counts

from ptycho.errors import DataError
from ptycho.io.formats import recognise
from ptycho.io.readers.emd import read


def _dims(group, first, dims):
    for i, (name, units, step) in enumerate(dims, start=first):
        dim = group.create_dataset(f"dim{i}", data=np.array([0.0, step]))
        dim.attrs["name"], dim.attrs["units"] = name, units


def _py4dstem(path, units="A^-1", **calibration):
    with h5py.File(path, "w") as file:
        file.attrs["version_major"] = 1
        group = file.create_group("my_scan/datacube")
        group["data"] = counts().reshape(2, 3, 8, 8)
        group["data"].attrs["units"] = "counts"
        _dims(
            group, 0,
            [("Rx", "nm", 0.5), ("Ry", "nm", 0.25), ("Qx", units, 0.01), ("Qy", units, 0.01)],
        )  # fmt: skip
        for key, value in calibration.items():
            file[f"my_scan/metadatabundle/calibration/{key}"] = value
    return path


def test_emd_1_has_its_rows_first_whatever_its_root_is_called(tmp_path):
    path = _py4dstem(tmp_path / "scan.h5")
    assert recognise(path) == "EMD"
    found = read(path)
    check_frames(found, counts())
    assert found.raster == (2, 3)
    assert found.raster_step_m == pytest.approx((0.5e-9, 0.25e-9))
    assert found.object_pixel_m == pytest.approx(1e-10 / (8 * 0.01))


def test_the_calibration_of_py4dstem_outranks_the_axes(tmp_path):
    path = _py4dstem(
        tmp_path / "scan.h5", Q_pixel_size=0.02, Q_pixel_units="A^-1", R_pixel_size=2.0,
        R_pixel_units="A", QR_flip=True,
    )  # fmt: skip
    found = read(path)
    assert found.object_pixel_m == pytest.approx(1e-10 / (8 * 0.02))
    assert found.raster_step_m == pytest.approx((2e-10, 2e-10))
    assert any("--positions swap" in note for note in found.notes)


def test_pixels_are_no_calibration(tmp_path):
    path = _py4dstem(tmp_path / "scan.h5", Q_pixel_size=1.0, Q_pixel_units="pixels")
    assert read(path).object_pixel_m is None


def test_rosettasciio_writes_the_axes_reversed(tmp_path):
    path = tmp_path / "scan.emd"
    with h5py.File(path, "w") as file:
        file.attrs["version_major"] = "0"
        group = file.create_group("signals/__unnamed__")
        group["data"] = counts(6, 8, 10).reshape(2, 3, 8, 10).transpose(3, 2, 1, 0)
        unit = "[1_/_n_m]"
        _dims(
            group, 1,
            [("kx", unit, 0.1), ("ky", unit, 0.1), ("x", "[n_m]", 0.5), ("y", "[n_m]", 0.25)],
        )  # fmt: skip
    found = read(path)
    check_frames(found, counts(6, 8, 10))
    assert found.raster == (2, 3)
    assert found.raster_step_m == pytest.approx((0.25e-9, 0.5e-9))
    assert found.object_pixel_m == pytest.approx(1e-9 / 0.8)


def test_older_py4dstem_files_are_found_by_their_tree(tmp_path):
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("4DSTEM_experiment/data/datacubes/datacube_0")
        group["data"] = counts().reshape(2, 3, 8, 8)
    assert recognise(path).startswith("EMD")
    found = read(path)
    check_frames(found, counts())
    assert (found.raster, found.raster_step_m, found.object_pixel_m) == ((2, 3), None, None)


def test_velox_counts_frames_on_the_last_axis(tmp_path):
    path = tmp_path / "velox.emd"
    with h5py.File(path, "w") as file:
        group = file.create_group("Data/Image/0a1b")
        group["Data"] = counts(6, 8, 10).transpose(1, 2, 0)
        text = json.dumps({"Optics": {"AccelerationVoltage": "300000"}}).encode() + b"\0\0"
        group["Metadata"] = np.frombuffer(text, np.uint8)[:, None]
    found = read(path)
    check_frames(found, counts(6, 8, 10))
    assert found.raster is None
    assert found.geometry.wavelength_m == pytest.approx(1.9687e-12, rel=1e-4)


def test_a_file_without_frames_is_refused_in_one_line(tmp_path):
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file.attrs["version_major"] = 1
        file["root/image/data"] = np.zeros((8, 8))
    with pytest.raises(DataError, match="no data set named data or datacube with 3 or 4 axes"):
        read(path)


def test_a_file_cut_short_is_refused_in_one_line(tmp_path):
    path = _py4dstem(tmp_path / "scan.h5")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match="cannot be opened as HDF5"):
        read(path)
