"""Laws of the metrics: ambiguities cost nothing, and each number has a case worked by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptycho.metrics import (
    align,
    compare,
    detector_residual,
    flatten_phase,
    fourier_ring_correlation,
    inner_rectangle,
    peak_signal_to_noise,
    structural_similarity,
    well_covered,
)

SHAPE = (72, 80)


def waves(shift=(0.0, 0.0), shape=SHAPE, seed=0):
    """An object of 40 plane waves, so that it can be evaluated at any sub-pixel shift."""
    rng = np.random.default_rng(seed)
    frequencies = rng.uniform(-0.12, 0.12, (40, 2))
    phases, parts = rng.uniform(0, 2 * np.pi, (2, 40)), rng.normal(size=(2, 40)) / np.sqrt(40)
    rows, cols = np.meshgrid(
        *(np.arange(n) - s for n, s in zip(shape, shift, strict=True)), indexing="ij"
    )
    angle = (
        2 * np.pi * (frequencies[:, 0, None, None] * rows + frequencies[:, 1, None, None] * cols)
    )
    real, imaginary = (
        np.tensordot(part, np.cos(angle + phase[:, None, None]), axes=1)
        for part, phase in zip(parts, phases, strict=True)
    )
    amplitude = 1 / (1 + np.exp(-real))
    return (amplitude * np.exp(1j * imaginary)).astype(np.complex64)


def middle(shape=SHAPE, margin=8):
    mask = np.zeros(shape, dtype=bool)
    mask[margin:-margin, margin:-margin] = True
    return mask


def white(shape=SHAPE, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def plane(ramp, shape=SHAPE):
    rows, cols = (np.arange(n) - (n - 1) / 2 for n in shape)
    return ramp[0] * rows[:, None] + ramp[1] * cols


@given(
    shift=st.tuples(*[st.floats(-5, 5)] * 2),
    ramp=st.tuples(*[st.floats(-0.2, 0.2)] * 2),
    phase=st.floats(-3, 3),
    scale=st.floats(0.2, 5),
)
def test_align_finds_shift_ramp_scale_and_phase_together(shift, ramp, phase, scale):
    truth = waves()
    moved = waves(shift=(-shift[0], -shift[1]))  # the estimate has to move by `shift`
    estimate = (moved * np.exp(-1j * (phase + plane(ramp))) / scale).astype(np.complex64)
    found = align(estimate, truth, middle())
    np.testing.assert_allclose(found.shift, shift, atol=2e-3)
    np.testing.assert_allclose(found.scale, scale, rtol=1e-3)
    # A ramp is removed after the shift: the phase at the middle moves with ramp . shift.
    wanted = phase - ramp[0] * shift[0] - ramp[1] * shift[1]
    np.testing.assert_allclose(found.ramp, ramp, atol=2e-4)
    assert abs(math.remainder(found.phase - wanted, 2 * math.pi)) < 5e-3
    assert found.residual < 1e-5  # splines of order 5 on waves below a quarter of Nyquist


def test_align_without_shift_changes_no_pixel_of_an_equal_object():
    truth = waves()
    found = align(truth, truth, middle(), shift=False)
    np.testing.assert_allclose(found.obj[middle()], truth[middle()], atol=1e-6)
    assert found.shift == (0.0, 0.0)
    assert found.residual < 1e-12


def test_what_stands_outside_the_mask_does_not_matter():
    truth, mask = waves(), middle(margin=16)
    spoilt = np.where(mask, truth, 1e3 * white()).astype(np.complex64)
    found = align(spoilt, truth, mask)
    assert found.residual < 1e-8


def test_align_refuses_an_empty_mask():
    with pytest.raises(ValueError, match="0 pixels, none where both objects differ from 0"):
        align(waves(), waves(), np.zeros(SHAPE, dtype=bool))


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
    with pytest.raises(ValueError, match="expected a common part"):
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


def test_flatten_phase_removes_mean_and_ramp():
    flat, slope = flatten_phase(
        np.exp(1j * (0.7 + plane((0.9, -0.4)))).astype(np.complex64), middle()
    )
    np.testing.assert_allclose(flat, 1, atol=1e-4)
    np.testing.assert_allclose(slope, (0.9, -0.4), atol=1e-6)


def test_detector_residual_of_a_case_worked_by_hand():
    # (2 - 1)^2 + (3 - 3)^2 over 1 + 9.
    residual = detector_residual(np.array([[1.0, 3.0]]), np.array([[2.0, 3.0]]))
    assert residual == pytest.approx(0.1)
    assert math.isnan(detector_residual(np.zeros((2, 2)), np.ones((2, 2))))


def test_well_covered_is_relative_to_the_maximum():
    mask = well_covered(np.array([[0.0, 0.5, 1.1, 10.0]]))
    np.testing.assert_array_equal(mask, [[False, False, True, True]])


def test_flatten_phase_sees_the_ramp_behind_phase_jumps_that_run_against_it():
    rows, cols = np.mgrid[:200, :150]
    steps = 0.03 * 10 * (rows // 10)  # flat terraces: only the jumps between them rise
    noise = np.random.default_rng(0).normal(0, 0.5, rows.shape)
    obj = np.exp(1j * (steps - 0.01 * cols + noise)).astype(np.complex64)
    _, slope = flatten_phase(obj, np.ones(rows.shape, bool))
    np.testing.assert_allclose(slope, (0.03, -0.01), atol=3e-4)


def test_a_place_visited_often_does_not_hide_the_rest():
    coverage = np.ones((20, 20))
    coverage[:3, :3] = 150.0
    assert well_covered(coverage).all()
    assert not well_covered(np.zeros((4, 4))).any()
