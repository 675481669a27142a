"""The minimum of a nearly quadratic function from its gradients: L-BFGS with a given metric.

Data flow: none; serves `most_probable`.
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

_KEPT = 10  # pairs of steps and changes of the gradient
_OVERSHOT = 0.5  # of the slope, behind the minimum of a line: beyond, a step is taken back
_SHORTEST = 0.05  # of a step


class Quadratic:
    """What steps and gradients say about the curvature.

    Args:
        metric: an approximation of the inverse Hessian, symmetric and positive.

    Source:
        Nocedal & Wright, Numerical Optimization, 2nd ed. (2006), algorithm 7.4.
    """

    def __init__(self, metric: Callable[[Tensor], Tensor]):
        self._metric = metric
        self._pairs: list[tuple[Tensor, Tensor, float]] = []
        self._scale = 1.0

    def add(self, step: Tensor, change: Tensor) -> None:
        """Learn from a step and the change of the gradient along it."""
        curved = _dot(step, change)
        if curved <= 0:  # not convex there
            return
        self._pairs = [*self._pairs[1 - _KEPT :], (step, change, curved)]
        self._scale = curved / _dot(change, self._metric(change))

    def newton_step(self, gradient: Tensor) -> Tensor:
        """Return the step to the minimum, as far as the curvature is known."""
        left, shares = gradient.clone(), []
        for step, change, curved in reversed(self._pairs):
            share = _dot(step, left) / curved
            shares.append(share)
            left -= share * change
        found = self._scale * self._metric(left)
        for (step, change, curved), share in zip(self._pairs, reversed(shares), strict=True):
            found += (share - _dot(change, found) / curved) * step
        return -found


def descend(
    gradient: Callable[[Tensor], Tensor],
    start: Tensor,
    metric: Callable[[Tensor], Tensor],
    *,
    longest: float = math.inf,
) -> Iterator[tuple[Tensor, float]]:
    """Yield better and better points, each with the decrease that is still to be expected.

    Lines are searched by their slope, not by values: of a sum over millions of counts, single
    precision does not know the last digits. A step that leaves more than half of the slope behind
    the minimum is taken back by linear interpolation, which is exact for a quadratic function.

    Args:
        gradient: of the function; called once per point, and once more where a step was too long.
        start: the first point.
        metric: an approximation of the inverse Hessian.
        longest: step of one number, beyond which the function is nothing like quadratic.
    """
    at, downhill = start, gradient(start)
    known = Quadratic(metric)
    while True:
        step = known.newton_step(downhill)
        slope = _dot(step, downhill)
        yield at, max(-slope / 2, 0.0)
        if slope >= 0:  # rounding: there is nothing left to gain
            return
        length = min(1.0, longest / max(float(step.abs().max()), 1e-30))
        while True:
            there = at + length * step
            after = gradient(there)
            left = _dot(step, after)
            if left <= -_OVERSHOT * slope or length <= _SHORTEST:
                break
            back = slope / (slope - left) if math.isfinite(left) else _SHORTEST
            length = max(length * back, _SHORTEST)
        if not math.isfinite(left):
            return
        known.add(there - at, after - downhill)
        at, downhill = there, after


def _dot(one: Tensor, other: Tensor) -> float:
    return float(torch.linalg.vecdot(one.flatten(), other.flatten()))
