"""Scan positions -> groups of overlapping positions, as indices.

Way of the data: file -> RawData -> [groups] -> batches -> ... -> report.
Knows positions only: no frames, no files, no networks.

Read in this order: neighbours (who is near whom; axes: in which unit), enumerate (all valid
groups; limits: those that distance limits drop), sample (some of them; deck, shuffle, on_demand and
balanced serve it), coverage (what a choice covers), split and parts (training, validation, test
without a leak), halves (to see whether they agree).
"""

from ptycho.grouping.axes import axis_ratio
from ptycho.grouping.coverage import Coverage, summarise
from ptycho.grouping.enumerate import all_groups, count_groups, sample_rows
from ptycho.grouping.halves import balanced_halves
from ptycho.grouping.neighbours import default_neighbor_count, get_neighbor_indices
from ptycho.grouping.parts import Parts, folds, split_parts
from ptycho.grouping.sample import Sampling, sample_groups
from ptycho.grouping.split import Split, split_groups, split_positions

__all__ = [
    "Coverage",
    "Parts",
    "Sampling",
    "Split",
    "all_groups",
    "axis_ratio",
    "balanced_halves",
    "count_groups",
    "default_neighbor_count",
    "folds",
    "get_neighbor_indices",
    "sample_groups",
    "sample_rows",
    "split_groups",
    "split_parts",
    "split_positions",
    "summarise",
]
