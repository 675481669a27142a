"""The update of groups in compiled loops is that of tensors."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_scan import simulated

from ptycho.experiment import Experiment
from ptycho.networks import group_updates
from ptycho.networks.group_updates import CompiledGroups, TensorGroups, group_updater
from ptycho.networks.lifted import sweep_group
from ptycho.physics.compiled import Team
from ptycho.physics.probe import shift_each
from ptycho.scan.dataset import GroupDataset
from ptycho.scan.scaling import scaled_probe

ALONE = Team(None, 1)


def groups_of(n_members=4, n_modes=2, **changes):
    """A few groups of a noisy scan with bad pixels and a background, and their moved probes."""
    raw = simulated(64, noise=True)
    mask = np.ones((16, 16), bool)
    mask[2, 3:6] = False
    background = np.full((16, 16), 0.7, np.float32)
    background[5] = 3
    raw = replace(raw, mask=mask, background=background, **changes)
    first = np.arange(0, 56, 8)
    batch = GroupDataset(raw, first[:, None] + np.arange(n_members))[list(range(len(first)))]
    probe = scaled_probe(raw).probe
    probe = torch.cat([probe, *(0.3 * probe.roll(k, -1) for k in range(1, n_modes))])
    flat = probe.expand(batch.members.numel(), -1, -1, -1)
    return batch, shift_each(flat, batch.fractions.flatten(0, 1)).unflatten(0, batch.members.shape)


def canvas_of(batch):
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(2, len(batch.members), *batch.shape, generator=generator)
    return torch.polar(0.5 + 0.5 * noise[0], noise[1])


PARTS = [slice(None), slice(1, None, 4), slice(0, 3), torch.tensor([2, 0]), torch.tensor([1])]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(("n_members", "n_modes"), [(1, 1), (4, 2)])
def test_a_step_is_that_of_tensors(part, n_members, n_modes):
    batch, probe = groups_of(n_members, n_modes)
    if n_members == 1:
        part = slice(None)
    canvas = canvas_of(batch)
    ours = CompiledGroups(batch.corners, batch.measured, probe, ALONE)
    theirs = TensorGroups(batch.forward, batch.corners, batch.measured, probe)
    for mine, other in zip(ours.step(canvas, part), theirs.step(canvas, part), strict=True):
        assert (mine - other).abs().max() < 1e-5 * other.abs().max()
    mine, other = (each.updated(canvas, part, damping=0.3) for each in (ours, theirs))
    assert (mine - other).abs().max() < 1e-5 * other.abs().max()


def test_iterations_of_both_agree_whatever_the_threads(monkeypatch):
    monkeypatch.setattr(group_updates, "_AT_ONCE", 2**14)
    batch, probe = groups_of()
    with ThreadPoolExecutor(3) as pool:
        given = batch.corners, batch.measured, probe
        updaters = (
            TensorGroups(batch.forward, *given), CompiledGroups(*given, ALONE),
            CompiledGroups(*given, Team(pool, 3)),
        )  # fmt: skip
        tensors, alone, shared = (sweep_group(updater, batch, 2) for updater in updaters)
    assert torch.equal(alone, shared)
    assert (alone - tensors).abs().max() < 1e-3


@pytest.mark.parametrize(
    ("changes", "dtype", "kind"),
    [
        ({}, torch.complex64, CompiledGroups),
        ({}, torch.complex128, TensorGroups),
        ({"experiment": Experiment(blur=1.0)}, torch.complex64, TensorGroups),
    ],
)
def test_tensors_do_what_the_loops_cannot(changes, dtype, kind):
    batch, probe = groups_of(**changes)
    frames = batch.forward, batch.corners, batch.measured, probe.to(dtype)
    with group_updater(*frames) as updater:
        assert isinstance(updater, kind)


def test_a_window_off_the_canvas_is_refused():
    batch, probe = groups_of()
    canvas = canvas_of(batch)[:, :-1]
    for part in (slice(None), slice(0, 1)):
        with pytest.raises(ValueError, match="expected inside"):
            CompiledGroups(batch.corners, batch.measured, probe, ALONE).step(canvas, part)
