"""Files of ptychodus: the product, and the diffraction file next to it."""

import h5py
import numpy as np
import pytest
from written_scan import BAD, PIXEL, assert_read_back, content, reads, scan, written

from ptycho.io import Reading
from ptycho.io.writers.writing import write_content


def test_the_product_is_complete(tmp_path):
    with h5py.File(written(tmp_path, "scan.h5")) as file:
        attrs = file.attrs
        np.testing.assert_allclose(attrs["photon_energy_eV"], 12398.4198, rtol=1e-8)
        assert attrs["detector_object_distance_m"] == 2.0
        assert attrs["far_field"]
        assert attrs["name"] == "scan"
        power = np.sum(np.abs(scan().probe) ** 2)
        np.testing.assert_allclose(attrs["probe_photon_count"], power, rtol=1e-5)
        # Frame 0 at (20, 30): its window of 16 x 16 pixels begins at (12, 22), its centre is
        # (19.5, 29.5), that of 50 x 60 pixels (24.5, 29.5).
        np.testing.assert_allclose(file["probe_position_y_m"][0], -5 * PIXEL, rtol=1e-12)
        np.testing.assert_allclose(file["probe_position_x_m"][0], 0, atol=1e-12 * PIXEL)
        np.testing.assert_array_equal(file["probe_position_indexes"], np.arange(12))
        assert file["probe"].shape == (1, 2, 16, 16)
        assert file["object"].shape == (1, 50, 60)
        sides = {"pixel_width_m": PIXEL, "pixel_height_m": PIXEL}
        assert dict(file["probe"].attrs) == sides
        assert dict(file["object"].attrs) == sides | {"center_x_m": 0.0, "center_y_m": 0.0}
        for name in ("loss_values", "loss_epochs", "object_layer_spacing_m"):
            assert file[name].shape == (0,)


def test_frames_are_in_a_second_file(tmp_path):
    files = write_content(content(), tmp_path / "scan.h5")
    assert files == (tmp_path / "scan.h5", tmp_path / "scan_diffraction.h5")
    with h5py.File(files[1]) as file:
        patterns = file["patterns"]
        assert (patterns.dtype, patterns.chunks) == (np.uint16, (1, 16, 16))
        assert patterns.attrs["detector_pixel_width_m"] == 75e-6
        np.testing.assert_array_equal(patterns[()], scan().frames)
        np.testing.assert_array_equal(file["indexes"], np.arange(12))
        assert file["bad_pixels"].dtype == bool
        assert [tuple(place) for place in np.argwhere(file["bad_pixels"][()])] == [BAD]


def test_a_scan_without_an_object_gets_vacuum_around_its_positions(tmp_path):
    with h5py.File(written(tmp_path, "scan.h5", obj=None)) as file:
        # Windows reach from row 12 to 34 and from column 22 to 44: their middle is (22.5, 32.5).
        # The window of frame 0 begins at (12, 22), so its centre, (19.5, 29.5), has to be where
        # position (20, 30) is: the object is placed half a pixel further.
        assert file["object"].shape == (1, 22, 22)
        assert np.all(file["object"][()] == 1)
        np.testing.assert_allclose(file["object"].attrs["center_y_m"], 23 * PIXEL)
        np.testing.assert_allclose(file["object"].attrs["center_x_m"], 33 * PIXEL)
        np.testing.assert_allclose(file["probe_position_y_m"][0], 20 * PIXEL)


def test_a_reconstruction_is_one_file_with_the_numbers_of_its_frames(tmp_path):
    files = write_content(content(frames=None, frame_numbers=np.arange(3, 15)), tmp_path / "r.h5")
    assert files == (tmp_path / "r.h5",)
    with h5py.File(files[0]) as file:
        np.testing.assert_array_equal(file["probe_position_indexes"], np.arange(3, 15))


@pytest.mark.skipif(not reads("ptychodus"), reason="no reader yet")
def test_read_back(tmp_path):
    product, diffraction = write_content(content(), tmp_path / "scan.h5")
    assert_read_back(product, reading=Reading(join=(diffraction,)))
