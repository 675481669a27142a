"""What distance limits cost: how many groups they drop.

Way of the data: file -> RawData -> [groups] -> batches -> ... -> report.
Knows positions only: no frames, no files, no networks.
"""

from dataclasses import replace

import numpy as np

from ptycho.errors import GroupingError
from ptycho.grouping.deck import draw_uniform, keeps_distances
from ptycho.grouping.enumerate import count
from ptycho.grouping.neighbours import Neighbourhood, neighbours_by_scan, pair_distance

_EXACT_UP_TO = 3_000_000  # combinations; below, counting takes a fraction of a second
_LOOKED_AT = 10_000  # groups otherwise: a share known to 0.5 % of all groups


def limits_sentence(limited: Neighbourhood) -> str:
    """Return how many groups the distance limits drop, exactly or, of very many, about.

    Args:
        limited: The neighbourhood with its limits.

    Raises:
        GroupingError: When they drop all.
    """
    free = without_limits(limited)
    largest = "" if limited.max_distance is None else f"at most {limited.max_distance:.4g} px"
    smallest = f"at least {limited.min_distance:.4g} px" if limited.min_distance > 0 else ""
    words = " and ".join(part for part in (smallest, largest) if part)
    rule = f"members {words} apart: "
    if int(free.raw_counts().sum()) <= _EXACT_UP_TO:
        total = count(free)
        dropped = total - count(limited)
        if dropped == total:
            raise GroupingError(
                f"distance limits: none of {total:,} groups of gridsize {limited.gridsize}, "
                f"K {limited.k} has its members {words} apart; the nearest positions are "
                f"{_nearest(free):.4g} px apart (median); expected looser limits"
            )
        share = dropped / max(total, 1)
        return f"{rule}{dropped:,} of {total:,} groups dropped ({100 * share:.1f} %)"
    groups = draw_uniform(free, _LOOKED_AT, seed=0)
    share = float(1 - keeps_distances(limited, groups).mean())
    return f"{rule}about {100 * share:.1f} % of the groups dropped"


def _nearest(free) -> float:
    """Return the median distance of a position to its nearest neighbour."""
    first = free.neighbours[:, 0]
    seeds = np.flatnonzero(first >= 0)
    return float(np.median(pair_distance(free.x, free.y, seeds, first[seeds])))


def without_limits(limited: Neighbourhood) -> Neighbourhood:
    """Return the neighbourhood of the same positions and K that no distance limits."""
    lists = limited.neighbours
    if limited.max_distance is not None:
        lists = neighbours_by_scan(limited.x / limited.ratio, limited.y, limited.scan, limited.k)
    return replace(limited, neighbours=lists, max_distance=None, min_distance=0.0)
