"""Arrays with the names of pty-chi."""

import numpy as np
import pytest
from written_scan import BAD, PIXEL, lazy, scan, written


def test_names_shapes_and_centre(tmp_path):
    frames, _ = lazy(scan().frames)
    found = np.load(written(tmp_path, "s.npz", to="ptychi", frames=frames))
    np.testing.assert_array_equal(found["data"], scan().frames)
    assert found["data"].dtype == np.uint16
    # Frame 0 at (20, 30): its window of 16 x 16 pixels begins at (12, 22), its centre is
    # (19.5, 29.5); the origin of pty-chi in 50 x 60 pixels is (24.5, 29.5).
    assert (found["probe_position_y_px"][0], found["probe_position_x_px"][0]) == (-5.0, 0.0)
    assert found["probe"].shape == (1, 2, 16, 16)
    assert found["object"].shape == (1, 50, 60)
    assert found["valid_pixel_mask"].dtype == bool
    assert not found["valid_pixel_mask"][BAD]
    assert found["valid_pixel_mask"].sum() == 255
    assert found["pixel_size_m"] == PIXEL
    assert found["wavelength_m"] == 1e-10
    assert found["free_space_propagation_distance_m"] == 2.0
    assert [path.name for path in tmp_path.iterdir()] == ["s.npz"]


def test_amplitudes_become_intensities(tmp_path):
    frames = np.full((12, 16, 16), 3.0, np.float32)
    path = written(tmp_path, "s.npz", to="ptychi", frames=frames, measurement="amplitude")
    np.testing.assert_array_equal(np.load(path)["data"], np.full((12, 16, 16), 9.0, np.float32))


def test_without_an_object_the_centre_is_that_of_all_windows(tmp_path):
    found = np.load(written(tmp_path, "s.npz", to="ptychi", obj=None, frames=None, mask=None))
    assert "object" not in found
    assert "data" not in found
    np.testing.assert_array_equal(found["object_shape"], [1, 22, 22])
    # Windows reach from row 12 to 34 and from column 22 to 44.
    assert (found["probe_position_y_px"][0], found["probe_position_x_px"][0]) == (-3.0, -3.0)


@pytest.mark.parametrize(("n", "position"), [(51, -6.0), (53, -6.0), (52, -6.0)])
def test_positions_count_from_the_origin_of_pty_chi(tmp_path, n, position):
    """The window of frame 0 begins at row 12, its centre is 19.5; round(n / 2) - 0.5 is 25.5."""
    obj = np.ones((n, 60), np.complex64)
    found = np.load(written(tmp_path, "s.npz", to="ptychi", obj=obj))
    assert found["probe_position_y_px"][0] == position
