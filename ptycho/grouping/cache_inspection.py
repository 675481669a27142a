"""The groups caches that lie on disk: what each holds, and whether it is right.

Way of the data: file -> RawData -> [groups on disk] -> ...
Knows positions and file names: no frames, no networks.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from ptycho.grouping.cache import FORMAT_VERSION, Request, implausible, size_words, unfit
from ptycho.grouping.enumerate import tabulate
from ptycho.grouping.neighbours import checked_positions, find_neighbourhood, scan_labels
from ptycho.io.npz import UNREADABLE, NpzFile, reason


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedGroups:
    """What a groups cache says of itself."""

    path: Path
    """The file."""

    n_bytes: int
    """Its size."""

    n_groups: int = 0
    """Groups in it."""

    rule: dict[str, Any] | None = None
    """gridsize, K, max_distance, min_distance and, when not pixels, metric."""

    fault: str | None = None
    """Why it cannot be used, None when it can."""

    def sentence(self) -> str:
        """Return the file in one line."""
        rule = self.rule or {}
        limits = [
            f"max_distance {rule['max_distance']:.6g} px" if rule.get("max_distance") else "",
            f"min_distance {rule['min_distance']:.6g} px" if rule.get("min_distance") else "",
            "nearness in steps" if "metric" in rule else "",
        ]
        words = ", ".join(
            [f"gridsize {rule['gridsize']}, K {rule['K']}", *(word for word in limits if word)]
        )
        return f"{self.path}: {self.n_groups:,} groups, {words}, {size_words(self.n_bytes)}"

    def compare(
        self,
        x: Shaped[np.ndarray, "..."],
        y: Shaped[np.ndarray, "..."],
        scan_index: Shaped[np.ndarray, "..."] | None,
    ) -> str | None:
        """Return how the file differs from the groups of a scan, found anew; None when it is right.

        Args:
            x: Column of each position, pixels.
            y: Row of each position, pixels.
            scan_index: Scan number of each position.

        Raises:
            GroupingError: When the positions cannot form groups.
        """
        x, y = checked_positions(x, y)
        request = Request(x=x, y=y, scan=scan_labels(scan_index, len(x)), rule=self.rule)
        file = NpzFile(self.path)
        fault = unfit(file, request)
        if fault is None:
            neighbours, groups = file.read("neighbours"), file["all_groups"]
            fault = implausible(neighbours, groups, request)
        if fault is not None:
            return fault
        found = find_neighbourhood(x, y, scan_index=scan_index, **self.rule)
        if not np.array_equal(neighbours, found.neighbours):
            return "file damaged: other neighbours than the scan has"
        same = np.array_equal(groups, tabulate(found, max_bytes=2 * groups.nbytes + 2**20))
        return None if same else "file damaged: other groups than the scan has"


def scan_of(path: Path) -> Path:
    """Return the scan file that a groups cache is named after, by its name alone.

    The name of a cache drops the ending .npz of its scan and keeps any other.
    """
    stem = re.sub(r"\.g\d+k\d+(?!.*\.g\d+k\d+).*\.groups_cache\.npz$", "", path.name)
    whole = path.with_name(stem)
    return whole if whole.is_file() else path.with_name(f"{stem}.npz")


def inspect_cached(path: Path) -> CachedGroups:
    """Return what a groups cache says of itself; a bad file is no error but has a fault."""
    n_bytes = path.stat().st_size
    try:
        file = NpzFile(path)
        if "format_version" not in file or file["format_version"] != FORMAT_VERSION:
            fault = "another format; it will be made anew when needed"
            return CachedGroups(path=path, n_bytes=n_bytes, fault=fault)
        largest = float(file["max_distance"])
        rule = {
            "gridsize": int(file["gridsize"]),
            "K": int(file["overlap_factor"]),
            "max_distance": None if np.isinf(largest) else largest,
            "min_distance": float(file["min_distance"]),
        }
        if "metric" in file and str(file["metric"]) != "pixels":
            rule["metric"] = str(file["metric"])
        n_groups = len(file["all_groups"])
    except UNREADABLE as problem:
        fault = f"file damaged or unreadable: {reason(problem)}"
        return CachedGroups(path=path, n_bytes=n_bytes, fault=fault)
    return CachedGroups(path=path, n_bytes=n_bytes, n_groups=n_groups, rule=rule)


def clear_cached(path: Path) -> int:
    """Remove a groups cache; return the bytes it took."""
    n_bytes = path.stat().st_size
    path.unlink()
    return n_bytes
