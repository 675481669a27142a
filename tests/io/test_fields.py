"""Lazy frames behave as the array they stand for, and read no more than is asked of them."""

import numpy as np
import pytest

from ptycho.io import FrameStack, LazyFrames

STACK = np.random.default_rng(0).integers(0, 9, (7, 4, 4)).astype(np.uint8)


@pytest.fixture
def asked():
    return []


@pytest.fixture
def frames(asked):
    def read(numbers):
        asked.append(numbers.tolist())
        return STACK[numbers]

    return LazyFrames(STACK.shape, STACK.dtype, read)


@pytest.mark.parametrize(
    "index",
    [
        3, -1, slice(None), slice(5, 1, -2), slice(2, 2), [4, 4, 0], np.array([[6, 1], [1, 2]]),
        np.arange(7) % 2 == 0, (slice(1, 3), 2), (4, slice(1, 3), 0), ([5, 1], slice(None), 3),
    ],
    ids=str,
)  # fmt: skip
def test_any_index_gives_what_the_array_gives(frames, index):
    found = frames[index]
    assert found.dtype == STACK.dtype
    np.testing.assert_array_equal(found, STACK[index])


def test_the_reader_is_asked_for_each_frame_once_in_ascending_order(frames, asked):
    assert asked == []
    frames[[5, 0, 5, 3]]
    assert asked == [[0, 3, 5]]


def test_they_can_stand_where_an_array_stands(frames):
    assert isinstance(frames, FrameStack)
    assert isinstance(STACK, FrameStack)
    np.testing.assert_array_equal(np.asarray(frames), STACK)
    np.testing.assert_array_equal(np.asarray(frames, np.float32), STACK.astype(np.float32))
    assert (len(frames), frames.shape, frames.ndim, frames.dtype) == (7, (7, 4, 4), 3, np.uint8)


def test_a_frame_that_does_not_exist_is_an_index_error(frames):
    with pytest.raises(IndexError):
        frames[7]
