"""Alignment: ambiguities are found and removed, masked pixels have no effect."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from metric_objects import SHAPE, middle, plane, waves, white

from ptycho.metrics import align, flatten_phase, well_covered


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


def test_noise_in_a_strong_object_feigns_no_ramp():
    """Bars of 2.4 rad, half a pixel off, in noise: neighbours say little of a ramp."""
    rng = np.random.default_rng(3)
    cols = np.arange(SHAPE[1])

    def bars(shift):
        inside = np.clip(4 * np.sin(2 * np.pi * (cols - shift) / 9) + 0.5, 0, 1)
        return np.broadcast_to((1 - 0.7 * inside) * np.exp(2.4j * inside), SHAPE)

    truth = bars(0.0).astype(np.complex64)
    noisy = bars(0.4) + 0.35 * (rng.standard_normal(SHAPE) + 1j * rng.standard_normal(SHAPE))
    found = align(noisy.astype(np.complex64), truth, middle())
    assert np.abs(found.ramp).max() < 0.003
    assert found.shift[1] == pytest.approx(-0.4, abs=0.1)


def test_align_refuses_an_empty_mask():
    with pytest.raises(ValueError, match="0 pixels, none where both objects differ from 0"):
        align(waves(), waves(), np.zeros(SHAPE, dtype=bool))


def test_flatten_phase_removes_mean_and_ramp():
    flat, slope = flatten_phase(
        np.exp(1j * (0.7 + plane((0.9, -0.4)))).astype(np.complex64), middle()
    )
    np.testing.assert_allclose(flat, 1, atol=1e-4)
    np.testing.assert_allclose(slope, (0.9, -0.4), atol=1e-6)


def test_flatten_phase_sees_the_ramp_behind_phase_jumps_that_run_against_it():
    rows, cols = np.mgrid[:200, :150]
    steps = 0.03 * 10 * (rows // 10)  # flat terraces: only the jumps between them rise
    noise = np.random.default_rng(0).normal(0, 0.5, rows.shape)
    obj = np.exp(1j * (steps - 0.01 * cols + noise)).astype(np.complex64)
    _, slope = flatten_phase(obj, np.ones(rows.shape, bool))
    np.testing.assert_allclose(slope, (0.03, -0.01), atol=3e-4)


def test_well_covered_is_relative_to_the_maximum():
    mask = well_covered(np.array([[0.0, 0.5, 1.1, 10.0]]))
    np.testing.assert_array_equal(mask, [[False, False, True, True]])


def test_a_place_visited_often_does_not_hide_the_rest():
    coverage = np.ones((20, 20))
    coverage[:3, :3] = 150.0
    assert well_covered(coverage).all()
    assert not well_covered(np.zeros((4, 4))).any()
