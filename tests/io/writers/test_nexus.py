"""NeXus files: classes, units, and the sample that moves against the probe."""

import h5py
import numpy as np
import pytest
from written_scan import BAD, PIXEL, assert_read_back, reads, scan, written

from ptycho.errors import DataError
from ptycho.experiment import Experiment, Geometry

INSTRUMENT = "entry_1/instrument_1"


def test_groups_have_their_classes_and_numbers_their_units(tmp_path):
    with h5py.File(written(tmp_path, "scan.nxs")) as file:
        assert file.attrs["default"] == "entry_1"
        assert file["entry_1/definition"][()] == b"NXcxi_ptycho"
        classes = {
            "entry_1": "NXentry", "entry_1/data": "NXdata", INSTRUMENT: "NXinstrument",
            f"{INSTRUMENT}/beam_1": "NXbeam", f"{INSTRUMENT}/detector_1": "NXdetector",
            f"{INSTRUMENT}/source_1": "NXsource", "entry_1/sample_1": "NXsample",
        }  # fmt: skip
        assert {name: file[name].attrs["NX_class"] for name in classes} == classes
        energy = file[f"{INSTRUMENT}/beam_1/energy"]
        np.testing.assert_allclose(energy[()], 1.986446e-15, rtol=1e-6)
        assert energy.attrs["units"] == "J"
        assert "energy" not in file[f"{INSTRUMENT}/source_1"]
        for name, value in (("distance", 2.0), ("x_pixel_size", 75e-6), ("beam_center_x", 6e-4)):
            found = file[f"{INSTRUMENT}/detector_1/{name}"]
            np.testing.assert_allclose(found[()], value, rtol=1e-12)
            assert found.attrs["units"] == "m"


def test_frames_mask_and_links(tmp_path):
    with h5py.File(written(tmp_path, "scan.nxs")) as file:
        data = file[f"{INSTRUMENT}/detector_1/data"]
        assert (data.dtype, data.chunks) == (np.uint16, (1, 16, 16))
        np.testing.assert_array_equal(data[()], scan().frames)
        assert file["entry_1/data/data"] == file["entry_1/data_1/data"] == data
        assert file["entry_1/data"].attrs["signal"] == "data"
        mask = file[f"{INSTRUMENT}/detector_1/pixel_mask"][()]
        assert [tuple(place) for place in np.argwhere(mask)] == [BAD]


def test_the_sample_moves_against_the_probe(tmp_path):
    with h5py.File(written(tmp_path, "scan.nxs")) as file:
        x, y = (file[f"entry_1/data/{axis}"] for axis in "xy")
        np.testing.assert_allclose(x[0], 30 * PIXEL, rtol=1e-12)
        np.testing.assert_allclose(y[0], 20 * PIXEL, rtol=1e-12)
        np.testing.assert_array_equal(x.attrs["vector"], [-1, 0, 0])
        np.testing.assert_array_equal(y.attrs["vector"], [0, -1, 0])
        assert x.attrs["units"] == y.attrs["units"] == "m"


def test_readers_of_cxi_find_the_positions_of_the_probe_and_the_mask(tmp_path):
    """They take `translation` as the place of the probe, `mask` as non-zero on bad pixels."""
    with h5py.File(written(tmp_path, "scan.nxs")) as file:
        for place in ("data_1", "sample_1/geometry_1", "instrument_1/detector_1"):
            translation = file[f"entry_1/{place}/translation"]
            np.testing.assert_allclose(translation[0], [30 * PIXEL, 20 * PIXEL, 0], rtol=1e-12)
        assert file[f"{INSTRUMENT}/detector_1/mask"] == file[f"{INSTRUMENT}/detector_1/pixel_mask"]


@pytest.mark.parametrize(("stated", "used"), [(1.001 * PIXEL, PIXEL), (2 * PIXEL, 2 * PIXEL)])
def test_positions_are_in_the_pixels_that_a_reader_computes(tmp_path, stated, used):
    with h5py.File(written(tmp_path, "scan.nxs", pixel_size_m=stated)) as file:
        np.testing.assert_allclose(file["entry_1/data/x"][0], 30 * used, rtol=1e-12)


def test_electrons_are_named(tmp_path):
    electrons = Experiment(geometry=Geometry(wavelength_m=2e-12))
    with h5py.File(written(tmp_path, "scan.nxs", experiment=electrons)) as file:
        assert file[f"{INSTRUMENT}/source_1/probe"][()] == b"electron"
        assert list(file[f"{INSTRUMENT}/beam_1"]) == ["incident_wavelength"]


def test_a_reconstruction_has_no_frames_to_write(tmp_path):
    with pytest.raises(DataError, match="no frames; expected it, as nexus holds frames"):
        written(tmp_path, "r.nxs", frames=None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not reads("NXcxi_ptycho"), reason="no reader yet")
def test_read_back(tmp_path):
    assert_read_back(written(tmp_path, "scan.nxs"), parts=["mask"])
