"""Pictures made small: what averaging and whole numbers keep."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_scan import simulated

from ptycho.report.quantise import block_means, quantise, reduced_shape, thumbnails


@given(
    shape=st.tuples(st.integers(1, 23), st.integers(1, 23)),
    seed=st.integers(0, 2**16),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
)
def test_codes_come_back_within_half_a_step(shape, seed, scale):
    values = scale * np.random.default_rng(seed).normal(size=shape)
    coded = quantise(values)
    # float64 arithmetic on the way there and back adds a little to the half step
    tolerance = coded.step * (0.5 + 1e-3)
    assert np.abs(coded.restored() - values).max() <= tolerance


def test_codes_by_hand():
    coded = quantise(np.array([[0.0, 65534.0], [1.4, np.nan]]))
    assert (coded.low, coded.step, coded.high) == (0.0, 1.0, 65534.0)
    assert coded.codes.tolist() == [[1, 65535], [2, 0]]


@pytest.mark.parametrize("values", [np.full((2, 3), np.nan), np.full((2, 3), 7.0)])
def test_pictures_without_a_range_come_back_as_they_were(values):
    np.testing.assert_array_equal(quantise(values).restored(), values)


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    most=st.integers(1, 40),
    seed=st.integers(0, 2**16),
)
def test_averaging_keeps_the_mean_of_what_is_known(shape, most, seed):
    rng = np.random.default_rng(seed)
    values, known = rng.normal(size=shape), rng.random(shape) < 0.7
    small = reduced_shape(shape, most)
    assert max(small) <= max(most, 1)
    means = block_means(values, *small, known=known)
    counted = block_means(known.astype(float), *small)
    area = block_means(np.ones(shape), *small)
    np.testing.assert_array_equal(area, 1.0)
    pixels = _pixels(shape, small)
    total = np.nansum(means * counted * pixels)
    assert total == pytest.approx(values[known].sum(), abs=1e-9)  # at most 1,600 terms near 1


def _pixels(shape, small):
    sides = [
        np.diff([k * size // n for k in range(n + 1)]) for size, n in zip(shape, small, strict=True)
    ]
    return np.outer(*sides)


def test_averaging_by_hand():
    values = np.array([[1.0, 3.0, 10.0], [5.0, 7.0, 20.0]])
    known = np.array([[True, True, True], [True, False, False]])
    np.testing.assert_array_equal(block_means(values, 1, 3), [[3.0, 5.0, 15.0]])
    np.testing.assert_array_equal(block_means(values, 1, 1, known=known), [[4.75]])
    np.testing.assert_array_equal(block_means(values, 2, 1)[:, 0], [14 / 3, 32 / 3])
    unknown = np.zeros((2, 3), bool)
    assert np.isnan(block_means(values, 1, 1, known=unknown)).all()


def test_small_frames_keep_to_their_budget_and_their_order():
    raw = simulated()
    small = thumbnails(raw, np.array([5, 3, 5, 40]), budget=3 * 100)
    assert small.numbers.tolist() == [3, 5, 40]
    assert small.codes.shape == (3, 10, 10)
    assert small.codes.max() == 255
    alone = thumbnails(raw, np.array([5]), budget=100).codes[0].astype(float)
    there = small.codes[1].astype(float)
    # Scaled to another maximum, but the same picture up to 8-bit steps of both
    np.testing.assert_allclose(there / there.max(), alone / alone.max(), atol=1.1 / there.max())
