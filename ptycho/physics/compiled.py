"""Frames on the processor in compiled loops: threads, and arrays as the loops take them.

Data flow: batches -> network + [physics] -> trained model.
`frame_loops` holds the loops; loading them takes half a second, so it is done where they are used.
"""

import functools
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Complex, Float, Shaped
from torch import Tensor

from ptycho.physics.forward import ForwardModel

if TYPE_CHECKING:
    from ptycho.physics.frame_loops import Loops

log = logging.getLogger(__name__)

Real = Float[np.ndarray, "..."]
"""Single precision; complex numbers as real and imaginary part in turn."""

NOTHING: Any = {k: np.empty((0,) * k, np.float32) for k in range(1, 6)}
"""Arrays of any number of axes that ask the loops for nothing."""

_LOOPS = "ptycho.physics.frame_loops"

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@functools.cache
def loops_for(size: int) -> "Loops":
    """Return the compiled loops for frames of one size; logs that it loads them.

    Args:
        size: N, one that `serves`.
    """
    if _LOOPS not in sys.modules:
        log.info("loading compiled loops (about 10 s the first time for a frame size)")
    from ptycho.physics.frame_loops import Loops

    return Loops(size)


def serves(forward: ForwardModel, size: int, device: torch.device) -> bool:
    """Return whether the loops can do it: thin samples in the far field, without blur.

    Args:
        forward: how an object makes the frames.
        size: N, pixels per side of a frame; a power of two, 16 or more.
        device: where tensors lie.
    """
    return device.type == "cpu" and forward.plain and size >= 16 and size & (size - 1) == 0


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
    """Provide as many threads as PyTorch may use."""
    threads = torch.get_num_threads()
    if threads == 1:
        yield Team(None, 1)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield Team(pool, threads)


def to_corner(frames: Shaped[Tensor, "*frame row col"]) -> Shaped[Tensor, "*frame pixel"]:
    """Return frames with the zero frequency moved from pixel N//2 to pixel 0."""
    return torch.fft.ifftshift(frames, dim=(-2, -1)).flatten(-2)


def as_real(waves: Complex[Tensor, "*wave row col"]) -> Real:
    """Return complex numbers as real and imaginary part in turn, without a copy."""
    return waves.detach().contiguous().numpy().view(np.float32)


def planar(waves: Complex[Tensor, "*wave row col"]) -> Real:
    """Return complex numbers as (..., 2, pixel): real parts and imaginary parts apart."""
    apart = torch.view_as_real(waves.detach()).movedim(-1, -3)
    return apart.flatten(-2).contiguous().numpy()


def from_planar(values: Real, shape: tuple[int, int]) -> Complex[Tensor, "*wave row col"]:
    """Return complex numbers of a shape from real parts and imaginary parts."""
    apart = torch.from_numpy(values).unflatten(-1, shape)
    return torch.complex(apart.select(-3, 0), apart.select(-3, 1))
