"""The groups to work with: what `n_images` counts, where the groups come from, what the log says.

Way of the data: file -> RawData -> [groups] -> batches -> ... -> report.
Knows positions and one file name: no frames, no networks.
"""

import logging
from pathlib import Path

import numpy as np
from jaxtyping import Int32, Shaped

from ptycho.errors import GroupingError
from ptycho.grouping.cache import find_groups
from ptycho.grouping.coverage import summarise
from ptycho.grouping.limits import limits_sentence
from ptycho.grouping.on_demand import sample_on_demand
from ptycho.grouping.sample import draw

logger = logging.getLogger(__name__)


def select_groups(
    x: Shaped[np.ndarray, "..."],
    y: Shaped[np.ndarray, "..."],
    n: int | None,
    *,
    gridsize: int,
    K: int | None = None,
    seed: int | None = None,
    sampling: str = "uniform",
    scan_index: Shaped[np.ndarray, "..."] | None = None,
    use_cache: bool = True,
    cache_dir: Path | str | None = None,
    dataset_path: Path | str | None = None,
    probe_diameter: float | None = None,
    where: str = "scan",
    **limits: float | str | None,
) -> Int32[np.ndarray, "group member"]:
    """Return the groups to work with; says in the log what the number meant.

    Args:
        x: (M,) column of each position, pixels.
        y: (M,) row of each position, pixels.
        n: `n_images`: frames at gridsize 1, groups above; None for all frames, or as many groups
            as use every frame once.
        gridsize: 1 takes the first n frames in their order, each a group of its own; above, groups
            hold gridsize * gridsize overlapping frames.
        K: Neighbours a group may draw from; None for the default of the gridsize.
        seed: Fixes the sample; None is 0.
        sampling: uniform, balanced or sequential; without meaning at gridsize 1.
        scan_index: (M,) scan each position belongs to; None for one scan.
        use_cache: Whether to keep the groups on disk; the sample is the same without.
        cache_dir: Folder for the groups cache instead of the dataset's.
        dataset_path: File whose name and folder the cache takes; None keeps none.
        probe_diameter: What the overlap told in the log is measured in, pixels.
        where: What the positions are called in errors.
        **limits: `max_distance`, `min_distance`, `metric`; see `find_groups`.

    Raises:
        GroupingError: When no such groups exist.
    """
    n_frames = len(x)
    wanted = max(1, n_frames // gridsize**2) if n is None else n
    if wanted < 1:
        raise GroupingError(
            f"{where}: n_images = {wanted}, {n_frames:,} frames, gridsize {gridsize}; expected at "
            "least 1"
        )
    if gridsize == 1:
        return _first_frames(wanted, n_frames)
    rule = {"gridsize": gridsize, "K": K, "scan_index": scan_index, **limits}
    groups, available = None, " drawn without a list"
    if sampling == "uniform":
        groups = sample_on_demand(x, y, n=wanted, seed=seed or 0, **rule)
    if groups is None:
        table = find_groups(
            x, y, dataset_path=dataset_path, cache_dir=cache_dir, use_cache=use_cache, **rule
        )
        if table.neighbourhood.filtered:
            logger.info("%s", limits_sentence(table.neighbourhood))
        groups = draw(table.neighbourhood, n=wanted, method=sampling, seed=seed or 0)
        available = "" if table.groups is None else f" of {len(table.groups):,} valid ones"
    covered = summarise(x, y, groups, probe_diameter=probe_diameter)
    logger.info(
        "n_images=%d refers to neighbor groups (gridsize=%d)%s: %s",
        wanted, gridsize, available, covered.paragraph(),
    )  # fmt: skip
    return groups


def _first_frames(n: int, n_frames: int) -> Int32[np.ndarray, "group 1"]:
    if n > n_frames:
        logger.warning("n_images=%d asked for, %d frames exist; taking all", n, n_frames)
    chosen = min(n, n_frames)
    logger.info(
        "n_images=%d refers to individual images (gridsize=1): the first %s of %s frames",
        n, f"{chosen:,}", f"{n_frames:,}",
    )  # fmt: skip
    return np.arange(chosen, dtype=np.int32)[:, None]
