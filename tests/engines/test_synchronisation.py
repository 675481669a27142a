"""The host does not wait for the device in every batch.

On a GPU each transfer of a number to the host ends the queue of the device. `aten::item` and
operations whose result size depends on values are such transfers; on the CPU they can be counted.
"""

import pytest
import torch
from tiny_scan import problem_of, simulated, start_of, truth_on_canvas
from torch.utils._python_dispatch import TorchDispatchMode

from ptycho.engines.ending import Ending
from ptycho.engines.learned import learned_steps
from ptycho.engines.nuisances import Refine
from ptycho.engines.problem import Solution
from ptycho.engines.sweeps import Sweeps
from ptycho.networks.learned_step import LearnedStep
from ptycho.physics import patches
from ptycho.progress import untracked


class Transfers(TorchDispatchMode):
    """Counts the operations that need values on the host."""

    names = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "linalg_solve")

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += any(name in func.name() for name in self.names)
        return func(*args, **(kwargs or {}))


def transfers(action):
    with Transfers() as found:
        action()
    return found.count


@pytest.fixture(autouse=True)
def _as_on_a_device(monkeypatch):
    """Windows are checked on the CPU only; leave that out, as on a device."""
    monkeypatch.setattr(patches, "check_inside", lambda *_: None)


@pytest.mark.parametrize("refine", [Refine(), Refine(True, True, True, True)])
def test_iterations_wait_as_often_for_many_batches_as_for_few(refine):
    raw = simulated(48)
    canvas = truth_on_canvas(raw)[1].widened(8)
    obj = torch.ones(canvas.shape, dtype=torch.complex64)
    counts = []
    for batch_size in (24, 4):
        problem = problem_of(raw, canvas, batch_size=batch_size)
        start = start_of(raw, obj)
        counts.append(
            transfers(
                lambda problem=problem, start=start: Sweeps(fused=False).solve(
                    problem, start, Ending(iterations=5), refine, untracked
                )
            )
        )
    assert counts[0] == counts[1]


def test_learned_steps_too():
    raw = simulated(48)
    truth, canvas = truth_on_canvas(raw)
    counts = []
    for batch_size in (24, 4):
        problem = problem_of(raw, canvas, batch_size=batch_size)
        start = Solution(*start_of(raw, truth), [], 0)
        step = LearnedStep(width=8)
        counts.append(
            transfers(
                lambda problem=problem, start=start, step=step: learned_steps(
                    problem, start, step, Ending(iterations=2)
                )
            )
        )
    assert counts[0] == counts[1]
