"""The compiled loops do to an object what the tensors do, and say the same of everything else."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from started_scan import ALONE, assert_same, scan, started
from tiny_scan import swept

from ptycho.engines.fused import FusedUpdater, updating
from ptycho.engines.nuisances import Refine
from ptycho.engines.problem import Estimate
from ptycho.engines.sweeps import Iteration
from ptycho.engines.updates import Sums, TensorUpdater
from ptycho.experiment import Experiment
from ptycho.physics.compiled import Team
from ptycho.physics.patches import canvas_of

EVERYTHING = Refine(probe=True, positions=True, intensity=True, background=True)


def copied(estimate):
    return estimate._replace(obj=estimate.obj.clone())


def assert_agree(problem, estimate, refine, part):
    found = []
    for updater in (FusedUpdater(problem, ALONE), TensorUpdater(problem)):
        sums = Sums()
        update = updater.update(copied(estimate), part, damping=0.1, refine=refine, sums=sums)
        found.append((update, sums))
    (ours, our_sums), (theirs, their_sums) = found
    for name in ours._fields:
        assert_same(getattr(ours, name), getattr(theirs, name), name)
    assert our_sums.misfit.value == pytest.approx(their_sums.misfit.value, rel=1e-5)
    assert (our_sums.background is None) == (their_sums.background is None)
    for mine, other in zip(our_sums.background or (), their_sums.background or (), strict=True):
        assert_same(mine, other, "background")


PART = torch.tensor([3, 40, 7, 48, 0, 21, 22, 23, 24, 30])


@pytest.mark.parametrize("size", [16, 64])
@pytest.mark.parametrize("n_modes", [1, 3])
def test_a_batch_is_that_of_tensors(size, n_modes):
    problem, estimate = started(scan(size), n_modes=n_modes)
    assert_agree(problem, estimate, EVERYTHING, PART)


@pytest.mark.parametrize("refine", [Refine(), *(Refine(**{n: True}) for n in Refine._fields[:5])])
def test_whatever_is_asked_for(refine):
    problem, estimate = started(scan(), beam=True, background=True, unbiased=True)
    assert_agree(problem, estimate, refine, PART)


@pytest.mark.parametrize("dtype", [np.uint8, ">u2", np.int32, np.float32, np.float64])
def test_frames_of_any_type(dtype):
    raw = scan()
    raw = replace(raw, frames=np.minimum(raw.frames, 250).astype(dtype))
    assert_agree(*started(raw), Refine(), PART)


def test_frames_stored_as_amplitudes_in_another_unit():
    raw = scan()
    roots = np.sqrt(raw.frames).astype(np.float32)
    raw = replace(raw, frames=roots, measurement="amplitude", photons_per_unit=2.5)
    assert_agree(*started(raw), Refine(intensity=True), PART)


def test_the_step_of_all_frames_together():
    problem, estimate = started(scan(), n_modes=2, beam=True, background=True)
    sums = Sums(), Sums()
    ours, theirs = FusedUpdater(problem, ALONE), TensorUpdater(problem)
    for _ in range(2):  # the second finds an empty canvas again
        mine, other = (
            updater.total(estimate, 10, each)
            for updater, each in zip((ours, theirs), sums, strict=True)
        )
        assert_same(mine[0], other[0], "step")
        assert_same(mine[1], other[1], "illumination")
    assert sums[0].misfit.value == pytest.approx(sums[1].misfit.value, rel=1e-5)


def test_two_iterations_of_all_batches():
    """What is kept from one batch or iteration to the next is what it would be anew."""
    problem, estimate = started(scan(), background=True)
    found = []
    for updater in (FusedUpdater(problem, ALONE), TensorUpdater(problem)):
        now = copied(estimate)
        for _ in range(2):
            step = Iteration(problem, now.nuisances, 3.0, Refine(), updater)
            now = step.over(now, problem.parts(7))
        found.append(now.obj)
    assert_same(*found, "obj")


def test_what_is_kept_is_forgotten_when_it_no_longer_holds():
    problem, estimate = started(scan())
    ours, theirs = FusedUpdater(problem, ALONE), TensorUpdater(problem)
    other = 1.2 * estimate.nuisances.probe.roll(1, -1)
    moved = estimate.nuisances.positions + 0.3
    light, beam = torch.ones(16, 16), torch.full((49,), 2.0)
    changes = ({}, {}, {"probe": other}, {}, {"positions": moved}, {}, {"background": light},
               {"intensity": beam})  # fmt: skip
    nuisances = estimate.nuisances
    for change in changes:
        nuisances = nuisances._replace(**change)
        mine, other = (
            updater.update(
                Estimate(estimate.obj.clone(), nuisances), PART, damping=0.1, refine=Refine(),
                sums=Sums(),
            )
            for updater in (ours, theirs)
        )  # fmt: skip
        assert_same(mine.obj, other.obj, str(list(change)))


def test_the_number_of_threads_changes_no_bit():
    problem, estimate = started(scan(), n_modes=2)
    problem = replace(problem, batch_size=20)
    found = []
    for threads in (1, 3):
        with ThreadPoolExecutor(threads) as pool:
            updater = FusedUpdater(problem, Team(pool, threads), at_once=4096)
            step = Iteration(problem, estimate.nuisances, 0.1, EVERYTHING, updater)
            found.append(step.over(copied(estimate), problem.parts(20)))
    for one, other in zip(found[0].nuisances, found[1].nuisances, strict=True):
        assert one is other or torch.equal(one, other)
    assert torch.equal(found[0].obj, found[1].obj)


def test_an_object_in_another_order_of_memory():
    problem, estimate = started(scan())
    turned = estimate.obj.mT.contiguous().mT
    assert not turned.is_contiguous()
    found = [
        FusedUpdater(problem, ALONE).update(
            Estimate(obj, estimate.nuisances), PART, damping=0.1, refine=Refine(), sums=Sums()
        )
        for obj in (turned, estimate.obj.clone())
    ]
    assert torch.equal(found[0].obj, found[1].obj)


def test_a_window_off_the_canvas_is_refused():
    problem, estimate = started(scan())
    away = estimate.nuisances._replace(positions=estimate.nuisances.positions - 9.0)
    with pytest.raises(ValueError, match="expected inside a canvas"):
        FusedUpdater(problem, ALONE).update(
            Estimate(estimate.obj, away), PART, damping=0.1, refine=Refine(), sums=Sums()
        )


def test_a_fault_in_a_thread_is_not_lost():
    with ThreadPoolExecutor(2) as pool, pytest.raises(ZeroDivisionError):
        Team(pool, 2).each(lambda number: 1 // number, [1, 2, 0, 4])


@pytest.mark.parametrize(
    ("changes", "refine", "compiled", "fused"),
    [
        ({}, Refine(), True, True),
        ({}, Refine(), False, False),
        ({"size": 24}, Refine(), True, False),
        ({}, Refine(variation=True), True, False),
        ({"experiment": Experiment(blur=1.0)}, Refine(), True, False),
        ({"experiment": Experiment(propagation="near", fresnel_number=0.1)}, Refine(), True, False),
    ],
)  # fmt: skip
def test_tensors_do_what_the_loops_cannot(changes, refine, compiled, fused):
    problem, _ = started(scan(**changes))
    threads = torch.get_num_threads()
    with updating(problem, refine, compiled=compiled) as updater:
        assert isinstance(updater, FusedUpdater) == fused
    assert torch.get_num_threads() == threads


def test_a_reconstruction_is_as_good():
    raw = replace(scan(), mask=None)
    canvas = canvas_of(torch.from_numpy(raw.positions), 16).widened(3)
    ones = torch.ones(canvas.shape, dtype=torch.complex64)
    found = [
        swept(raw, ones, canvas, iterations=20, refine=("probe",), fused=fused)
        for fused in (True, False)
    ]
    assert found[0].free_residual[-1] == pytest.approx(found[1].free_residual[-1], rel=0.02)
