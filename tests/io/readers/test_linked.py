"""Frames in several parts and files, and the marks of detector gaps."""

import numpy as np
import pytest
from hdf5_file import COUNTS, M, N, h5py, write

from ptycho.errors import DataError
from ptycho.io.fields import LazyFrames
from ptycho.io.hdf5 import Hdf5File
from ptycho.io.readers.linked import counts_or_intensity, gap_pixels, stacked


def test_frames_behind_a_link_of_another_name_are_read_in_their_file(tmp_path):
    write(tmp_path / "target.h5", {"inner/frames": COUNTS})
    link = h5py.ExternalLink("target.h5", "/inner/frames")
    path = write(tmp_path / "master.h5", {"entry/data": link})
    with Hdf5File(path) as file:
        frames = file.frames("entry/data")
    np.testing.assert_array_equal(frames[[2, 0, 4]], COUNTS[[2, 0, 4]])


def test_a_virtual_data_set_without_its_source_is_an_error(tmp_path):
    layout = h5py.VirtualLayout(COUNTS.shape, COUNTS.dtype)
    layout[:] = h5py.VirtualSource("gone.h5", "frames", COUNTS.shape)
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        file.create_virtual_dataset("frames", layout)
    with Hdf5File(tmp_path / "virtual.h5") as file, pytest.raises(DataError, match=r"gone\.h5"):
        file.frames("frames")


@pytest.mark.parametrize("cuts", [(), (2,), (1, 1, 4)])
def test_parts_are_one_stack_in_any_order_of_reading(cuts):
    stack = stacked("file", np.split(COUNTS, cuts))
    wanted = [4, 0, 3, 3, 1]
    assert stack.shape == (M, N, N)
    np.testing.assert_array_equal(stack[wanted], COUNTS[wanted])
    np.testing.assert_array_equal(np.asarray(stack), COUNTS)


def test_only_the_parts_that_are_asked_for_are_read():
    def fails(numbers):
        raise AssertionError("read without need")

    stack = stacked("file", [COUNTS[:2], LazyFrames((3, N, N), COUNTS.dtype, fails)])
    np.testing.assert_array_equal(stack[[1, 0]], COUNTS[[1, 0]])


def test_parts_of_different_types_are_an_error():
    with pytest.raises(DataError, match=r"of float32 and .* of uint16; expected frames of one"):
        stacked("file", [COUNTS, COUNTS.astype(np.float32)])


def test_whole_numbers_are_counts_and_fractions_intensity():
    assert counts_or_intensity(COUNTS) == "counts"
    assert counts_or_intensity(COUNTS.astype(np.float32)) == "counts"
    assert counts_or_intensity(COUNTS + 0.5) == "intensity"
    assert counts_or_intensity(np.sqrt(COUNTS)) == "intensity"  # the format says no amplitude


def test_a_gap_is_marked_in_every_frame():
    frames = COUNTS.astype(np.int32)
    frames[:, 0, 1], frames[:, 1, 2], frames[:, 2, 3], frames[2, 3, 3] = -1, 2**31 - 1, 4095, -1
    assert np.argwhere(gap_pixels(frames)).tolist() == [[0, 1], [1, 2]]
    assert np.argwhere(gap_pixels(frames, (4095,))).tolist() == [[0, 1], [1, 2], [2, 3]]
    assert gap_pixels(COUNTS) is None
    assert gap_pixels(COUNTS.astype(np.float32)) is None
