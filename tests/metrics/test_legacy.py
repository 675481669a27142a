"""The metrics as published with PtychoPINN."""

import math

import numpy as np
import pytest
from metric_objects import noise, picture

from ptycho.metrics import legacy_numbers
from ptycho.metrics.legacy import frc50_ring


def test_legacy_numbers_by_hand():
    """An amplitude of 1 and 3 for 1 and 2, in equal parts: scaled by 1.5 / 2, off by a quarter."""
    side = 32
    truth = np.where(np.indices((side, side))[0] < side // 2, 1.0, 2.0).astype(complex)
    estimate = np.where(truth.real == 1, 1.0, 3.0).astype(complex)
    numbers = legacy_numbers(estimate, truth)
    assert numbers["legacy_amplitude_mae"] == pytest.approx(0.25)
    assert numbers["legacy_amplitude_mse"] == pytest.approx(0.0625)
    psnr = 10 * math.log10(255**2 / 0.0625)
    assert numbers["legacy_amplitude_psnr_255_db"] == pytest.approx(psnr)
    assert math.isnan(numbers["legacy_phase_ms_ssim_product"])


def test_legacy_numbers_of_equal_objects_and_a_plane():
    obj = picture(128)
    rows, _ = np.indices(obj.shape)
    numbers = legacy_numbers(obj * np.exp(0.001j * rows), obj)
    assert numbers["legacy_phase_mae"] < 1e-9
    assert numbers["legacy_amplitude_ms_ssim_product"] == pytest.approx(1)
    assert numbers["legacy_amplitude_frc50_ring"] == 65  # 64 rings, none below


def test_legacy_ring_is_where_the_band_ends():
    """One of the two is noise beyond ring 20; smoothing by two rings blurs the edge."""
    spectrum = np.fft.fft2(noise(128, 0).real)
    along = np.fft.fftfreq(128) * 128
    beyond = np.hypot(along[:, None], along) > 20
    other = np.where(beyond, np.fft.fft2(noise(128, 1).real), spectrum)
    pair = (np.fft.ifft2(each).real for each in (spectrum, other))
    assert abs(frc50_ring(*pair) - 20.5) <= 2
