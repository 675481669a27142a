"""NumPy files with frames or positions."""

import pickle

import numpy as np
import pytest
from stored_frames import check_frames, counts

from ptycho.errors import DataError
from ptycho.io.formats import recognise
from ptycho.io.readers.arrays import read, read_npz


@pytest.mark.parametrize("fortran", [False, True])
def test_a_stack_and_a_raster_stay_in_the_file(tmp_path, fortran):
    for shape, raster in (((6, 8, 10), None), ((2, 3, 8, 10), (2, 3))):
        data = counts(6, 8, 10).reshape(shape)
        path = tmp_path / "a.npy"
        np.save(path, np.asfortranarray(data) if fortran else data)
        assert recognise(path) == "NPY"
        found = read(path)
        check_frames(found, counts(6, 8, 10))
        assert found.raster == raster
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(found.frames))[2], data.reshape(
            6, 8, 10)[2])  # fmt: skip


def test_two_columns_are_positions_in_pixels(tmp_path):
    path = tmp_path / "p.npy"
    np.save(path, [[1, 2], [3, 5]])
    found = read(path)
    assert found.frames is None
    assert found.positions_unit == "px"
    np.testing.assert_array_equal(found.positions, [[1.0, 2.0], [3.0, 5.0]])


def test_other_arrays_are_refused(tmp_path):
    path = tmp_path / "a.npy"
    for array in (np.zeros(4), np.zeros((4, 3)), np.zeros((1, 2, 3, 4, 5))):
        np.save(path, array)
        with pytest.raises(DataError, match=r"expected frames .frames, rows, columns."):
            read(path)
    np.save(path, np.array([{}], object), allow_pickle=True)
    with pytest.raises(DataError, match=r"expected a complete .npy file of numbers"):
        read(path)
    np.save(path, counts())
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DataError, match=r"expected a complete .npy file"):
        read(path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("name", ["data", "patterns", "arr_0"])
def test_npz_with_frames_only(tmp_path, save, name):
    path = tmp_path / "a.npz"
    save(path, **{name: counts(), "comment": np.zeros(3)})
    assert recognise(path) == "NPZ with frames only"
    check_frames(read_npz(path), counts())
    save(path, **{name: counts().reshape(2, 3, 8, 8)})
    check_frames(read_npz(path), counts())
    assert read_npz(path).raster == (2, 3)


def test_npz_without_a_clear_stack_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, data=np.zeros((4, 4)))
    with pytest.raises(DataError, match=r"0 stacks of frames \(data \(4, 4\)\)"):
        read_npz(path)
    np.savez(path, data=counts(), frames=counts())
    with pytest.raises(DataError, match="2 stacks of frames"):
        read_npz(path)
