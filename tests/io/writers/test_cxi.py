"""CXI files: every entry at its place, in its unit."""

import h5py
import numpy as np
import pytest
from written_scan import BAD, GEOMETRY, PIXEL, assert_read_back, reads, scan, written

from ptycho.experiment import Experiment, Geometry
from ptycho.io import read_fields

ENTRY = "entry_1/instrument_1"


def test_every_entry_is_where_cdtools_and_ptychodus_look(tmp_path):
    with h5py.File(written(tmp_path, "scan.cxi")) as file:
        assert file["cxi_version"][()] == 160
        data = file[f"{ENTRY}/detector_1/data"]
        assert (data.dtype, data.chunks, data.compression) == (np.int32, (1, 16, 16), "gzip")
        np.testing.assert_array_equal(data[()], scan().frames)
        assert file["entry_1/data_1/data"] == data
        np.testing.assert_allclose(file[f"{ENTRY}/source_1/wavelength"][()], 1e-10)
        # h c / 1e-10 m = 12398.42 eV = 1.98645e-15 J
        np.testing.assert_allclose(file[f"{ENTRY}/source_1/energy"][()], 1.986446e-15, rtol=1e-6)
        for name, value in (("distance", 2.0), ("x_pixel_size", 75e-6), ("y_pixel_size", 75e-6)):
            assert file[f"{ENTRY}/detector_1/{name}"][()] == value
        expected = [[0, -75e-6], [-75e-6, 0], [0, 0]]
        np.testing.assert_array_equal(file[f"{ENTRY}/detector_1/basis_vectors"][()], expected)
        mask = file[f"{ENTRY}/detector_1/mask"]
        assert mask.dtype == np.uint32
        assert [tuple(place) for place in np.argwhere(mask[()])] == [BAD]
        assert mask[BAD] == 1


def test_positions_are_x_y_z_in_metres_about_the_centre_of_the_object(tmp_path):
    with h5py.File(written(tmp_path, "scan.cxi")) as file:
        translation = file["entry_1/sample_1/geometry_1/translation"]
        assert translation.shape == (12, 3)
        # Frame 0 at (20, 30): its window of 16 x 16 pixels begins at (12, 22), its centre is
        # (19.5, 29.5), that of 50 x 60 pixels (24.5, 29.5): x = 0, y = -5 px.
        np.testing.assert_allclose(translation[0], [0, -5 * PIXEL, 0], rtol=1e-12)
        for place in ("entry_1/data_1", f"{ENTRY}/detector_1"):
            assert file[f"{place}/translation"] == translation
        probe, obj = file["entry_1/image_1/data"], file["entry_1/image_2/data"]
        assert (probe.shape, probe.attrs["axes"]) == ((1, 2, 16, 16), "coherent:incoherent:y:x")
        assert (obj.shape, obj.attrs["axes"]) == ((1, 50, 60), "layer:y:x")
        np.testing.assert_allclose(file["entry_1/image_2/image_size"], [60 * PIXEL, 50 * PIXEL, 0])
        assert file[f"{ENTRY}/source_1/illumination"] == probe
        own = file["entry_1/ptychodus"]
        assert own["object_pixel_width_m"][()] == own["probe_pixel_height_m"][()] == PIXEL
        assert own["object_center_x_m"][()] == own["object_center_y_m"][()] == 0
        np.testing.assert_array_equal(own["probe_position_indexes"], np.arange(12))


def test_without_an_object_positions_are_those_of_the_scan(tmp_path):
    with h5py.File(written(tmp_path, "scan.cxi", obj=None)) as file:
        translation = file["entry_1/sample_1/geometry_1/translation"]
        np.testing.assert_allclose(translation[0, :2], [30 * PIXEL, 20 * PIXEL], rtol=1e-12)
        # ptychodus asks for an object: vacuum around all windows, which reach from row 12 to 34
        # and from column 22 to 44. Its middle, (22.5, 32.5), lies half a pixel further, as the
        # centre of a window is half a pixel before ours.
        vacuum, own = file["entry_1/image_2/data"][()], file["entry_1/ptychodus"]
        np.testing.assert_array_equal(vacuum, np.ones((1, 22, 22)))
        np.testing.assert_allclose(own["object_center_y_m"][()], 23 * PIXEL)
        np.testing.assert_allclose(own["object_center_x_m"][()], 33 * PIXEL)


def test_a_reconstruction_keeps_the_numbers_of_its_frames(tmp_path):
    numbers = np.arange(12) * 2
    path = written(tmp_path, "r.cxi", frames=None, frame_numbers=numbers, origin=(5.0, 6.0))
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["entry_1/ptychodus/probe_position_indexes"], numbers)
        assert "data" not in file["entry_1/data_1"]
        first = file["entry_1/sample_1/geometry_1/translation"][0]
        np.testing.assert_allclose(first[:2], [-6 * PIXEL, -10 * PIXEL], rtol=1e-12)


@pytest.mark.parametrize(
    ("stored", "signed"),
    [
        ("u1", "u1"),
        ("<u2", "<i4"),
        (">u2", "<i4"),
        ("u4", "i8"),
        ("u8", "i8"),
        ("i2", "i2"),
        ("f4", "f4"),
    ],
)
def test_counts_are_signed_as_pytorch_cannot_mask_unsigned_ones(tmp_path, stored, signed):
    frames = scan().frames.astype(stored)
    with h5py.File(written(tmp_path, "scan.cxi", frames=frames)) as file:
        data = file[f"{ENTRY}/detector_1/data"]
        assert data.dtype == np.dtype(signed)
        np.testing.assert_array_equal(data[()], frames)


def test_electrons_have_a_wavelength_and_no_photon_energy(tmp_path):
    electrons = Experiment(geometry=Geometry(wavelength_m=2e-12))
    with h5py.File(written(tmp_path, "scan.cxi", experiment=electrons)) as file:
        assert list(file[f"{ENTRY}/source_1"]) == ["illumination", "wavelength"]
        assert "distance" not in file[f"{ENTRY}/detector_1"]


@pytest.mark.skipif(not reads("CXI"), reason="no reader yet")
def test_read_back(tmp_path):
    assert_read_back(written(tmp_path, "scan.cxi"), kind=np.int32)
    assert GEOMETRY.object_pixel_m(16) == pytest.approx(PIXEL, rel=1e-14)


def test_a_scan_without_an_object_is_read_back_where_it_was(tmp_path):
    found = read_fields(written(tmp_path, "scan.cxi", obj=None))
    assert found.get("obj") is None
    np.testing.assert_allclose(found["ycoords"], scan().ycoords, rtol=1e-9)
    np.testing.assert_allclose(found["xcoords"], scan().xcoords, rtol=1e-9)
