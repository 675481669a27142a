"""A small noisy scan in the middle of a reconstruction, for what works through its batches."""

from dataclasses import replace

import numpy as np
import torch
from tiny_scan import start_of

from ptycho.api.simulation import simulate
from ptycho.engines.problem import Problem
from ptycho.physics.compiled import Team
from ptycho.physics.patches import canvas_of
from ptycho.scan.dataset import GroupDataset
from ptycho.scan.scaling import scaled_probe

ALONE = Team(None, 1)


def scan(size=16, **changes):
    """A noisy scan with bad pixels."""
    raw = simulate(
        n_frames=49, N=size, step=2.0, jitter=0.4, probe_fwhm=size / 3, photons=1e4,
        amplitude_image="leaves", phase_image="clouds",
    )  # fmt: skip
    mask = np.ones((size, size), bool)
    mask[2, 3:6] = False
    return replace(raw, mask=mask, **changes)


def started(raw, *, n_modes=1, beam=False, background=False, unbiased=False):
    """A problem and an estimate in the middle of a reconstruction."""
    generator = torch.Generator().manual_seed(1)
    size = raw.frame_size
    canvas = canvas_of(torch.from_numpy(raw.positions), size).widened(3)
    data = GroupDataset(raw, np.arange(raw.n_frames)[:, None])
    problem = Problem.of(data, canvas, device=torch.device("cpu"), unbiased=unbiased)
    noise = torch.rand(canvas.shape, generator=generator)
    probe = scaled_probe(raw).probe
    probe = torch.cat([probe, *(0.3 * probe.roll(k, -1) for k in range(1, n_modes))])
    estimate = start_of(raw, torch.polar(0.5 + 0.5 * noise, noise), probe)
    changes = {}
    if beam:
        changes["intensity"] = 0.8 + 0.4 * torch.rand(raw.n_frames, generator=generator)
    if background:
        changes["background"] = 3 * torch.rand(size, size, generator=generator)
    return problem, estimate._replace(nuisances=estimate.nuisances._replace(**changes))


def assert_same(ours, theirs, what):
    assert (ours is None) == (theirs is None), what
    if ours is not None:
        away = (ours - theirs).abs().max() / theirs.abs().max()
        assert away < 1e-5, f"{what}: {float(away):.2g}"
