"""Fourier ring correlation, its levels, its crossings and the rectangle it is taken in."""

import math

import numpy as np
import pytest
from metric_objects import noise, white

from ptycho.metrics import fourier_ring_correlation, inner_rectangle


def test_rings_of_equal_objects_correlate_fully_and_of_noise_not_at_all():
    rings = fourier_ring_correlation(white(), white())
    np.testing.assert_allclose(rings.correlation, 1, rtol=1e-12)
    assert rings.crossing(0.5) == 0.5
    independent = fourier_ring_correlation(white((128, 128), 1), white((128, 128), 2))
    # Outer rings hold some 400 pixels, a quarter of them independent: sigma about 0.07.
    assert np.abs(independent.correlation[40:]).max() < 0.3
    assert abs(independent.correlation[20:].mean()) < 0.03
    assert independent.crossing(0.5) < 0.05


def test_rings_of_half_signal_half_noise_correlate_by_half():
    signal = white((128, 128), 0)
    pair = [signal + white((128, 128), seed) for seed in (1, 2)]
    rings = fourier_ring_correlation(*pair)
    # FRC = SNR / (1 + SNR) with SNR 1.
    assert rings.correlation[10:].mean() == pytest.approx(0.5, abs=0.03)


def test_crossing_lies_where_the_noise_begins():
    n = 128
    low = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.fftfreq(n)) < 0.25
    first, second = white((n, n), 1), white((n, n), 2)
    shared = np.fft.ifft2(np.where(low, np.fft.fft2(first), np.fft.fft2(second)))
    crossing = fourier_ring_correlation(first, shared).crossing(0.5)
    assert crossing == pytest.approx(0.25, abs=1.5 / n)  # 1.5 rings of 64 up to 0.5


def test_crossing_is_interpolated_between_rings():
    rings = fourier_ring_correlation(white((8, 8)), white((8, 8)))
    np.testing.assert_allclose(rings.frequency, [0, 0.125, 0.25, 0.375, 0.5])
    rings.correlation[:] = [0, 0.9, 0.7, 0.3, 0.8]
    assert rings.crossing(0.5) == pytest.approx(0.25 + 0.125 / 2)
    assert rings.crossing(0.95) == 0.0
    assert rings.crossing(0.1) == 0.5


def test_inner_rectangle_of_a_notched_mask():
    mask = np.zeros((20, 30), dtype=bool)
    mask[3:15, 2:28] = True
    mask[8, 9] = False  # a hole: filled
    mask[3:5, 20:28] = False  # a notch at the upper right
    rows, cols = inner_rectangle(mask)
    assert (rows, cols) in [
        (slice(3, 15), slice(2, 20)),
        (slice(5, 15), slice(2, 28)),
    ]


def test_equal_objects_correlate_everywhere_and_cross_nothing():
    obj = noise(48)
    rings = fourier_ring_correlation(obj, obj)
    np.testing.assert_allclose(rings.correlation[1:], 1, rtol=1e-12)
    # The first rings hold so few pixels that a bit takes a correlation of nearly 1 there, not more.
    assert [rings.crossing(level) for level in rings.thresholds.values()] == [0.5, 0.5, 0.5]


def test_independent_noise_stays_below_every_level():
    rings = fourier_ring_correlation(noise(96, 0), noise(96, 1))
    assert np.abs(rings.correlation[8:]).max() < 0.25  # 5 sigma of a ring of some 400 pixels
    assert (rings.correlation[8:] < rings.half_bit[8:]).all()
    assert (rings.half_bit < rings.one_bit)[8:].all()


def test_levels_by_hand():
    """Ring 8 of 64 pixels: 2 pi 8 = 50.3 pixels, of which the window leaves 0.264 independent."""
    rings = fourier_ring_correlation(noise(64, 0), noise(64, 1))
    radius = np.hypot(np.fft.fftfreq(64)[:, None], np.fft.fftfreq(64)) * 64
    counted = int(((radius >= 7.5) & (radius < 8.5)).sum())
    window = np.hanning(66)[1:-1]
    independent = counted * (np.mean(window**2) ** 2 / np.mean(window**4)) ** 2
    x = 1 / math.sqrt(independent)
    assert rings.half_bit[8] == pytest.approx((0.2071 + 1.9102 * x) / (1.2071 + 0.9102 * x))
    assert rings.one_bit[8] == pytest.approx((0.5 + 2.4142 * x) / (1.5 + 1.4142 * x))
    # Very many pixels: 0.2071 / 1.2071 and 0.5 / 1.5.
    assert 0.2071 / 1.2071 < rings.half_bit[-1] < rings.one_bit[-1] < 0.6
