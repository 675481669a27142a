"""Laws of the cross check: right frames predict each other, shuffled ones do not."""

import dataclasses

import numpy as np
import pytest
import torch

import ptycho
from ptycho.api.reconstruction_file import problem_of
from ptycho.engines.cross_check import coarse_correlation, cross_check
from ptycho.physics.counting import root_bias


@pytest.fixture(scope="module")
def result():
    scan = ptycho.simulate(
        n_frames=64, N=32, step=3.0, probe_fwhm=9.0, photons=1e5, seed=3, amplitude_image="leaves"
    )
    return ptycho.reconstruct(scan, iterations=8, progress=False, cache=False, verdict=False)


def checked(result, order=None):
    problem, estimate = problem_of(result, torch.device("cpu"))
    if order is not None:
        moved = estimate.nuisances.positions[torch.from_numpy(order)]
        estimate = estimate._replace(nuisances=estimate.nuisances._replace(positions=moved))
    return cross_check(problem, estimate, rng=np.random.default_rng(0), frames=48)


def test_right_frames_predict_each_other_and_wrong_positions_do_not(result):
    right = checked(result)
    wrong = checked(result, np.random.default_rng(1).permutation(len(result.frames)))
    assert right.excess < 0.05
    assert right.correlation > 0.95
    assert wrong.excess > 0.5
    assert wrong.correlation < right.correlation - 0.2


def test_the_unit_of_the_object_does_not_matter(result):
    scaled = dataclasses.replace(
        result, obj=2 * np.exp(0.7j) * result.obj, probe=result.probe * np.exp(-0.7j) / 2
    )
    one, other = checked(result), checked(scaled)
    # The flat start has no phase, so both end at slightly different places.
    assert other.excess == pytest.approx(one.excess, abs=0.01)
    assert other.correlation == pytest.approx(one.correlation, abs=0.02)


def test_correlation_ignores_phase_and_scale_and_is_zero_for_other_structure():
    rng = np.random.default_rng(0)
    obj = torch.from_numpy(rng.standard_normal((40, 44)) + 1j * rng.standard_normal((40, 44)))
    known = torch.ones(40, 44, dtype=torch.bool)
    assert coarse_correlation(obj, 3 * np.exp(1j) * obj + 2, known) == pytest.approx(1.0)
    row = torch.arange(40)[:, None] / 20 * torch.pi
    col = torch.arange(44)[None, :] / 11 * torch.pi
    waves = [torch.exp(1j * (angle + torch.zeros(40, 44))) for angle in (row, col)]
    assert coarse_correlation(waves[0], waves[1], known) < 0.2  # the window blurs a little


def test_bias_of_a_root_is_that_of_the_poisson_distribution():
    mean = np.array([0.05, 0.5, 2.0, 10.0])
    counts = np.arange(200)[:, None]
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, 200)))])[:, None]
    chance = np.exp(counts * np.log(mean) - mean - logs)
    exact = np.sqrt(mean) - (chance * np.sqrt(counts)).sum(axis=0)
    found = root_bias(torch.from_numpy(np.sqrt(mean))).numpy()
    np.testing.assert_allclose(found, exact, atol=0.015)  # the fit is good to that
