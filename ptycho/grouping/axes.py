"""The step of a scan along each axis, so that anisotropic scans get compact groups.

Data flow: file -> RawData -> [groups] -> batches -> ... -> report.
Knows positions only: no frames, no files, no networks.

A fly scan samples its fast axis finer than the slow one: the K nearest of a position then lie in
one row. Measured in steps instead of pixels, its neighbours form a ring again.
"""

import numpy as np
from jaxtyping import Float, Int

_POSITIONS = 1_500  # from the middle of the scan
_QUERIES = 250  # of these, the positions whose surroundings are measured
_LARGEST_RATIO = 16.0  # beyond, the scan is a few lines
_COARSE, _FINE = 0.2, 0.025  # steps of the logarithm of the ratio
_SIGNIFICANT = 0.75  # of the crowding at ratio 1; random scans reach 0.8 by chance


def axis_ratio(x: Float[np.ndarray, " position"], y: Float[np.ndarray, " position"]) -> float:
    """Return the step along x divided by the step along y; 1 where they are equal or unknown.

    One axis is scaled at constant density rho until the crowding is smallest: the mean over the
    positions of sum exp(-pi rho d^2) over all others. Of all rectangular lattices the square one
    has the smallest sum; for a random scan the sum does not depend on the scaling, and the ratio is
    1. The order of the positions does not matter; x and y must run along the scan axes.

    Args:
        x: Column of each position, pixels.
        y: Row of each position, pixels.

    Source:
        Montgomery, Minimal theta functions, Glasgow Math. J. 30, 75 (1988).
    """
    points = _middle(np.stack([x, y], axis=1))
    extent = np.ptp(points, axis=0)
    if len(points) < 16 or not (extent > 0).all():
        return 1.0
    queries = points[_inner(points)]
    steps = np.square(queries[:, None] - points) * (np.pi * len(points) / np.prod(extent))
    # Downhill from 1: at extreme ratios the window is only a few positions wide.
    best, crowding = 0.0, (own := _crowding(steps, 0.0))
    for step in (_COARSE, -_COARSE, _FINE, -_FINE):
        while abs(best + step) <= np.log(_LARGEST_RATIO):
            if (further := _crowding(steps, best + step)) >= crowding:
                break
            best, crowding = best + step, further
    return float(np.exp(best)) if crowding < _SIGNIFICANT * own else 1.0


def _crowding(steps: Float[np.ndarray, "query position 2"], logarithm: float) -> float:
    """Return the mean crowding by the other positions, with x in units of exp(logarithm)."""
    ratio = np.exp(logarithm)
    return float(np.exp(-steps @ np.array([1 / ratio, ratio])).sum(axis=1).mean()) - 1.0


def _middle(points: Float[np.ndarray, "position 2"]) -> Float[np.ndarray, "kept 2"]:
    """Return the positions nearest to the middle of the scan, so that neighbours stay together."""
    if len(points) <= _POSITIONS:
        return points
    away = _from_middle(points)
    return points[np.argpartition(away, _POSITIONS)[:_POSITIONS]]


def _inner(points: Float[np.ndarray, "position 2"]) -> Int[np.ndarray, " query"]:
    """Return the indices of those furthest from the border, beyond which neighbours are missing."""
    return np.argsort(_from_middle(points), kind="stable")[:_QUERIES]


def _from_middle(points: Float[np.ndarray, "position 2"]) -> Float[np.ndarray, " position"]:
    """Return the distance of each position from the middle, in units of the scan's sides."""
    extent = np.maximum(np.ptp(points, axis=0), np.finfo(float).tiny)
    away: np.ndarray = np.abs((points - np.median(points, axis=0)) / extent).max(axis=1)
    return away
