"""MATLAB files: names of PtychoShelves, frames appended one after the other."""

import numpy as np
import pytest
import scipy.io
from written_scan import BAD, PIXEL, lazy, scan, written

from ptycho.errors import DataError
from ptycho.experiment import Experiment
from ptycho.io.fields import LazyFrames


def test_variables_have_the_names_and_orders_of_ptychoshelves(tmp_path):
    found = scipy.io.loadmat(written(tmp_path, "scan.mat"))
    np.testing.assert_array_equal(found["object"], scan().obj)
    np.testing.assert_array_equal(found["probe"][..., 1], scan().probe[1])
    # Frame 0 at (20, 30): its window begins at (12, 22), counted from 0, and ceil((50 - 16) / 2)
    # = 17, ceil((60 - 16) / 2) = 22: y = 12 - 17 + 1, x = 22 - 22 + 1.
    np.testing.assert_allclose(found["outputs"]["probe_positions"][0, 0][0], [1, -4])
    assert found["outputs"]["fourier_error_out"][0, 0].size == 0  # ptychodus asks for it
    parameters = found["p"][0, 0]
    np.testing.assert_array_equal(parameters["dx_spec"], [[PIXEL, PIXEL]])
    assert parameters["lambda"].item() == 1e-10
    assert (parameters["z"].item(), parameters["ds"].item()) == (2.0, 75e-6)
    assert [tuple(place) for place in np.argwhere(found["mask"] == 0)] == [BAD]


@pytest.mark.parametrize("kind", ["<u2", ">u2", "u1", "i4", "u4", "f4", "f8", "i8", "f2", "?"])
def test_frames_are_last_and_keep_their_type(tmp_path, kind):
    frames = (np.arange(3 * 16 * 16).reshape(3, 16, 16) % 2 * 7).astype(kind)
    positions = scan().positions[:3]
    found = scipy.io.loadmat(written(tmp_path, "s.mat", frames=frames, positions=positions))["dp"]
    expected = {"f2": "f4", "?": "u1", ">u2": "<u2"}.get(kind, kind)
    assert found.dtype == np.dtype(expected)
    np.testing.assert_array_equal(found, np.moveaxis(frames, 0, -1).astype(expected))


def test_a_variable_that_is_too_large_is_refused(tmp_path):
    huge = LazyFrames((70000, 128, 128), "u2", lambda numbers: numbers)
    with pytest.raises(DataError, match=r"frames of 2\.3 GB; expected at most 2\.1 GB"):
        written(tmp_path, "s.mat", frames=huge)
    assert list(tmp_path.iterdir()) == []


def test_pixels_are_enough(tmp_path):
    frames, _ = lazy(scan().frames)
    path = written(tmp_path, "s.mat", frames=frames, pixel_size_m=None, experiment=Experiment())
    found = scipy.io.loadmat(path)
    assert set(found["p"].dtype.names) == {"asize", "object_size"}
    np.testing.assert_array_equal(found["dp"][:, :, 4], scan().frames[4])
