"""The engine `learned`: iterations of the physics, then trained update steps.

Data flow: patches -> object -> [iterations, learned steps] -> object. Plain PyTorch.
To the learned step a scan is one more group, only larger: the update of all frames is accumulated,
and the step corrects the object by it. The same held-out pixels judge both.
"""

from dataclasses import dataclass

import torch
from torch import nn

from ptycho.engines.ending import Ending, Monitor, Patience
from ptycho.engines.fused import updating
from ptycho.engines.nuisances import Refine
from ptycho.engines.problem import Estimate, Problem, Solution
from ptycho.engines.sweeps import Sweeps, batch_size
from ptycho.engines.updates import Sums
from ptycho.networks.network import Network
from ptycho.progress import Track, untracked

_PATIENCE = Patience(most=2, misses=1)


@dataclass(frozen=True, slots=True)
class Learned:
    """The iterations of `Sweeps`, then learned steps as long as held-out pixels improve.

    Given a number of iterations, these come after those that the network itself makes, and as many
    learned steps follow as in the network.
    """

    network: Network
    """One for whole scans."""

    def room(self, refine: Refine) -> int:
        """Return what the iterations need."""
        return Sweeps().room(refine)

    def solve(
        self, problem: Problem, start: Estimate, ending: Ending, refine: Refine, track: Track
    ) -> Solution:
        """Improve a start; see `Engine.solve`."""
        count, steps = ending.iterations, None
        if count is not None:
            count, steps = self.network.sweeps + count, self.network.steps
        physical = Ending(iterations=count, seconds=ending.seconds)
        found = Sweeps().solve(problem, start, physical, refine, track)
        return learned_steps(
            problem, found, self.network.step, Ending(iterations=steps, seconds=ending.seconds)
        )


@torch.no_grad()
def learned_steps(
    problem: Problem, start: Solution, step: nn.Module, ending: Ending, track: Track = untracked
) -> Solution:
    """Correct an object by the learned step, and return the best one, the start included.

    Args:
        problem: what is to be explained.
        start: with its nuisance parameters, which stay.
        step: trained.
        ending: how many steps, the last of which is returned; else held-out pixels decide.
        track: wraps the numbers of the steps, given the most there can be, to show progress.

    Returns:
        The best object; its history continues that of the start.
    """
    step = step.to(problem.device).eval()
    obj, nuisances = start.estimate.to(problem.device)
    size = problem.batch_size or batch_size(problem)
    monitor = Monitor(ending, _PATIENCE)
    best = obj
    with updating(problem, Refine(), compiled=nuisances.variation is None) as updater:
        sums = Sums()
        total = updater.total(Estimate(obj, nuisances), size, sums)
        monitor.start(sums.misfit)
        for _ in monitor.iterations(track):
            obj = step(obj[None], total.step[None], total.illumination[None])[0]
            sums = Sums()
            total = updater.total(Estimate(obj, nuisances), size, sums)
            if monitor.add(sums.misfit):
                best = obj
    history = [*start.free_residual, *monitor.history]
    return Solution(best, nuisances, history, start.kept + monitor.kept)


def build(network: Network) -> Learned | Sweeps:
    """Return the engine for a network; one without a step for whole scans leaves the iterations.

    Args:
        network: trained.
    """
    return Learned(network) if network.whole_scan else Sweeps()
