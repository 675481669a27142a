"""The engine `sweeps`: fixed points, convergence, ending."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_scan import SIDE, away, simulated, swept, truth_on_canvas

from ptycho.engines import held_out, sweeps
from ptycho.physics.detector import Measured
from ptycho.physics.forward import ForwardModel, update_step
from ptycho.physics.patches import canvas_of, window_corners
from ptycho.physics.probe import probe_intensity, shift_probe, unshift_to_probe
from ptycho.scan.scaling import scaled_probe


def test_moving_a_probe_back_is_the_adjoint_of_moving_it():
    g = torch.Generator().manual_seed(0)
    probe = torch.randn(2, 8, 8, dtype=torch.complex64, generator=g)
    waves = torch.randn(5, 2, 8, 8, dtype=torch.complex64, generator=g)
    fractions = torch.rand(5, 2, generator=g) - 0.5
    one = torch.vdot(shift_probe(probe, fractions).flatten(), waves.flatten())
    other = torch.vdot(probe.flatten(), unshift_to_probe(waves, fractions).flatten())
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("refine_probe", [False, True])
def test_the_true_object_and_probe_stay_as_they_are(refine_probe):
    raw = simulated(25)
    truth, canvas = truth_on_canvas(raw)
    found = swept(raw, truth, canvas, refine=["probe"] * refine_probe)
    assert away(found.obj, truth, raw) < 1e-3
    torch.testing.assert_close(found.nuisances.probe, scaled_probe(raw).probe, rtol=1e-3, atol=1e-2)
    assert max(found.free_residual) < 1e-6


def test_one_iteration_over_one_frame_is_its_back_projection():
    raw = simulated(1)
    probe = scaled_probe(raw).probe
    canvas = canvas_of(torch.from_numpy(raw.positions), SIDE)
    obj = torch.ones(canvas.shape, dtype=torch.complex64)
    found = swept(raw, obj, canvas, iterations=1)
    amplitude = torch.from_numpy(raw.amplitude(np.array([0])))[0]
    _, fraction = window_corners(torch.from_numpy(raw.positions), SIDE)
    corner = torch.zeros(1, 2, dtype=torch.int64)
    shifted = shift_probe(probe, fraction)
    update = ForwardModel().back_project(obj, corner, shifted, Measured(amplitude[None]))
    expected = obj + update_step(update.step, update.illumination, damping=0.1)
    changed = (found.obj - obj).abs() > 0.02
    assert changed.any()
    # Only the held-out pixels, 2 % of them, differ.
    assert (found.obj - expected).norm() < 0.4 * (expected - obj).norm()


@pytest.mark.parametrize("refine_probe", [False, True])
def test_held_out_pixels_have_no_influence(monkeypatch, refine_probe):
    monkeypatch.setattr(held_out, "HELD_OUT", 0.3)
    raw = simulated(16)
    masks = held_out.held_out_patterns(SIDE, 0).numpy()[:16]
    spoiled = replace(raw, frames=np.where(masks, 7.0 * raw.frames + 100.0, raw.frames))
    _, canvas = truth_on_canvas(raw)
    obj = torch.ones(canvas.shape, dtype=torch.complex64)
    one = swept(raw, obj, canvas, refine=["probe"] * refine_probe)
    probe = scaled_probe(raw).probe
    other = swept(spoiled, obj, canvas, probe, refine=["probe"] * refine_probe)
    torch.testing.assert_close(one.obj, other.obj)
    torch.testing.assert_close(one.nuisances.probe, other.nuisances.probe)
    assert other.free_residual[-1] > 10 * one.free_residual[-1]


def test_the_object_is_found_from_empty_space():
    raw = simulated(49)
    truth, canvas = truth_on_canvas(raw)
    obj = torch.ones(canvas.shape, dtype=torch.complex64)
    found = swept(raw, obj, canvas, iterations=40)
    assert away(found.obj, truth, raw) < 0.2 * away(obj, truth, raw)
    assert found.free_residual[-1] < 0.01 * found.free_residual[0]
    assert found.kept == len(found.free_residual) == 40


def test_a_wrong_probe_is_corrected_and_keeps_its_power():
    raw = simulated(49)
    _, canvas = truth_on_canvas(raw)
    probe = scaled_probe(raw).probe
    grid = torch.arange(SIDE) - SIDE // 2
    wrong = probe * torch.exp(0.02j * (grid[:, None] ** 2 + 1.5 * grid**2))
    obj = torch.ones(canvas.shape, dtype=torch.complex64)
    fixed = swept(raw, obj, canvas, wrong, iterations=30)
    corrected = swept(raw, obj, canvas, wrong, iterations=30, refine=["probe"])
    assert corrected.free_residual[-1] < 0.1 * fixed.free_residual[-1]
    torch.testing.assert_close(fixed.nuisances.probe, wrong)
    powers = [probe_intensity(each).sum() for each in (corrected.nuisances.probe, wrong)]
    torch.testing.assert_close(*powers, rtol=1e-5, atol=0)


@pytest.mark.parametrize("damping", [0.1, 1.0, 4.0])
def test_a_step_of_the_probe_gets_shorter_with_damping_and_leads_nearer(monkeypatch, damping):
    monkeypatch.setattr(sweeps, "_DAMPING", damping)
    raw = simulated(49)
    truth, canvas = truth_on_canvas(raw)
    right = scaled_probe(raw).probe
    grid = torch.arange(SIDE) - SIDE // 2
    wrong = right * torch.exp(0.02j * (grid[:, None] ** 2 + 1.5 * grid**2))
    far = (wrong - right).norm()
    steps = [
        swept(raw, truth, canvas, wrong, iterations=n, refine=["probe"]).nuisances.probe
        for n in (2, 4)
    ]
    assert (steps[1] - right).norm() < (steps[0] - right).norm() < far
    assert (steps[0] - wrong).norm() < far


def test_held_out_pixels_end_it_and_the_best_iteration_is_kept():
    raw = simulated(49, photons=300, noise=True)
    _, canvas = truth_on_canvas(raw)
    obj = torch.ones(canvas.shape, dtype=torch.complex64)
    found = swept(raw, obj, canvas, iterations=None)
    assert 1 <= found.kept <= len(found.free_residual) < sweeps.MOST_ITERATIONS
    again = swept(raw, obj, canvas, iterations=found.kept)
    torch.testing.assert_close(found.obj, again.obj)
    # Means of three iterations are compared; two standard errors of some 300 photons are 12 %.
    levels = np.convolve(found.free_residual, np.ones(3) / 3, mode="valid")
    assert levels[found.kept - 3] <= 1.2 * levels[1:].min()


def test_the_same_seed_gives_the_same_object_and_another_seed_another():
    raw = simulated(16, noise=True)
    _, canvas = truth_on_canvas(raw)
    obj = torch.ones(canvas.shape, dtype=torch.complex64)
    one, two, other = (swept(raw, obj, canvas, seed=seed).obj for seed in (1, 1, 2))
    torch.testing.assert_close(one, two)
    assert (one - other).abs().max() > 1e-3
