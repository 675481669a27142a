"""PSNR, SSIM and MS-SSIM: by hand, as scikit-image, inside the mask only."""

import math

import numpy as np
import pytest
from metric_objects import middle, picture, waves
from skimage import metrics as skimage_metrics

from ptycho.metrics import (
    MS_SSIM_LEAST_SIDE,
    multiscale_similarity,
    peak_signal_to_noise,
    structural_similarity,
)


def test_psnr_of_a_case_worked_by_hand():
    # mean(error^2) = (9 + 16) / 4 = 6.25; peak 10: 10 log10(100 / 6.25) = 12.0412 dB.
    assert peak_signal_to_noise(np.array([3.0, -4.0, 0.0, 0.0]), 10.0) == pytest.approx(12.0412)
    assert peak_signal_to_noise(np.zeros(3), 1.0) == math.inf
    assert math.isnan(peak_signal_to_noise(np.ones(3), 0.0))


def test_ssim_of_two_flat_pictures_follows_the_formula():
    # Without contrast SSIM is (2 a b + C) / (a^2 + b^2 + C), C = (0.01 range)^2.
    truth, estimate = np.full((32, 32), 1.0), np.full((32, 32), 0.5)
    expected = (2 * 0.5 + 1e-4) / (1.25 + 1e-4)
    mask = np.ones((32, 32), dtype=bool)
    assert structural_similarity(estimate, truth, mask, 1.0) == pytest.approx(expected, abs=1e-6)


def test_ssim_does_not_look_outside_the_mask():
    truth = np.abs(waves())
    spoilt = np.where(middle(), truth, 99.0)
    assert structural_similarity(spoilt, truth, middle(), 1.0) == pytest.approx(1)


def test_psnr_and_ssim_are_those_of_scikit_image():
    truth = np.abs(picture(64))
    found = truth + 0.05 * np.random.default_rng(0).normal(size=truth.shape)
    mask = np.ones(truth.shape, bool)
    assert peak_signal_to_noise(found - truth, 0.9) == pytest.approx(
        skimage_metrics.peak_signal_noise_ratio(truth, found, data_range=0.9)
    )
    _, similarity = skimage_metrics.structural_similarity(
        truth, found, data_range=0.9, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, full=True,
    )  # fmt: skip
    inner = similarity[5:-5, 5:-5].mean()
    assert structural_similarity(found, truth, mask, 0.9) == pytest.approx(inner, rel=1e-9)


def test_ms_ssim_is_one_for_equal_pictures_and_falls_with_noise():
    truth = np.abs(picture(MS_SSIM_LEAST_SIDE))
    rng = np.random.default_rng(0)
    found = [
        multiscale_similarity(truth + sigma * rng.normal(size=truth.shape), truth, 0.5)
        for sigma in (0.0, 0.02, 0.1)
    ]
    assert found[0] == pytest.approx(1)
    assert 1 > found[1] > found[2] > 0


def test_ms_ssim_of_a_brighter_picture_by_hand():
    """Flat pictures differ in luminance only, which counts at the coarsest scale, to 0.1333."""
    side, range_ = MS_SSIM_LEAST_SIDE, 1.0
    dark, bright = np.full((side, side), 0.5), np.full((side, side), 0.6)
    luminance = (2 * 0.5 * 0.6 + 0.01**2) / (0.5**2 + 0.6**2 + 0.01**2)
    assert multiscale_similarity(bright, dark, range_) == pytest.approx(luminance**0.1333, rel=1e-4)


def test_ms_ssim_that_does_not_fit_is_no_number():
    small = np.abs(picture(MS_SSIM_LEAST_SIDE - 1))
    assert math.isnan(multiscale_similarity(small, small, 1.0))
