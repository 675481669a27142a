"""Arrays of tike: zero frequency at the corner, positions at the corner of the window."""

import numpy as np
import pytest
from hdf5_file import COUNTS, N, write

from ptycho.errors import DataError
from ptycho.io import read_fields, recognise

MASK = np.ones((N, N), bool)
MASK[0, 1] = False
OBJECT = np.random.default_rng(1).standard_normal((1, 12, 12)).astype(np.complex64)
ARRAYS = {
    "data": np.fft.ifftshift(COUNTS, axes=(1, 2)),
    "scan": np.array([[1, 2], [3, 4.5], [0, 0], [2, 2], [5, 1]], np.float32),
    "probe": np.arange(2 * N * N).reshape(1, 1, 2, N, N).astype(np.complex64),
    "psi": OBJECT,
    "measured_pixels": MASK,
}


def written(folder, container, **changes):
    path = folder / f"scan.{container}"
    arrays = ARRAYS | changes
    if container == "h5":
        return write(path, arrays)
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(("container", "name"), [("npz", "tike NPZ"), ("h5", "tike HDF5")])
def test_frames_are_centred_and_positions_moved_to_the_centre(tmp_path, container, name):
    path = written(tmp_path, container)
    assert recognise(path) == name
    fields = read_fields(path)
    np.testing.assert_array_equal(fields["frames"][[4, 0]], COUNTS[[4, 0]])
    # Window from (3, 4.5), side 4: centre 2 pixels further.
    assert (fields["ycoords"][1], fields["xcoords"][1]) == (5, 6.5)
    np.testing.assert_array_equal(fields["mask"], np.fft.fftshift(MASK))
    np.testing.assert_array_equal(fields["probe"], ARRAYS["probe"][0, 0])
    np.testing.assert_array_equal(fields["obj"], OBJECT[0])
    assert fields["measurement"] == "counts"


def test_fractions_are_intensity(tmp_path):
    path = written(tmp_path, "npz", data=ARRAYS["data"] + 0.5)
    assert read_fields(path)["measurement"] == "intensity"


@pytest.mark.parametrize("container", ["npz", "h5"])
def test_a_scan_of_another_shape_is_refused(tmp_path, container):
    with pytest.raises(DataError, match=r"scan has shape \(5,\); expected \(positions, 2\)"):
        read_fields(written(tmp_path, container, scan=np.zeros(5)))
