"""The engines `lsqml` and `rpie`: those of pty-chi, started from our object.

Data flow: patches -> object -> [pty-chi] -> object, probe, positions.
The translation of conventions is in `engines.ptychi_task`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ptycho.engines.ending import Ending, Monitor, Patience
from ptycho.engines.nuisances import Refine
from ptycho.engines.problem import Estimate, Problem, Solution
from ptycho.engines.ptychi_task import (
    ROOM,
    Handover,
    Method,
    Plan,
    contained,
    estimate_of,
    load_ptychi,
    start_task,
)
from ptycho.engines.stitching import illumination_on
from ptycho.errors import ConfigError
from ptycho.experiment import Experiment
from ptycho.physics.patches import Canvas
from ptycho.progress import Track
from ptycho.scan.dataset import default_batch_size

_PATIENCE = Patience(most=100, gain=1e-3, misses=3)  # LSQML's first epochs fluctuate
_LARGEST_BATCH = {"lsqml": 16, "rpie": 32}  # measured: larger ones take longer to the same object


@dataclass(frozen=True, slots=True)
class PtyChi:
    """An engine of pty-chi that ends by the same held-out pixels as ours.

    Source:
        pty-chi: Du et al., arXiv:2510.20929 (2025). LSQML: Odstrcil, Menzel & Guizar-Sicairos,
        Opt. Express 26, 3108 (2018). rPIE: Maiden, Johnson & Li, Optica 4, 736 (2017).
    """

    method: Method

    def room(self, refine: Refine) -> int:
        """Return the margin that pty-chi needs in any case."""
        return ROOM

    def solve(
        self, problem: Problem, start: Estimate, ending: Ending, refine: Refine, track: Track
    ) -> Solution:
        """Improve a start; see `Engine.solve`.

        Raises:
            ConfigError: If pty-chi is not installed, or cannot do what is asked for.
        """
        self._check(problem, start, refine)
        start = start.to(problem.device)
        begin = _handover(problem, start)
        monitor = Monitor(ending, _PATIENCE)
        first = problem.misfit(start)
        monitor.start(first)
        best = start
        with contained():
            task = self._task(problem, begin, refine)
            for _ in monitor.iterations(track):
                task.run(1)
                now = _estimate(problem, start, estimate_of(task, begin))
                if monitor.add(problem.misfit(now)):
                    best = now
        history = [first.value, *monitor.history]
        return Solution(best.obj, best.nuisances, history, monitor.kept)

    def _check(self, problem: Problem, start: Estimate, refine: Refine) -> None:
        experiment = problem.frames.raw.experiment
        if experiment != Experiment(geometry=experiment.geometry):
            raise ConfigError(
                f"engine: {self.method}, for a thin sample in the far field without detector blur; "
                "this scan has another experiment; expected engine learned or sweeps"
            )
        for name, asked, known in (
            ("intensity", refine.intensity, start.nuisances.intensity),
            ("background", refine.background, start.nuisances.background),
            ("affine", refine.affine, None),
            ("search", refine.search, None),
            ("variation", refine.variation, start.nuisances.variation),
        ):
            if asked or known is not None:
                raise ConfigError(
                    f"{name}: not supported by engine {self.method}; expected engine learned or "
                    "sweeps"
                )

    def _task(self, problem: Problem, begin: Handover, refine: Refine) -> Any:
        members = torch.from_numpy(problem.members.astype(np.int64))
        plan = Plan(
            engine=self.method,
            batch_size=problem.batch_size or self._batch_size(problem, begin),
            seed=problem.seed,
            refine_probe=refine.probe,
            refine_positions=refine.positions,
            device="cuda" if problem.device.type == "cuda" else "cpu",
        )
        excluded = problem.held_out.excluded_in(members.to(problem.device)).cpu().numpy()
        intensity = problem.frames.raw.intensity(problem.members)
        return start_task(intensity, begin, excluded, plan)

    def _batch_size(self, problem: Problem, begin: Handover) -> int:
        """Return frames per batch.

        pty-chi's rPIE adds up the updates that the frames of a batch give a pixel: two bright ones
        overshoot. So a batch has as many frames as illuminate every pixel once on average.
        """
        size = problem.frames.raw.frame_size
        largest = default_batch_size(1, size, _LARGEST_BATCH[self.method])
        if self.method == "lsqml":
            return largest
        repeats = _repeats(begin)
        return max(1, min(largest, int(len(begin.positions) / max(1.0, repeats))))


def build_lsqml(network: object) -> PtyChi:
    """Return LSQML; it uses no network.

    Raises:
        ConfigError: If pty-chi is not installed.
    """
    load_ptychi()
    return PtyChi("lsqml")


def build_rpie(network: object) -> PtyChi:
    """Return rPIE; it uses no network.

    Raises:
        ConfigError: If pty-chi is not installed.
    """
    load_ptychi()
    return PtyChi("rpie")


def _handover(problem: Problem, start: Estimate) -> Handover:
    """Return an estimate as pty-chi takes it."""
    origin = np.array(problem.canvas.origin)
    positions = start.nuisances.positions.cpu().double().numpy()[problem.members] - origin
    return Handover(start.obj.cpu().numpy(), start.nuisances.probe.cpu().numpy(), positions)


def _estimate(problem: Problem, start: Estimate, found: Handover) -> Estimate:
    """Return what pty-chi has found as an estimate of ours."""
    positions = start.nuisances.positions.clone()
    moved = torch.from_numpy(found.positions + np.array(problem.canvas.origin))
    members = torch.from_numpy(problem.members.astype(np.int64)).to(positions.device)
    positions[members] = moved.to(positions)
    probe = torch.from_numpy(found.probe).to(problem.device)
    obj = torch.from_numpy(found.obj).to(problem.device)
    return Estimate(obj, start.nuisances._replace(probe=probe, positions=positions))


def _repeats(begin: Handover) -> float:
    """Return the largest illumination of a pixel, relative to the maximum of one probe."""
    canvas = Canvas((0, 0), (begin.obj.shape[0], begin.obj.shape[1]))
    positions, probe = torch.from_numpy(begin.positions), torch.from_numpy(begin.probe)
    return float(illumination_on(canvas, positions, probe).max())
