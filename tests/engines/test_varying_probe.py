"""A probe that varies over the scan: its gauge, its least squares, and what it mends."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_scan import SIDE, problem_of, simulated, swept, truth_on_canvas

from ptycho.engines import reconstruction as reconstructions
from ptycho.engines.nuisances import Nuisances, Refine
from ptycho.engines.problem import Estimate, Solution
from ptycho.engines.reconstruction import Reconstruction
from ptycho.engines.residuals import expected_frames
from ptycho.engines.stored import as_problem, from_arrays, to_arrays
from ptycho.engines.sweeps import Sweeps
from ptycho.engines.varying_probe import Variation, VariationSum, fit_frames
from ptycho.errors import DataError
from ptycho.physics.forward import BackProjection, ForwardModel
from ptycho.physics.patches import cut_patches, window_corners
from ptycho.physics.probe import shift_each
from ptycho.scan.scaling import scaled_probe


def real_products(components):
    flat = torch.view_as_real(components).flatten(1)
    return flat @ flat.mT


def random_variation(raw, seed=0):
    """Components that are not orthogonal, with weights of any mean."""
    generator = torch.Generator().manual_seed(seed)
    components = torch.randn(3, SIDE, SIDE, dtype=torch.complex64, generator=generator)
    weights = 0.1 * torch.randn(raw.n_frames, 3, generator=generator) + 0.2
    return Variation(components / SIDE, weights)


def with_shaded_probe(raw, amount=0.3):
    """A scan whose beam walks over the aperture, so that its probe tilts from frame to frame."""
    along = torch.linspace(0, 1, raw.n_frames)
    axis = (torch.arange(SIDE) - SIDE // 2) / SIDE
    tilt = amount * torch.stack([torch.sin(9 * along), torch.cos(5 * along)], dim=1)
    ramp = torch.exp(2j * torch.pi * (tilt[:, 0, None, None] * axis[:, None]
                                      + tilt[:, 1, None, None] * axis))  # fmt: skip
    probe = torch.from_numpy(np.asarray(raw.probe)) * ramp[:, None]
    corners, fractions = window_corners(torch.from_numpy(raw.positions), SIDE)
    patches = cut_patches(torch.from_numpy(raw.obj), corners, SIDE)
    frames = ForwardModel().intensity(patches, shift_each(probe, fractions)).numpy()
    return replace(raw, frames=frames.astype(np.float32))


def test_the_gauge_changes_no_probe_and_makes_components_orthogonal():
    raw = simulated(25)
    probe, members = scaled_probe(raw).probe, torch.arange(raw.n_frames)
    fractions = torch.rand(raw.n_frames, 2) - 0.5
    before = Nuisances(probe, torch.zeros(raw.n_frames, 2), variation=random_variation(raw))
    variation, mean = before.variation.in_gauge(probe, members)
    after = before._replace(probe=mean, variation=variation)
    torch.testing.assert_close(
        after.probes(fractions, members), before.probes(fractions, members), rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(real_products(variation.components), torch.eye(3), atol=1e-5, rtol=0)
    assert variation.weights.mean(dim=0).abs().max() < 1e-6
    shares = variation.shares(members)
    assert shares == sorted(shares, reverse=True)


def test_the_weight_of_a_frame_by_hand():
    """One component, an object of ones, and an exit wave that lacks 0.3 of that component."""
    component = torch.zeros(1, 4, 4, dtype=torch.complex64)
    component[0, 1, 2], component[0, 2, 2] = 0.6j, 0.8
    probe = torch.full((1, 4, 4), 0.5 + 0j)  # of power 4, so p = 2
    variation = Variation(component, torch.zeros(5, 1))
    parts = variation.parts_of(probe, torch.zeros(1, 2))
    missing = 0.3 * parts
    ones = torch.ones(1, 4, 4, dtype=torch.complex64)
    found = BackProjection(ones[0], ones[0].real, ones, missing, missing)
    fitted = fit_frames(
        variation, VariationSum.empty(variation), found, ForwardModel(), parts=parts,
        fractions=torch.zeros(1, 2), members=torch.tensor([3]),
    )  # fmt: skip
    assert fitted.weights[3, 0] == pytest.approx(0.3, rel=2e-3)
    assert fitted.weights[[0, 1, 2, 4]].abs().max() == 0


def test_the_components_follow_from_the_frames_that_show_them():
    """Weights known, the object of ones: one update finds the component that is missing."""
    generator = torch.Generator().manual_seed(1)
    probe = torch.full((1, 8, 8), 0.125 + 0j)  # of power 1
    true = torch.randn(1, 8, 8, dtype=torch.complex64, generator=generator)
    weights = torch.randn(40, 1, generator=generator)
    sums = VariationSum(right=torch.zeros_like(true), left=torch.zeros(1, 8, 8))
    for weight in weights[:, 0]:  # of power 1, so a frame lacks its weight times the component
        sums.right += weight * (weight * true)
        sums.left += weight.square()
    found = sums.improved(Variation(torch.zeros_like(true), weights), probe)
    torch.testing.assert_close(found.components, true, rtol=0.011, atol=1e-3)


def test_a_probe_that_tilts_is_found_and_the_frames_explained():
    raw = with_shaded_probe(simulated(100))
    truth, canvas = truth_on_canvas(raw)
    without = swept(raw, torch.ones_like(truth), canvas, iterations=30)
    found = swept(raw, torch.ones_like(truth), canvas, iterations=30, refine=("variation",))
    assert min(found.free_residual) < 0.5 * min(without.free_residual)
    shares = found.nuisances.variation.shares(torch.arange(raw.n_frames))
    assert sum(shares) > 0.005


def test_a_probe_that_stays_is_left_nearly_alone():
    raw = simulated(49)
    truth, canvas = truth_on_canvas(raw)
    found = swept(raw, truth, canvas, iterations=12, refine=("variation",))
    assert sum(found.nuisances.variation.shares(torch.arange(raw.n_frames))) < 1e-4


def result_of(raw, canvas, found):
    """A solution as the reconstruction that is written."""
    frames, scale = np.arange(raw.n_frames), np.float32(0.5)
    return Reconstruction(
        obj=found.obj.numpy() * scale, coverage=np.ones(canvas.shape, np.float32),
        origin=canvas.origin, frames=frames, residuals=np.zeros(len(frames), np.float32),
        probe=found.nuisances.probe.numpy() / scale, free_residual=[], iterations=1,
        nuisances=found.nuisances,
    )  # fmt: skip


def varied_solution(raw, probe):
    """An object of ones under a probe that varies."""
    truth, canvas = truth_on_canvas(raw)
    positions = torch.from_numpy(raw.positions)
    nuisances = Nuisances(probe, positions, variation=random_variation(raw))
    return Solution(torch.ones_like(truth), nuisances, [], 0), canvas


def test_it_is_stored_with_the_reconstruction():
    raw = with_shaded_probe(simulated(49))
    truth, canvas = truth_on_canvas(raw)
    found = swept(raw, torch.ones_like(truth), canvas, iterations=12, refine=("variation",))
    again = from_arrays(to_arrays(result_of(raw, canvas, found), None), raw, "here")
    problem, estimate = as_problem(again, raw, torch.device("cpu"))
    members = torch.arange(raw.n_frames)
    expected = expected_frames(problem_of(raw, canvas), found.estimate, members)
    torch.testing.assert_close(
        expected_frames(problem, estimate, members), expected, rtol=1e-3, atol=1e-2
    )


@pytest.mark.parametrize("change", [{"probe_weights": np.zeros(25)}, {"probe_components": None}])
def test_arrays_of_a_file_that_do_not_belong_together_are_refused(change):
    raw = simulated(25)
    found, canvas = varied_solution(raw, scaled_probe(raw).probe)
    arrays = to_arrays(result_of(raw, canvas, found), None) | change
    arrays = {name: array for name, array in arrays.items() if array is not None}
    with pytest.raises(DataError, match="here: probe_components"):
        from_arrays(arrays, raw, "here")


def test_modes_are_not_mixed_where_the_first_of_them_varies():
    """Orthogonal modes mix the given ones; the components belong to the first of those."""
    raw = simulated(25)
    probe = scaled_probe(raw).probe
    solution, canvas = varied_solution(raw, torch.cat([probe, 0.5 * probe.roll(1, -1)]))

    class Stub(Sweeps):
        def solve(self, problem, start, ending, refine, track):
            return solution

    problem = problem_of(raw, canvas)
    plan = reconstructions.Plan(refine=Refine(probe=True, variation=True), n_modes=2)
    start = Estimate(solution.obj, solution.nuisances)
    found = reconstructions._solve(Stub(), problem, start, plan)
    members = torch.arange(raw.n_frames)
    torch.testing.assert_close(
        expected_frames(problem, found.estimate, members),
        expected_frames(problem, start, members),
    )


def test_there_is_none_where_it_is_not_asked_for():
    raw = simulated(25)
    truth, canvas = truth_on_canvas(raw)
    found = swept(raw, truth, canvas, iterations=8, refine=("probe", "intensity"))
    assert found.nuisances.variation is None
