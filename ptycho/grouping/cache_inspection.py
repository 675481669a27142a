"""The groups caches on disk: what each holds, and whether it is correct.

Data flow: file -> RawData -> [groups on disk] -> ...
Knows positions and file names: no frames, no networks.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from ptycho.errors import GroupingError
from ptycho.grouping.cache import size_words
from ptycho.grouping.cache_file import FORMAT_VERSION, Request, implausible, stated_rule, unfit
from ptycho.grouping.enumerate import tabulate
from ptycho.grouping.rule import GroupRule
from ptycho.io.npz import UNREADABLE, NpzFile, reason


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedGroups:
    """What a groups cache states."""

    path: Path
    """The file."""

    n_bytes: int
    """Its size."""

    n_groups: int = 0
    """Groups in it."""

    rule: GroupRule | None = None
    """The rule of its groups; None if there is a fault."""

    fault: str | None = None
    """Why it cannot be used; None if it can."""

    def sentence(self) -> str:
        """Return the file in one line."""
        if self.rule is None:
            return f"{self.path}: {self.fault}, {size_words(self.n_bytes)}"
        rule = self.rule
        words = [f"gridsize {rule.gridsize}", f"K {rule.k}"]
        if rule.max_distance is not None:
            words.append(f"max_distance {rule.max_distance:.6g} px")
        if rule.min_distance:
            words.append(f"min_distance {rule.min_distance:.6g} px")
        if rule.metric != "pixels":
            words.append(f"metric {rule.metric}")
        words.append(size_words(self.n_bytes))
        return f"{self.path}: {self.n_groups:,} groups, {', '.join(words)}"

    def compare(
        self,
        x: Shaped[np.ndarray, "..."],
        y: Shaped[np.ndarray, "..."],
        scan_index: Shaped[np.ndarray, "..."] | None,
    ) -> str | None:
        """Return how the file differs from the recomputed groups of a scan; None if it does not.

        Args:
            x: Column of each position, pixels.
            y: Row of each position, pixels.
            scan_index: Scan number of each position.

        Raises:
            GroupingError: If the positions cannot form groups.
        """
        if self.rule is None:
            return self.fault
        request = Request.of(x, y, self.rule, scan_index)
        file = NpzFile(self.path)
        fault = unfit(file, request)
        if fault is not None:
            return fault
        neighbours, groups = file.read("neighbours"), file["all_groups"]
        fault = implausible(neighbours, groups, request)
        if fault is not None:
            return fault
        found = request.neighbourhood()
        if not np.array_equal(neighbours, found.neighbours):
            return "file damaged: neighbours differ from those of the scan"
        same = np.array_equal(groups, tabulate(found, max_bytes=2 * groups.nbytes + 2**20))
        return None if same else "file damaged: groups differ from those of the scan"


def scan_of(path: Path) -> Path:
    """Return the scan file that a groups cache is named after, by its name alone.

    The name of a cache drops the ending .npz of its scan and keeps any other.
    """
    stem = re.sub(r"\.g\d+k\d+(?!.*\.g\d+k\d+).*\.groups_cache\.npz$", "", path.name)
    whole = path.with_name(stem)
    return whole if whole.is_file() else path.with_name(f"{stem}.npz")


def inspect_cached(path: Path) -> CachedGroups:
    """Return what a groups cache states; a bad file is no error but has a fault."""
    n_bytes = path.stat().st_size
    try:
        file = NpzFile(path)
        if "format_version" not in file or file["format_version"] != FORMAT_VERSION:
            fault = "another format; it will be replaced when needed"
            return CachedGroups(path=path, n_bytes=n_bytes, fault=fault)
        rule, n_groups = stated_rule(file), len(file["all_groups"])
    except (*UNREADABLE, KeyError, GroupingError) as problem:
        fault = f"file damaged or unreadable: {reason(problem)}"
        return CachedGroups(path=path, n_bytes=n_bytes, fault=fault)
    return CachedGroups(path=path, n_bytes=n_bytes, n_groups=n_groups, rule=rule)


def clear_cached(path: Path) -> int:
    """Remove a groups cache; return its size in bytes."""
    n_bytes = path.stat().st_size
    path.unlink()
    return n_bytes
