"""Frames on the processor in compiled loops: threads, and arrays as the loops take them.

Data flow: batches -> network + [physics] -> trained model.
`frame_loops` holds the loops; loading them takes half a second, so it is done where they are used.
"""

import importlib
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import ModuleType
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

log = logging.getLogger(__name__)

Real = Float[np.ndarray, "..."]
"""Single precision; complex numbers as real and imaginary part in turn."""

_LOOPS = "ptycho.physics.frame_loops"

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def load_loops() -> ModuleType:
    """Return the module of compiled loops; logs that it loads them."""
    if _LOOPS not in sys.modules:
        log.info("loading compiled loops (about 15 s the first time on a machine)")
    return importlib.import_module(_LOOPS)


class Team(NamedTuple):
    """Threads that share work."""

    pool: ThreadPoolExecutor | None
    """None where there is one."""
    threads: int

    def each(self, function: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
        """Return what a function makes of each item; a thread that is free takes the next one."""
        if self.pool is None or self.threads == 1 or len(items) == 1:
            return [function(item) for item in items]
        results: dict[int, _Result] = {}
        waiting = iter(range(len(items)))

        def work() -> None:
            for number in waiting:
                results[number] = function(items[number])

        others = [self.pool.submit(work) for _ in range(self.threads - 1)]
        work()
        for other in others:
            other.result()
        return [results[number] for number in range(len(items))]


@contextmanager
def working_team() -> Iterator[Team]:
    """Provide as many threads as PyTorch uses, which for that time uses one in each of them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if threads == 1:
            yield Team(None, 1)
            return
        with ThreadPoolExecutor(threads) as pool:
            yield Team(pool, threads)
    finally:
        torch.set_num_threads(threads)


def to_corner(frames: Shaped[Tensor, "*frame row col"]) -> Shaped[Tensor, "*frame row col"]:
    """Return frames with the zero frequency moved from pixel N//2 to pixel 0."""
    return torch.fft.ifftshift(frames, dim=(-2, -1)).contiguous()


def as_real(waves: Tensor) -> Real:
    """Return complex numbers as real and imaginary part in turn, without a copy."""
    return waves.detach().contiguous().numpy().view(np.float32)


def transformed(transform: Callable[..., Tensor], waves: Real, **how: str) -> Real:
    """Return the Fourier transform of waves."""
    return as_real(transform(torch.from_numpy(waves.view(np.complex64)), **how))
