"""Groups of overlapping frames: found in the whole scan, then sampled.

Data flow: file -> RawData -> [groups] -> batches -> ...
"""

import logging
from dataclasses import replace
from glob import escape
from typing import Any, TypeVar

import numpy as np
import torch

from ptycho.api.components import Members
from ptycho.api.groups import Groups
from ptycho.grouping import Coverage, GroupRule, default_neighbor_count, summarise
from ptycho.grouping.cache import CachePlace, GroupTable, find_groups
from ptycho.physics.probe import largest_pair_distance, probe_fwhm
from ptycho.scan.raw_data import RawData
from ptycho.settings.base import from_mapping
from ptycho.settings.groups import GroupsSettings
from ptycho.settings.shared import SelectionSettings

log = logging.getLogger(__name__)

Selection = TypeVar("Selection", bound=SelectionSettings)


def groups(scan: RawData, /, **settings: Any) -> Groups:
    """Return a sample of the groups of a scan and what it covers.

    Args:
        scan: its positions are grouped.
        **settings: any setting of `ptycho groups` by name, such as gridsize, n_images, sampling,
            neighbor_count, seed.

    Raises:
        ConfigError: If a setting is unknown or has a wrong value.
        GroupingError: If the scan cannot form such groups.
    """
    chosen = from_mapping(GroupsSettings, settings, where="ptycho.groups")
    return groups_of(scan, chosen, choose_groups(scan, chosen, chosen.gridsize))


def groups_of(scan: RawData, settings: SelectionSettings, members: Members) -> Groups:
    """Return chosen groups with what they cover."""
    return Groups(
        members=members,
        coverage=coverage_of(scan, members),
        positions=scan.positions,
        sampling=settings.sampling,
    )


def choose_groups(raw: RawData, settings: SelectionSettings, gridsize: int) -> Members:
    """Return the groups to work on: frame indices, one row per group.

    Args:
        raw: the scan.
        settings: n_images, neighbor_count, limits, sampling, seed and cache.
        gridsize: a group has gridsize^2 members.

    Raises:
        GroupingError: If the scan cannot form such groups.
    """
    return raw.select_groups(
        settings.n_images,
        rule_of(raw, settings, gridsize),
        seed=settings.seed,
        sampling=settings.sampling,
        use_cache=settings.cache,
        cache_dir=settings.cache_dir,
        probe_diameter=probe_diameter(raw),
    )


def all_groups_of(raw: RawData, settings: GroupsSettings) -> GroupTable:
    """Return the neighbors of all positions of a scan and, from the cache, all its groups."""
    rule = rule_of(raw, settings, settings.gridsize)
    place = CachePlace.of(raw.path, settings.cache_dir) if settings.cache else None
    return find_groups(raw.xcoords, raw.ycoords, rule, scan_index=raw.scan_index, cache=place)


def in_user_cache(settings: Selection, raw: RawData) -> Selection:
    """Return the settings with the groups cache in the user's cache folder.

    A reconstruction leaves the folder of a scan as it is, unless a training has already written a
    groups cache there; then that one is used.
    """
    if raw.path is None or settings.cache_dir is not None or not settings.cache:
        return settings
    stem = raw.path.name.removesuffix(".npz")
    if any(raw.path.parent.glob(f"{escape(stem)}.g*.groups_cache.npz")):
        return settings
    return replace(settings, cache_dir=CachePlace(dataset=raw.path).user_folder)


def probe_diameter(raw: RawData) -> float:
    """Return the full width at half maximum of the scan's probe, object pixels."""
    return probe_fwhm(torch.from_numpy(np.array(raw.probe, dtype=np.complex64)))


def rule_of(raw: RawData, settings: SelectionSettings, gridsize: int) -> GroupRule:
    """Return the rule of a valid group that the settings state.

    Args:
        raw: its probe turns an overlap into a distance.
        settings: neighbor_count, min_overlap or max_distance, min_distance, metric.
        gridsize: a group has gridsize^2 members; 1 has no further rule.
    """
    if gridsize == 1:
        return GroupRule(gridsize=1)
    largest = settings.max_distance
    if settings.min_overlap is not None:
        diameter = probe_diameter(raw)
        largest = largest_pair_distance(diameter, settings.min_overlap)
        log.info(
            "min_overlap %g: max_distance %.4g px, probe diameter %.4g px",
            settings.min_overlap, largest, diameter,
        )  # fmt: skip
    return GroupRule(
        gridsize=gridsize, K=settings.neighbor_count, max_distance=largest,
        min_distance=settings.min_distance, metric=settings.metric,
    )  # fmt: skip


def coverage_of(raw: RawData, members: Members) -> Coverage:
    """Return what groups use of a scan; overlaps are relative to the probe diameter."""
    return summarise(raw.xcoords, raw.ycoords, members, probe_diameter=probe_diameter(raw))


def neighbours_used(gridsize: int, neighbor_count: int | None) -> int:
    """Return the number K of neighbors a run uses; 0 at gridsize 1, where there are no groups."""
    if gridsize == 1:
        return 0
    return neighbor_count or default_neighbor_count(gridsize)
