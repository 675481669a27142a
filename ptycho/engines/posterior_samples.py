"""Objects as probable as their uncertainty allows: samples of the posterior.

Data flow: object -> [resampled counts, sampled prior -> objects] -> uncertainty -> report.
Counts are resampled from the most probable object, a deviation is sampled from the prior, and the
object is optimised for both. Where the posterior is Gaussian the results are samples of it.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Complex
from torch import Tensor

from ptycho.engines.ending import Ending, Monitor, Patience
from ptycho.engines.fused import updating
from ptycho.engines.most_probable import Posterior, approached, climbed
from ptycho.engines.nuisances import Refine
from ptycho.engines.problem import Estimate, Problem
from ptycho.engines.residuals import expected_frames, frame_residuals
from ptycho.io.fields import LazyFrames
from ptycho.progress import Track, untracked
from ptycho.scan.dataset import GroupDataset, default_batch_size
from ptycho.simulation.noise import count_photons, smallest_counts

_NEAR = 0.1  # standard deviations of the posterior, to which samples are optimised
_MOST = 40  # iterations for one of them
_MOST_AT_FIRST = 200  # for the most probable object, which is often where it begins


class Samples(NamedTuple):
    """Objects of the posterior, and whether counts like theirs were measured."""

    objects: list[Complex[Tensor, "row col"]]
    """On the canvas of the problem."""

    misfit_ratio: float
    """Mean residual of the measured frames at the most probable object, over that of resampled
    frames at theirs. Above 1, errors of the model are present as well as counting noise."""


@torch.no_grad()
def posterior_samples(
    problem: Problem,
    estimate: Estimate,
    n: int,
    *,
    probe: bool,
    rng: np.random.Generator,
    track: Track = untracked,
) -> Samples:
    """Return objects that differ from the most probable one as the true object does.

    Args:
        problem: the frames.
        estimate: near the most probable object, on the device of the problem.
        n: number of samples.
        probe: whether the probe is unknown, too.
        rng: of counts and prior.
        track: wraps the numbers of the samples, to show progress.

    Source:
        Papandreou & Yuille, NeurIPS 23, 1858 (2010): perturb and optimise.
    """
    refine, compiled = Refine(probe=probe), estimate.nuisances.variation is None
    with updating(problem, refine, compiled=compiled) as updater:
        posterior = Posterior(problem, estimate, updater, probe=probe)
        monitor = Monitor(Ending(), Patience(most=_MOST_AT_FIRST))
        best = climbed(posterior, monitor, monitor.iterations(untracked))
    centre = posterior.estimate_at(best)
    objects, residuals = [], []
    for _ in track(range(n), n):
        again = resampled(problem, centre, excess=posterior.excess, rng=rng)
        with updating(again, refine, compiled=compiled) as updater:
            drawn = posterior.about(best, again, updater, rng)
            monitor = Monitor(Ending(), Patience(most=_MOST))
            at = approached(drawn, best, _NEAR, monitor, monitor.iterations(untracked))
        found = posterior.estimate_at(at)
        objects.append(found.obj)
        residuals.append(float(frame_residuals(again, found).nanmean()))
    ratio = float(frame_residuals(problem, centre).nanmean()) / float(np.mean(residuals))
    return Samples(objects, ratio)


def resampled(
    problem: Problem, estimate: Estimate, *, excess: float, rng: np.random.Generator
) -> Problem:
    """Return the problem with frames resampled from an estimate.

    Args:
        problem: the frames to resample; all are held in memory.
        estimate: on the device of the problem.
        excess: c of the variance I + c I^2 of the counts.
        rng: of the counts.
    """
    raw, members = problem.frames.raw, problem.members.astype(np.int64)
    size = default_batch_size(1, raw.frame_size, 256)
    parts = []
    for part in torch.from_numpy(members).split(size):
        expected = expected_frames(problem, estimate, part.to(problem.device)).cpu().numpy()
        if excess > 0:
            expected = expected * rng.gamma(1 / excess, excess, expected.shape)
        parts.append(count_photons(expected.astype(np.float32), rng=rng))
    brightest = max(int(part.max(initial=0)) for part in parts)
    counted = np.concatenate(parts, dtype=smallest_counts(brightest))
    place = np.full(raw.n_frames, -1)
    place[members] = np.arange(len(members))
    frames = LazyFrames(
        (raw.n_frames, *counted.shape[1:]), counted.dtype, lambda index: counted[place[index]]
    )
    drawn = replace(
        raw, frames=frames, measurement="counts", photons_per_unit=1.0,
        background=raw.background_intensity, patches=None, path=None, flashes=None,
    )  # fmt: skip
    return replace(problem, frames=GroupDataset(drawn, problem.frames.groups), resident=None)
