"""Comparison with the truth: common area, ambiguities removed, each number by hand."""

import math

import numpy as np
import pytest
from metric_objects import SHAPE, middle, picture, plane, waves, white

from ptycho.metrics import align, compare, detector_residual


def test_frames_of_different_size_and_origin_are_cut_to_their_common_part():
    world = waves(shape=(120, 130))
    truth, estimate = world[5:100, 10:110], world[20:115, 0:90]
    comparison = compare(
        estimate, truth, np.ones(estimate.shape, dtype=bool),
        estimate_origin=(20, 0), truth_origin=(5, 10),
    )  # fmt: skip
    assert comparison.origin == (20, 10)
    assert comparison.truth.shape == (80, 80)
    np.testing.assert_array_equal(comparison.truth, world[20:100, 10:90])
    assert comparison.numbers["object_residual"] < 1e-10
    assert comparison.numbers["removed_scale"] == pytest.approx(1, abs=1e-5)


def test_frames_apart_are_refused():
    with pytest.raises(ValueError, match="expected a common area"):
        compare(waves(), waves(), middle(), estimate_origin=(500, 0))


def test_a_perfect_copy_gets_perfect_numbers_in_spite_of_all_ambiguities():
    truth = waves()
    estimate = (0.3 * truth * np.exp(1j * (1 + plane((0.05, -0.02))))).astype(np.complex64)
    numbers = compare(estimate, truth, middle()).numbers
    assert numbers["phase_psnr_db"] > 100
    assert numbers["amplitude_psnr_db"] > 100
    assert numbers["phase_ssim"] == pytest.approx(1, abs=1e-6)
    assert numbers["amplitude_ssim"] == pytest.approx(1, abs=1e-6)
    assert numbers["frc_05_cycles_per_px"] == numbers["frc_half_bit_cycles_per_px"] == 0.5
    assert numbers["frc_05_ring"] == numbers["frc_rings"]
    assert numbers["removed_scale"] == pytest.approx(1 / 0.3, rel=1e-5)


def test_phase_errors_count_once_whatever_wraps():
    # A wedge through several turns, and an estimate with +0.1 and -0.1 rad in a chequerboard.
    truth = np.exp(1j * plane((0.0, 0.3))).astype(np.complex64)
    sign = (-1.0) ** np.add.outer(np.arange(SHAPE[0]), np.arange(SHAPE[1]))
    estimate = (truth * np.exp(0.1j * sign)).astype(np.complex64)
    found = align(estimate, truth, middle(), shift=False)
    error = np.angle(found.obj * truth.conj())[middle()]
    np.testing.assert_allclose(np.abs(error), 0.1, atol=1e-3)


def test_a_pure_phase_object_has_no_amplitude_range_to_measure_by():
    truth = np.exp(1j * np.angle(waves())).astype(np.complex64)  # |truth| is 1 up to rounding
    numbers = compare((truth + 0.01 * white()).astype(np.complex64), truth, middle()).numbers
    assert numbers["amplitude_psnr_peak"] == 0
    assert math.isnan(numbers["amplitude_psnr_db"])
    assert numbers["amplitude_rmse"] == pytest.approx(0.01, rel=0.1)  # one of two noise parts


def test_detector_residual_of_a_case_worked_by_hand():
    # (2 - 1)^2 + (3 - 3)^2 over 1 + 9.
    residual = detector_residual(np.array([[1.0, 3.0]]), np.array([[2.0, 3.0]]))
    assert residual == pytest.approx(0.1)
    assert math.isnan(detector_residual(np.zeros((2, 2)), np.ones((2, 2))))


def test_everything_removed_at_once_is_told():
    """Shift (2, -1), ramp, scale and phase of one object: found, and nothing is left."""
    wide = picture(96)
    truth, moved = wide[10:80, 10:80], wide[8:78, 11:81]
    rows, cols = np.indices(moved.shape)
    estimate = 1.3 * moved * np.exp(1j * (0.5 + 0.01 * rows - 0.02 * cols))
    found = compare(estimate, truth, np.ones(truth.shape, bool))
    numbers = found.numbers
    shift = numbers["removed_shift_row_px"], numbers["removed_shift_col_px"]
    np.testing.assert_allclose(shift, (-2, 1), atol=0.02)
    ramp = numbers["removed_ramp_row_rad_per_px"], numbers["removed_ramp_col_rad_per_px"]
    np.testing.assert_allclose(ramp, (-0.01, 0.02), atol=1e-4)
    assert numbers["removed_scale"] == pytest.approx(1 / 1.3, rel=1e-3)
    assert numbers["object_residual"] < 1e-5
