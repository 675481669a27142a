"""Small scans that the tests of readers write in each format."""

import numpy as np


def counts(n=6, height=8, width=8):
    """Whole numbers that differ in every frame and are not symmetric, (n, height, width)."""
    return np.random.default_rng(0).poisson(20, (n, height, width)).astype(np.uint16)


def check_frames(recorded, expected):
    """The frames are these, and are indexed as an array is."""
    frames = recorded.frames
    assert tuple(frames.shape) == expected.shape
    np.testing.assert_array_equal(np.asarray(frames[:]), expected)
    for which in ([4, 1, 1], slice(None, None, -2), 2, -1):
        np.testing.assert_array_equal(np.asarray(frames[which]), expected[which])
