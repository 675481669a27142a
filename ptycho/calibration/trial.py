"""A trial: part of a scan reconstructed without some of its frames, which it then has to predict.

Data flow: part of a scan + start -> [iterations] -> estimate -> [prediction of held-out frames].
What belongs to a single frame, its position and its beam intensity, is found for a held-out frame
from one half of its pixels; the other half judges.
"""

import functools
import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ptycho.engines.ending import Ending
from ptycho.engines.nuisances import Nuisances, Refine, more_modes
from ptycho.engines.placement import FARTHEST, searched
from ptycho.engines.problem import Estimate, Problem
from ptycho.engines.residuals import expected_frames
from ptycho.engines.sweeps import Iteration, Sweeps
from ptycho.errors import DataError
from ptycho.physics.patches import Canvas, canvas_of
from ptycho.progress import untracked
from ptycho.scan.dataset import GroupDataset
from ptycho.scan.raw_data import RawData
from ptycho.scan.scaling import scaled_probe

HELD = 6
"""One frame in so many is held out."""

_AVERAGED = 6  # iterations in which the steps shrink, at the end
_STILL = 1e9  # damping with which the object stays as it is
_DIM = 0.5  # photons added to the mean before its inverse weighs a pixel
_LEAST_VARIATION = 1e-3  # of the counting noise: less cannot be told from none
_OF_A_FRAME = 5  # iterations over the held-out frames for their own positions and intensities


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """How well held-out frames are predicted."""

    excess: Float[np.ndarray, " held"]
    """sum w ((n - I)^2 - n) of each held-out frame: its misfit without counting noise, whatever I
    is predicted, so the best of several predictions is the true one on average."""

    variation: float
    """sum w ((n - <n>)^2 - n) over the same pixels of the held-out frames."""

    noise: float
    """sum w n over the same pixels, relative to the variation."""

    spread: Float[np.ndarray, " held"]
    """Standard deviation of the excess of each held-out frame that counting alone causes."""

    @property
    def unexplained(self) -> float:
        """Share of the variation from frame to frame that is predicted wrongly, 0 or more."""
        return max(0.0, float(self.excess.sum()) / self.variation)


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """The outcome of a trial."""

    estimate: Estimate
    """Object and nuisance parameters."""

    judged: Judged
    """How well it predicts the held-out frames."""

    refine: Refine
    """What was refined."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Bench:
    """A part of a scan, divided once into frames that are used and frames that judge."""

    raw: RawData
    """Its frames, in memory."""

    canvas: Canvas
    """Holds the windows, also where they may move to."""

    seed: int = 0

    @classmethod
    def of(cls, raw: RawData, seed: int = 0) -> "Bench":
        """Return the bench of a part of a scan."""
        canvas = canvas_of(torch.from_numpy(raw.positions), raw.frame_size)
        return cls(raw=raw, canvas=canvas.widened(int(FARTHEST) + 6), seed=seed)

    @functools.cached_property
    def mean(self) -> Float[Tensor, "row col"]:
        """Mean frame of the part, photons."""
        amplitude = self.raw.amplitude(np.arange(self.raw.n_frames))
        return torch.from_numpy(np.square(amplitude).mean(axis=0))

    @property
    def held(self) -> Int[np.ndarray, " held"]:
        """The held-out frames, ascending."""
        n_frames = self.raw.n_frames
        order = np.random.default_rng(self.seed).permutation(n_frames)
        return np.sort(order[: max(1, n_frames // HELD)])

    def problem(self, numbers: Int[np.ndarray, " frame"]) -> Problem:
        """Return the problem of some frames."""
        return Problem.of(
            GroupDataset(self.raw, numbers[:, None]), self.canvas, device=torch.device("cpu"),
            seed=self.seed, unbiased=True,
        )  # fmt: skip

    def start(self) -> Estimate:
        """Return the flat object with the probe and the positions of the scan."""
        probe = scaled_probe(self.raw).probe
        dataset = GroupDataset(self.raw, np.arange(self.raw.n_frames)[:, None])
        obj = torch.ones(self.canvas.shape, dtype=torch.complex64)
        return Estimate(obj, Nuisances.given(probe, dataset))

    def trial(
        self,
        refine: Refine,
        iterations: int,
        start: Estimate | None = None,
        *,
        n_modes: int | None = None,
    ) -> Trial:
        """Reconstruct from the used frames and predict the others.

        Args:
            refine: what is refined.
            iterations: over the used frames; the last ones average.
            start: None takes the flat object.
            n_modes: of the probe; None keeps the number.

        Raises:
            DataError: If its numbers overflow.
        """
        begin = self.start() if start is None else start
        probe = more_modes(begin.nuisances.probe, n_modes)
        begin = begin._replace(nuisances=begin.nuisances._replace(probe=probe))
        used = np.setdiff1d(np.arange(self.raw.n_frames), self.held)
        engine = Sweeps(long_steps=max(2, iterations - _AVERAGED))
        try:
            found = engine.solve(
                self.problem(used), begin, Ending(iterations=iterations), refine, untracked
            )
            judged = self.judge(found.estimate, refine)
        except torch.linalg.LinAlgError as problem:  # type: ignore[attr-defined]
            raise DataError(
                f"trial of {self.raw.n_frames} frames: {problem}; expected photons and positions "
                "of another size"
            ) from None
        return Trial(estimate=found.estimate, judged=judged, refine=refine)

    @torch.no_grad()
    def judge(self, estimate: Estimate, refine: Refine) -> Judged:
        """Return how well an estimate predicts the held-out frames.

        Args:
            estimate: made without them.
            refine: which parameters of single frames are free.
        """
        problem = self.problem(self.held)
        judging = _half(problem, self.seed)
        own = Refine(
            positions=refine.positions or refine.search, intensity=refine.intensity,
            search=refine.search, variation=refine.variation,
        )  # fmt: skip
        fitting = replace(
            problem, held_out=replace(problem.held_out, excluded=judging | _bad(problem))
        )
        if any(own):
            estimate = _own_parameters(fitting, estimate, own)
        members = torch.from_numpy(problem.members.astype(np.int64))
        amplitude = self.raw.amplitude(problem.members)
        counts = judging[members % len(judging)] & ~_bad(problem)
        counted = torch.from_numpy(amplitude).square()
        expected = expected_frames(problem, estimate, members)
        weights = counts / (4 * (self.mean + _DIM))
        excess = (((counted - expected).square() - counted) * weights).sum(dim=(-2, -1))
        varies = (((counted - self.mean).square() - counted) * weights).sum()
        least = _LEAST_VARIATION * float((counted * weights).sum())
        variation = max(float(varies), least)
        noise = float((counted * weights).sum()) / variation
        # Var((n - I)^2 - n) = 2 I^2 for n Poisson with mean I
        spread = (2 * (expected * weights).square()).sum(dim=(-2, -1)).sqrt()
        return Judged(
            excess=excess.double().numpy(), variation=variation, noise=noise,
            spread=spread.double().numpy(),
        )  # fmt: skip


def better(first: Judged, second: Judged) -> tuple[float, float]:
    """Return by how much the second predicts better.

    As the share of the excess of a typical frame that is gone, and in standard errors. Compared are
    logarithms: of sums, a single frame at the rim of the part would decide.

    Args:
        first: of the held-out frames.
        second: of the same.
    """
    floor = np.maximum(first.spread, second.spread)
    here, there = (np.log(np.maximum(each.excess, 0) + floor) for each in (first, second))
    gain = here - there
    error = gain.std(ddof=1) / math.sqrt(len(gain)) if len(gain) > 1 else math.inf
    return 1 - math.exp(min(5.0, -float(gain.mean()))), float(gain.mean()) / max(
        float(error), 1e-12
    )


def _half(problem: Problem, seed: int) -> Bool[Tensor, "pattern row col"]:
    """Return a random half of the pixels, another one for each pattern of held-out pixels."""
    generator = torch.Generator().manual_seed(seed + 1)
    return torch.rand(problem.held_out.excluded.shape, generator=generator) < 0.5


def _bad(problem: Problem) -> Bool[Tensor, "row col"]:
    good = problem.frames.raw.mask
    size = problem.frames.raw.frame_size
    return torch.zeros(size, size, dtype=torch.bool) if good is None else ~torch.from_numpy(good)


def _own_parameters(problem: Problem, estimate: Estimate, own: Refine) -> Estimate:
    """Return an estimate with position and intensity of each frame of a problem fitted."""
    given = estimate.nuisances
    if own.search:
        for number in (0, 9, 12):
            positions = searched(problem, estimate, given.positions, number)
            estimate = estimate._replace(nuisances=estimate.nuisances._replace(positions=positions))
    for _ in range(_OF_A_FRAME):
        step = Iteration(problem, given, _STILL, own)
        estimate = step.over(estimate, problem.parts(32))
    return estimate
