"""The groups of a run: what `n_images` counts, and where the groups come from.

Data flow: file -> RawData -> [groups] -> batches -> ... -> report.
Knows positions and one file name: no frames, no networks.
"""

import logging
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32, Shaped

from ptycho.errors import GroupingError
from ptycho.grouping.cache import CachePlace, find_groups
from ptycho.grouping.coverage import summarise
from ptycho.grouping.limits import limits_sentence
from ptycho.grouping.rule import GroupRule
from ptycho.grouping.sample import draw, draw_without_lists

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Selected:
    """The groups of a run, and how many valid ones they were chosen from."""

    groups: Int32[np.ndarray, "group member"]
    """Frame indices, one row per group."""

    n_valid: int | None = None
    """All valid groups; None where they were not counted."""


def select_groups(
    x: Shaped[np.ndarray, "..."],
    y: Shaped[np.ndarray, "..."],
    n: int | None,
    rule: GroupRule,
    *,
    sampling: str = "uniform",
    seed: int = 0,
    scan_index: Shaped[np.ndarray, "..."] | None = None,
    cache: CachePlace | None = None,
) -> Selected:
    """Return the groups of a run; the log states what the number counts.

    Args:
        x: (M,) column of each position, pixels.
        y: (M,) row of each position, pixels.
        n: `n_images`: frames at gridsize 1, groups above; None for all frames, or as many groups
            as use every frame once.
        rule: What makes a group valid. Gridsize 1 takes the first n frames in their order.
        sampling: A name in `ptycho.grouping.SAMPLERS`; without effect at gridsize 1.
        seed: Fixes the sample.
        scan_index: (M,) scan of each position; groups never mix scans.
        cache: Where to keep the groups on disk; the sample is the same without.

    Raises:
        GroupingError: If no such groups exist.
    """
    wanted = max(1, len(x) // rule.group_size) if n is None else n
    if wanted < 1:
        raise GroupingError(f"n_images = {wanted}: expected at least 1 of {len(x):,} frames")
    if rule.gridsize == 1:
        return Selected(groups=_first_frames(wanted, len(x)))
    logger.info(
        "n_images=%d refers to neighbor groups (gridsize=%d) of %d frames",
        wanted, rule.gridsize, rule.group_size,
    )  # fmt: skip
    groups = draw_without_lists(
        x, y, rule, n=wanted, method=sampling, seed=seed, scan_index=scan_index
    )
    if groups is not None:
        return Selected(groups=groups)
    table = find_groups(x, y, rule, scan_index=scan_index, cache=cache)
    if rule.filtered:
        logger.info("%s", limits_sentence(table.neighbourhood))
    groups = draw(table.neighbourhood, n=wanted, method=sampling, seed=seed)
    return Selected(groups=groups, n_valid=None if table.groups is None else len(table.groups))


def report_selection(
    x: Shaped[np.ndarray, "..."],
    y: Shaped[np.ndarray, "..."],
    selected: Selected,
    rule: GroupRule,
    *,
    probe_diameter: float | None = None,
) -> None:
    """Log how many groups were chosen and how much of the scan they use.

    Args:
        x: (M,) column of each position, pixels.
        y: (M,) row of each position, pixels.
        selected: The groups; nothing is logged for single frames.
        rule: What makes a group valid.
        probe_diameter: The unit of overlaps, pixels; None if unknown.
    """
    if rule.gridsize == 1:
        return
    covered = summarise(x, y, selected.groups, probe_diameter=probe_diameter)
    n_valid = "" if selected.n_valid is None else f" of {selected.n_valid:,}"
    logger.info(
        "groups: %s%s (gridsize %d, K %d), %s",
        f"{covered.n_groups:,}", n_valid, rule.gridsize, rule.k, covered.used(),
    )  # fmt: skip


def _first_frames(n: int, n_frames: int) -> Int32[np.ndarray, "group 1"]:
    if n > n_frames:
        logger.warning("n_images=%d: only %d frames exist; using all", n, n_frames)
    chosen = min(n, n_frames)
    logger.info(
        "n_images=%d refers to individual images (gridsize=1): the first %s of %s frames",
        n, f"{chosen:,}", f"{n_frames:,}",
    )  # fmt: skip
    return np.arange(chosen, dtype=np.int32)[:, None]
