"""Which engine `auto` takes, and that an annealed start finds what others miss."""

import logging

import numpy as np
import pytest
import torch
from tiny_scan import simulated, untrained

from ptycho.api.simulation import simulate
from ptycho.engines.annealed import annealed
from ptycho.engines.automatic import Automatic
from ptycho.engines.density import frames_per_pixel
from ptycho.engines.ending import Ending
from ptycho.engines.nuisances import Nuisances, Refine
from ptycho.engines.problem import Estimate, Problem
from ptycho.engines.sweeps import Sweeps
from ptycho.metrics import compare
from ptycho.physics.patches import canvas_of
from ptycho.progress import untracked
from ptycho.scan.dataset import GroupDataset
from ptycho.scan.scaling import scaled_probe


def problem_of(raw):
    canvas = canvas_of(torch.from_numpy(raw.positions), raw.frame_size)
    data = GroupDataset(raw, np.arange(raw.n_frames)[:, None])
    problem = Problem.of(data, canvas, device=torch.device("cpu"))
    nuisances = Nuisances.given(scaled_probe(raw).probe, data)
    return problem, Estimate(torch.ones(canvas.shape, dtype=torch.complex64), nuisances)


def solved(raw, caplog, ending=Ending(), **options):  # noqa: B008
    problem, start = problem_of(raw)
    engine = Automatic(untrained(raw).network, **options)
    with caplog.at_level(logging.INFO):
        found = engine.solve(problem, start, ending, Refine(), untracked)
    return found, " ".join(caplog.messages)


def test_fast_leaves_it_at_the_network(caplog):
    _, said = solved(simulated(), caplog, quality="fast")
    assert "quality fast" in said
    assert "map:" not in said


def test_iterations_asked_for_are_those_of_the_network(caplog):
    found, said = solved(simulated(), caplog, Ending(iterations=2))
    assert "2 iterations asked for" in said
    assert "map:" not in said
    assert found.kept >= 2


def test_balanced_looks_for_the_most_probable_object(caplog):
    _, said = solved(simulated(), caplog)
    assert "then the most probable object" in said
    assert "variance of counts" in said


def test_no_time_left_ends_early(caplog):
    found, _ = solved(simulated(), caplog, Ending(seconds=0.0))
    assert found.free_residual == []
    assert torch.isfinite(torch.view_as_real(found.obj)).all()


def test_frames_on_a_pixel_by_hand():
    """Steps of half the width of the probe: pi / 4 * 2^2 frames."""
    raw = simulate(
        n_frames=400, N=32, step=4.0, jitter=0.0, probe_fwhm=8.0, photons=1e4, noise=False,
        amplitude_image="leaves", phase_image="clouds",
    )  # fmt: skip
    problem, start = problem_of(raw)
    assert frames_per_pixel(problem, start.nuisances) == pytest.approx(np.pi, rel=0.15)


def test_an_annealed_start_finds_what_sweeps_do_not():
    """Steps of four fifths of the width of the probe, and many photons."""
    raw = simulate(
        n_frames=64, N=64, step=13.0, jitter=0.5, probe_fwhm=16.0, photons=1e6,
        amplitude_image="leaves", phase_image="clouds",
    )  # fmt: skip
    problem, start = problem_of(raw)
    swept = Sweeps().solve(problem, start, Ending(), Refine(), untracked)
    found = annealed(problem, swept, Ending(), fused=True)

    def decibels(solution):
        inside = np.zeros(problem.canvas.shape, bool)
        inside[40:-40, 40:-40] = True
        return compare(
            solution.obj.numpy(), raw.obj, inside, estimate_origin=problem.canvas.origin
        ).numbers["phase_psnr_db"]  # fmt: skip

    assert min(found.free_residual) < 0.95 * min(swept.free_residual)
    assert decibels(found) > decibels(swept) + 3


def test_an_annealed_start_without_time_leaves_the_first():
    raw = simulated()
    problem, start = problem_of(raw)
    none = Sweeps().solve(problem, start, Ending(seconds=0.0), Refine(), untracked)
    found = annealed(problem, none, Ending(seconds=0.0), fused=True)
    assert found.free_residual == []
    assert torch.equal(found.obj, start.obj)


def test_a_better_start_is_kept():
    raw = simulated()
    problem, start = problem_of(raw)
    swept = Sweeps().solve(problem, start, Ending(iterations=40), Refine(), untracked)
    assert annealed(problem, swept, Ending(iterations=1), fused=True) is swept
