"""Scan positions -> groups of overlapping positions, as indices.

Data flow: file -> RawData -> [groups] -> batches -> ... -> report.
Knows positions only: no frames, no files, no networks.

Read in this order: rule (what makes a group valid), neighbours (axes: the unit of distance),
enumerate (all valid groups; limits: how many the distance limits exclude), sample (some of them;
pairs, shuffle, on_demand, balanced and exchange serve it), coverage (what a sample covers), split
and parts (training, validation and test without leakage), halves (two halves of a scan), cache (all
groups on disk; cache_file, cache_inspection), compiled (the same for large scans; compiled_table,
kernels). Importing this package imports none of them: settings need the names of the samplers only.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ptycho.tables import Row, Table

if TYPE_CHECKING:
    from ptycho.grouping.axes import axis_ratio
    from ptycho.grouping.coverage import Coverage, summarise
    from ptycho.grouping.enumerate import all_groups, count_groups, sample_rows
    from ptycho.grouping.halves import balanced_halves
    from ptycho.grouping.neighbours import get_neighbor_indices
    from ptycho.grouping.parts import Parts, folds, split_parts
    from ptycho.grouping.rule import GroupRule, default_neighbor_count
    from ptycho.grouping.sample import Sampler, sample_groups
    from ptycho.grouping.split import Split, split_groups

__all__ = [
    "SAMPLERS",
    "Coverage",
    "GroupRule",
    "Parts",
    "Sampler",
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
    "summarise",
]

_HOMES = {
    "axes": ("axis_ratio",),
    "coverage": ("Coverage", "summarise"),
    "enumerate": ("all_groups", "count_groups", "sample_rows"),
    "halves": ("balanced_halves",),
    "neighbours": ("get_neighbor_indices",),
    "parts": ("Parts", "folds", "split_parts"),
    "rule": ("GroupRule", "default_neighbor_count"),
    "sample": ("Sampler", "sample_groups"),
    "split": ("Split", "split_groups"),
}

SAMPLERS: "Table[type[Sampler]]" = Table(
    "sampling",
    {
        "uniform": Row("ptycho.grouping.sample:Uniform", "each valid group equally likely"),
        "balanced": Row("ptycho.grouping.sample:Balanced", "positions used as evenly as possible"),
        "sequential": Row("ptycho.grouping.sample:Sequential", "the first positions as seeds"),
    },
)
"""Methods that choose some of the valid groups. Flags, `ptycho groups` and the page of a run follow
from this table; a further row is an assignment: `SAMPLERS["mine"] = Mine`, a `Sampler`."""


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first used."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"ptycho.grouping.{module}"), name)
    raise AttributeError(f"module 'ptycho.grouping' has no attribute {name!r}")
