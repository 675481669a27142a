"""Laws of frames that stay in their file."""

import pickle

import numpy as np
import pytest
from stored_frames import counts

from ptycho.errors import DataError
from ptycho.io.readers.stacks import Axes, Layout, frames_of, reciprocal_pixel_m, records, step_m


class _Keeps:
    def __init__(self, array):
        self.array = array

    def __call__(self):
        return self.array


@pytest.mark.parametrize(
    ("order", "axes"),
    [
        ((0, 1, 2, 3), Axes(scan=(0, 1), frame=(2, 3))),
        ((3, 2, 1, 0), Axes(scan=(3, 2), frame=(1, 0))),
        ((2, 3, 0, 1), Axes(scan=(2, 3), frame=(0, 1))),
        ((1, 0, 2, 3), Axes(scan=(1, 0), frame=(2, 3))),
    ],
)
def test_frames_of_any_order_of_axes_come_row_after_row(order, axes):
    frames = counts(6, 5, 7)
    stored = frames.reshape(2, 3, 5, 7).transpose(order)
    found = frames_of("x", stored, axes, _Keeps(stored))
    np.testing.assert_array_equal(found[:], frames)
    np.testing.assert_array_equal(found[[5, 0, 0]], frames[[5, 0, 0]])
    assert axes.raster(stored.shape) == (2, 3)
    assert found[[]].shape == (0, 5, 7)


def test_long_stacks_are_read_in_parts():
    stored = np.arange(1000 * 4, dtype=">u2").reshape(1000, 2, 2)
    found = frames_of("x", stored, Axes.leading(3), _Keeps(stored))
    np.testing.assert_array_equal(found[:], stored)
    np.testing.assert_array_equal(found[::97], stored[::97])
    assert found[:2].dtype.isnative


def test_records_survive_a_way_to_another_process(tmp_path):
    frames = counts()
    path = tmp_path / "x.raw"
    path.write_bytes(b"ab" + b"".join(b"head" + f.astype(">u2").tobytes() + b"z" for f in frames))
    found = records(path, Layout(frame=(8, 8), dtype=">u2", begin=2, header=4, footer=1), 6)
    np.testing.assert_array_equal(found[:], frames)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(found))[3], frames[3])
    with pytest.raises(DataError, match=r"expected .* for 7 frames"):
        records(path, Layout(frame=(8, 8), dtype=">u2", begin=2, header=4, footer=1), 7)


@pytest.mark.parametrize("unit", ["1/nm", "nm^-1", "[1_/_n_m]", "nm-1"])
def test_a_reciprocal_step_gives_the_object_pixel(unit):
    # 64 pixels of 0.1 /nm span 6.4 /nm, so an object pixel is 1/6.4 nm = 156.25 pm.
    assert reciprocal_pixel_m(0.1, unit, 64) == pytest.approx(156.25e-12)


def test_an_angle_needs_the_wavelength():
    assert reciprocal_pixel_m(1.0, "mrad", 64) is None
    assert reciprocal_pixel_m(1.0, "mrad", 100, 2e-12) == pytest.approx(2e-11)
    assert reciprocal_pixel_m(1.0, "pixels", 64, 2e-12) is None
    assert reciprocal_pixel_m(0.01, "A^-1", 64) == pytest.approx(1.5625e-10)


def test_a_step_without_a_length_is_unknown():
    assert step_m(-0.5, "nm") == pytest.approx(0.5e-9)
    assert step_m(0.5, "pixels") is None
