"""Positions corrected together and from far away, against brute force and known errors."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ptycho.api.simulation import simulate
from ptycho.engines.ending import Ending
from ptycho.engines.nuisances import Nuisances, Refine
from ptycho.engines.placement import (
    FARTHEST,
    CommonStep,
    NormalEquations,
    carried_along,
    misfits_around,
    reach,
)
from ptycho.engines.problem import Estimate, Problem
from ptycho.engines.residuals import expected_frames
from ptycho.engines.sweeps import Sweeps
from ptycho.physics.counting import root_bias
from ptycho.physics.patches import canvas_of
from ptycho.progress import untracked
from ptycho.scan.dataset import GroupDataset
from ptycho.scan.scaling import scaled_probe


@pytest.fixture(scope="module")
def raw():
    return simulate(
        n_frames=100, N=32, probe_fwhm=9.0, step=2.7, jitter=0.3, photons=1e5, probe="lens",
        aperture=0.2, progress=False,
    )  # fmt: skip


def prepared(raw, room=26):
    canvas = canvas_of(torch.from_numpy(raw.positions), raw.frame_size).widened(room)
    data = GroupDataset(raw, np.arange(raw.n_frames)[:, None])
    problem = Problem.of(data, canvas, device=torch.device("cpu"), unbiased=True)
    flat = torch.ones(canvas.shape, dtype=torch.complex64)
    return problem, Estimate(flat, Nuisances.given(scaled_probe(raw).probe, data))


def moved_to(raw, positions):
    return replace(raw, ycoords=positions[:, 0], xcoords=positions[:, 1], xcoords_start=None,
                   ycoords_start=None, obj=None)  # fmt: skip


def error(found, true):
    """Median distance from the true positions, a common shift aside."""
    off = found.numpy() - true
    return float(np.median(np.linalg.norm(off - np.median(off, axis=0), axis=1)))


CORNERS = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64)


def test_common_step_by_hand():
    # Four frames at the corners of a square of side 2 that do not overlap; each is off by (0.1 row,
    # -0.2 col), and determines its position equally well in both directions.
    equations = NormalEquations(4, torch.device("cpu"))
    equations.left[:] = 3 * torch.eye(2)
    equations.right[:] = 3 * (CORNERS * torch.tensor([0.1, -0.2])).float()
    factors = equations.common_step(CORNERS, CORNERS)
    assert torch.allclose(factors, torch.diag(torch.tensor([0.1, -0.2])).double(), atol=2e-3)


def test_a_displacement_that_overlapping_frames_share_needs_a_longer_step():
    # Where the object follows to three quarters, a quarter of the misfit is left to push.
    equations = NormalEquations(4, torch.device("cpu"))
    equations.left[:] = 3 * torch.eye(2)
    equations.right[:] = 3 * (CORNERS * torch.tensor([0.1, -0.2])).float()
    factors = equations.common_step(CORNERS, 0.25 * CORNERS)
    assert torch.allclose(factors, torch.diag(torch.tensor([0.4, -0.8])).double(), atol=8e-3)


def test_a_common_shift_is_no_step():
    positions = torch.rand(20, 2, dtype=torch.float64) * 30
    common = CommonStep(positions, torch.arange(20), torch.ones(1, 8, 8, dtype=torch.complex64))
    equations = NormalEquations(20, torch.device("cpu"))
    equations.left[:] = torch.eye(2)
    equations.right[:] = torch.tensor([0.3, -0.1])
    assert common.terms.mean(dim=0).abs().max() < 1e-12
    assert equations.common_step(common.terms, common.relative).abs().max() < 1e-3


@pytest.mark.parametrize("response", [-4.0, -0.1])
def test_common_steps_learn_how_far_the_proposals_fall_short_or_go_too_far(response):
    """A map that proposals exceed by four times, or undershoot by ten, is found all the same."""
    positions = torch.rand(30, 2, dtype=torch.float64) * 40
    common = CommonStep(positions, torch.arange(30), torch.ones(1, 8, 8, dtype=torch.complex64))
    wanted = torch.tensor([[0.8, -0.3], [0.1, 0.5]], dtype=torch.float64)

    class Proposing(NormalEquations):
        def common_step(self, terms, relative):
            return response * (common._now - wanted)

    for _ in range(20):
        positions = common.after(Proposing(30, torch.device("cpu")), positions)
    assert torch.allclose(common._now, wanted, atol=0.02)


def test_the_object_is_carried_along_with_a_common_shift_of_all_frames(raw):
    problem, estimate = prepared(raw)
    generator = torch.Generator().manual_seed(2)
    noise = torch.rand(estimate.obj.shape, generator=generator)
    estimate = estimate._replace(obj=torch.polar(0.5 + 0.5 * noise, noise))
    there = estimate.nuisances.positions + torch.tensor([2.0, -3.0])
    carried = carried_along(problem, estimate, there)
    members = torch.tensor([0, 40, 99])
    one, other = (expected_frames(problem, each, members) for each in (estimate, carried))
    assert (one - other).abs().max() < 2e-3 * one.max()


@pytest.mark.parametrize("whole", [False, True])
def test_misfits_are_those_of_frames_predicted_at_displaced_positions(raw, whole):
    probe = np.array(raw.probe)
    if whole:  # a probe as wide as its window: every detector pixel is used
        probe = probe + 0.05 * np.abs(probe).max()
    else:
        axis = np.arange(32) - 16
        probe = probe * np.exp(-(axis[:, None] ** 2 + axis**2) / (2 * 2.2**2))
    problem, estimate = prepared(replace(raw, probe=probe))
    generator = torch.Generator().manual_seed(1)
    noise = torch.rand(estimate.obj.shape, generator=generator)
    estimate = estimate._replace(obj=torch.polar(0.5 + 0.5 * noise, noise))
    members = torch.tensor([3, 50, 77])
    amplitude = torch.from_numpy(raw.amplitude(members.numpy()))
    found = misfits_around(problem, estimate, members, amplitude, 2, 2)
    good = ~problem.held_out.excluded_in(members)
    for i, step in enumerate(found.steps):
        there = estimate.nuisances.positions + step
        displaced = estimate._replace(nuisances=estimate.nuisances._replace(positions=there))
        root = expected_frames(problem, displaced, members).sqrt()
        wrong = ((root - root_bias(root) - amplitude).square() * good).sum(dim=(-2, -1))
        if whole:
            assert torch.allclose(found.misfits[:, i], wrong, rtol=1e-4)
        else:  # from a quarter of the pixels
            part = (root - root_bias(root) - amplitude).square() * good
            quarter = 4 * part[..., ::2, ::2].sum(dim=(-2, -1))
            assert torch.allclose(found.misfits[:, i], quarter, rtol=1e-3)


@pytest.mark.parametrize(
    "matrix",
    [[[0.9945, -0.1045], [0.1045, 0.9945]], [[1.05, 0.0], [0.0, 1.05]], [[1.0, 0.05], [0.0, 1.0]]],
    ids=["turned by 6 degrees", "scaled by 1.05", "sheared"],
)
def test_affine_undoes_an_error_of_all_positions(raw, matrix):
    true = raw.positions
    middle = true.mean(axis=0)
    told = (true - middle) @ np.array(matrix).T + middle
    problem, start = prepared(moved_to(raw, told))
    refine = Refine(affine=True)
    found = Sweeps(long_steps=30).solve(problem, start, Ending(iterations=36), refine, untracked)
    before = error(torch.from_numpy(told), true)
    assert before > 0.25
    assert error(found.nuisances.positions, true) < 0.4 * before


def test_search_finds_positions_a_third_of_the_probe_away(raw):
    true = raw.positions
    told = true + np.random.default_rng(2).normal(size=true.shape) * 3.0
    problem, start = prepared(moved_to(raw, told))
    refine = Refine(positions=True, search=True)
    found = Sweeps(long_steps=34).solve(problem, start, Ending(iterations=40), refine, untracked)
    near = Sweeps(long_steps=34).solve(
        problem, start, Ending(iterations=40), Refine(positions=True), untracked
    )
    assert error(found.nuisances.positions, true) < 0.4
    assert error(near.nuisances.positions, true) > 2 * error(found.nuisances.positions, true)
    assert (found.nuisances.positions - start.nuisances.positions).abs().max() < FARTHEST + 4


def test_all_positions_together_come_before_single_ones():
    asked = Refine(affine=True, positions=True, search=True)
    assert asked.in_iteration(10) == Refine(affine=True)
    assert asked.in_iteration(20) == Refine(positions=True, search=True)
    assert reach(Refine()) == 0
    assert reach(Refine(positions=True)) < reach(asked) == FARTHEST


def test_counts_explained_without_their_bias_are_not_too_dark(raw):
    """A few photons per frame: the expected intensity of an unbiased fit is the measured one."""
    few = simulate(
        n_frames=100, N=32, probe_fwhm=9.0, step=2.7, jitter=0.3, photons=300.0, probe="lens",
        aperture=0.2, progress=False,
    )  # fmt: skip
    shares = []
    for unbiased in (False, True):
        problem, start = prepared(few, room=0)
        problem = replace(problem, unbiased=unbiased)
        engine = Sweeps(long_steps=8)
        found = engine.solve(problem, start, Ending(iterations=14), Refine(), untracked)
        members = torch.arange(few.n_frames)
        expected = expected_frames(problem, found.estimate, members).sum()
        shares.append(float(expected) / float(few.intensity(np.arange(100)).sum()))
    biased, right = shares
    assert biased < 0.9
    assert abs(right - 1) < 0.05


def test_positions_all_in_one_place_have_no_common_step():
    """All proposals are the same there, so that their mixing has no solution."""
    positions = torch.full((20, 2), 40.0, dtype=torch.float64)
    common = CommonStep(positions, torch.arange(20), torch.ones(1, 8, 8, dtype=torch.complex64))

    class Same(NormalEquations):
        def common_step(self, terms, relative):
            return torch.zeros(terms.shape[1], 2, dtype=torch.float64)

    equations = Same(20, torch.device("cpu"))
    for _ in range(12):
        assert torch.equal(common.after(equations, positions), positions)
