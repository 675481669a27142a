"""HyperSpy's .hspy files."""

import h5py
import numpy as np
import pytest
from stored_frames import check_frames, counts

from ptycho.errors import DataError
from ptycho.io.formats import recognise
from ptycho.io.readers.hyperspy import read


def _write(path, data, navigate, *, units="1/nm", kilovolts=None):
    with h5py.File(path, "w") as file:
        file.attrs["file_format"] = "HyperSpy"
        group = file.create_group("Experiments/__unnamed__")
        group["data"] = data
        for i, scanned in enumerate(navigate):
            axis = group.create_group(f"axis-{i}")
            axis.attrs["navigate"] = np.bool_(scanned)
            axis.attrs["scale"] = 0.5 if scanned else 0.1
            axis.attrs["units"] = "nm" if scanned else units
        beam = group.create_group("metadata/Acquisition_instrument/TEM")
        if kilovolts:
            beam.attrs["beam_energy"], beam.attrs["convergence_angle"] = kilovolts, 20.0
    return path


def test_axes_and_beam_of_a_signal(tmp_path):
    data = counts().reshape(2, 3, 8, 8)
    path = _write(tmp_path / "a.hspy", data, (1, 1, 0, 0), kilovolts=300.0)
    assert recognise(path) == "HyperSpy"
    found = read(path)
    check_frames(found, counts())
    assert found.raster == (2, 3)
    assert found.raster_step_m == pytest.approx((0.5e-9, 0.5e-9))
    assert found.object_pixel_m == pytest.approx(1e-9 / (8 * 0.1))
    assert found.geometry.wavelength_m == pytest.approx(1.9687e-12, rel=1e-4)
    assert "--semiangle_mrad 20" in found.notes[0]


def test_signal_axes_may_come_first(tmp_path):
    data = counts().reshape(2, 3, 8, 8).transpose(2, 3, 0, 1)
    check_frames(read(_write(tmp_path / "a.hspy", data, (0, 0, 1, 1))), counts())


def test_a_stack_without_beam_has_no_calibration_in_angles(tmp_path):
    found = read(_write(tmp_path / "a.hspy", counts(), (1, 0, 0), units="mrad"))
    check_frames(found, counts())
    assert (found.raster, found.raster_step_m, found.object_pixel_m) == (None, None, None)


def test_a_spectrum_is_refused_in_one_line(tmp_path):
    path = _write(tmp_path / "a.hspy", counts(), (1, 1, 0))
    with pytest.raises(DataError, match="1 signal axes; expected 2"):
        read(path)
    with h5py.File(tmp_path / "b.hspy", "w") as file:
        file["Experiments/a/data"] = np.zeros(4)
    with pytest.raises(DataError, match="expected a stack of frames"):
        read(tmp_path / "b.hspy")
