"""How many groups the distance limits exclude.

Data flow: file -> RawData -> [groups] -> batches -> ... -> report.
Knows positions only: no frames, no files, no networks.
"""

from dataclasses import replace

import numpy as np

from ptycho.errors import GroupingError
from ptycho.grouping.enumerate import count
from ptycho.grouping.neighbours import Neighbourhood, neighbours_by_scan, pair_distance
from ptycho.grouping.pairs import draw_uniform, keeps_distances

_EXACT_UP_TO = 3_000_000  # combinations; below, counting takes a fraction of a second
_SAMPLED = 10_000  # groups otherwise: the share is then known to 0.5 % of all groups


def limits_sentence(limited: Neighbourhood) -> str:
    """Return how many groups the distance limits exclude: the number, or an estimate of very many.

    Args:
        limited: The neighbourhood with its limits.

    Raises:
        GroupingError: If they exclude all.
    """
    free, rule = without_limits(limited), limited.rule
    largest = "" if rule.max_distance is None else f"at most {rule.max_distance:.4g} px"
    smallest = f"at least {rule.min_distance:.4g} px" if rule.min_distance > 0 else ""
    words = " and ".join(part for part in (smallest, largest) if part)
    head = f"distance limits ({words})"
    if int(free.raw_counts().sum()) <= _EXACT_UP_TO:
        total = count(free)
        dropped = total - count(limited)
        if dropped == total:
            raise GroupingError(
                f"{head}: none of {total:,} groups obeys them (gridsize {rule.gridsize}, K "
                f"{limited.k}); expected wider limits; the median nearest-neighbour distance is "
                f"{_nearest(free):.4g} px"
            )
        share = dropped / max(total, 1)
        return f"{head}: {dropped:,} of {total:,} groups excluded ({100 * share:.1f} %)"
    groups = draw_uniform(free, _SAMPLED, seed=0)
    share = float(1 - keeps_distances(limited, groups).mean())
    return f"{head}: about {100 * share:.1f} % of the groups excluded"


def _nearest(free: Neighbourhood) -> float:
    """Return the median distance of a position to its nearest neighbour."""
    first = free.neighbours[:, 0]
    seeds = np.flatnonzero(first >= 0)
    return float(np.median(pair_distance(free.x, free.y, seeds, first[seeds])))


def without_limits(limited: Neighbourhood) -> Neighbourhood:
    """Return the neighbourhood of the same positions and K without distance limits."""
    lists = limited.neighbours
    if limited.rule.max_distance is not None:
        lists = neighbours_by_scan(limited.x / limited.ratio, limited.y, limited.scan, limited.k)
    return replace(limited, neighbours=lists, rule=limited.rule.without_limits())
