"""The step of a scan along each axis, so that anisotropic scans get compact groups.

Way of the data: file -> RawData -> [groups] -> batches -> ... -> report.
Knows positions only: no frames, no files, no networks.

A fly scan samples its fast axis finer than the slow one: the K nearest of a position then lie in
one row. Measured in steps instead of pixels, its neighbours form a ring again.
"""

import numpy as np
from jaxtyping import Float

_POSITIONS = 1_500  # from the middle of the scan
_ASKED = 250  # of these, whose surroundings are looked at
_LARGEST_RATIO = 16.0  # beyond, the scan is a few lines
_COARSE, _FINE = 0.2, 0.025  # steps of the logarithm of the ratio
_WORTH = 0.75  # of the crowding as it is; random scans reach 0.8 by chance


def axis_ratio(x: Float[np.ndarray, " position"], y: Float[np.ndarray, " position"]) -> float:
    """Return the step along x divided by the step along y; 1 where they are alike or unknown.

    One axis is scaled, density kept, until positions crowd each other least: the mean of
    sum exp(-pi rho d^2) over the others, rho the density. Of all rectangular lattices the square
    one has the smallest sum; for a random scan it does not depend on the scaling, and the ratio is
    1. The order of the positions has no part in it; x and y must run along the axes.

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
    asked = points[_inner(points)]
    steps = np.square(asked[:, None] - points) * (np.pi * len(points) / np.prod(extent))
    # Downhill from 1: far away the window is only a few positions wide and tells nothing.
    best, crowding = 0.0, (own := _crowding(steps, 0.0))
    for step in (_COARSE, -_COARSE, _FINE, -_FINE):
        while abs(best + step) <= np.log(_LARGEST_RATIO):
            if (further := _crowding(steps, best + step)) >= crowding:
                break
            best, crowding = best + step, further
    return float(np.exp(best)) if crowding < _WORTH * own else 1.0


def _crowding(steps, logarithm) -> float:
    """Return the mean crowding by the others, x measured in units of the ratio, density kept."""
    ratio = np.exp(logarithm)
    return float(np.exp(-steps @ np.array([1 / ratio, ratio])).sum(axis=1).mean()) - 1.0


def _middle(points):
    """Return the positions nearest to the middle of the scan, so that neighbours stay together."""
    if len(points) <= _POSITIONS:
        return points
    away = _away(points)
    return points[np.argpartition(away, _POSITIONS)[:_POSITIONS]]


def _inner(points):
    """Return the indices of those furthest from the border, beyond which positions are missing."""
    return np.argsort(_away(points), kind="stable")[:_ASKED]


def _away(points):
    extent = np.maximum(np.ptp(points, axis=0), np.finfo(float).tiny)
    return np.abs((points - np.median(points, axis=0)) / extent).max(axis=1)
