"""Pairs of fold_slice."""

import h5py
import numpy as np
import pytest
from stored_frames import check_frames, counts

from ptycho.errors import DataError
from ptycho.io.formats import recognise
from ptycho.io.readers.fold_slice import read


def _write(folder, *, y=6, **parameters):
    names = folder / "data_roi0_dp.hdf5", folder / "data_roi0_para.hdf5"
    with h5py.File(names[0], "w") as file:
        file["dp"] = counts()
    with h5py.File(names[1], "w") as file:
        file["ppX"] = np.arange(6.0)[:, None] * 1e-7
        file["ppY"] = np.arange(float(y)) * -2e-7
        for name, value in parameters.items():
            file[name] = [[value]]
    return names


@pytest.mark.parametrize("given", [0, 1])
def test_either_file_finds_the_other(tmp_path, given):
    path = _write(tmp_path, **{"lambda": 1e-10, "dx": 5e-8, "angle": 30.0})[given]
    assert recognise(path) == "fold_slice"
    found = read(path)
    check_frames(found, counts())
    np.testing.assert_allclose(found.positions[3], [-6e-7, 3e-7])  # (+ppY, +ppX)
    assert found.geometry.wavelength_m == 1e-10
    assert (found.positions_unit, found.object_pixel_m) == ("m", 5e-8)
    assert any("--frames transpose" in note for note in found.notes)


def test_one_file_alone_gives_what_it_holds(tmp_path):
    frames, parameters = _write(tmp_path)
    moved = frames.rename(tmp_path / "frames.h5")
    assert read(moved).positions is None
    alone = read(parameters)
    assert alone.frames is None
    assert alone.geometry.wavelength_m is None


def test_lengths_in_angstroms_are_recognised(tmp_path):
    found = read(_write(tmp_path, **{"lambda": 0.0197, "dx": 0.2})[1])
    assert found.positions_unit == "A"
    assert found.geometry.wavelength_m == pytest.approx(1.97e-12)
    assert found.object_pixel_m == pytest.approx(2e-11)


def test_different_numbers_of_coordinates_are_refused(tmp_path):
    path = _write(tmp_path, y=5)[1]
    with pytest.raises(DataError, match="ppX holds 6 positions and ppY 5"):
        read(path)
    with h5py.File(path, "r+") as file:
        del file["ppY"]
    with pytest.raises(DataError, match="ppY: no such entry"):
        read(path)
