"""What a groups cache file holds, and whether it answers a request.

Data flow: file -> RawData -> [groups on disk] -> ...
Knows positions and the entries of one file: no frames, no places on disk.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int, Int32, Shaped

from ptycho.grouping.neighbours import (
    Neighbourhood,
    checked_positions,
    find_neighbourhood,
    ratio_of,
    scan_labels,
)
from ptycho.grouping.rule import GroupRule
from ptycho.io.npz import NpzFile

FORMAT_VERSION = 1
DEFINITION = (
    "a seed and gridsize^2 - 1 of its K nearest neighbours, ties by (squared distance, index), "
    "each set once, members and rows sorted"
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Request:
    """Positions and a rule, checked: all that the groups depend on."""

    x: Float64[np.ndarray, " position"]
    y: Float64[np.ndarray, " position"]
    scan: Int[np.ndarray, " position"]
    rule: GroupRule
    """With the K that the scan allows."""

    @classmethod
    def of(
        cls,
        x: Shaped[np.ndarray, "..."],
        y: Shaped[np.ndarray, "..."],
        rule: GroupRule,
        scan_index: Shaped[np.ndarray, "..."] | None,
    ) -> "Request":
        """Check positions and rule; GroupingError as `find_neighbourhood`."""
        x, y = checked_positions(x, y)
        scan = scan_labels(scan_index, len(x))
        return cls(x=x, y=y, scan=scan, rule=rule.for_scan(int(np.bincount(scan).max())))

    def checksum(self) -> str:
        """Return a digest of everything the groups depend on, the same on every machine."""
        rule = self.rule
        largest = None if rule.max_distance is None else float(rule.max_distance)
        items: dict[str, int | float | str | None] = {
            "gridsize": int(rule.gridsize),
            "K": rule.k,
            "max_distance": largest,
            "min_distance": float(rule.min_distance),
        }
        if rule.metric != "pixels":  # files without the entry are of pixels
            items["metric"] = rule.metric
        digest = hashlib.blake2b(DEFINITION.encode(), digest_size=32)
        digest.update(repr(sorted(items.items())).encode())
        for array, kind in ((self.x, "<f8"), (self.y, "<f8"), (self.scan, "<i8")):
            digest.update(f"{kind}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array, kind).data)
        return digest.hexdigest()

    def neighbourhood(self, neighbours: Int32[np.ndarray, "..."] | None = None) -> Neighbourhood:
        """Return the neighbours of all positions, those given or else found now."""
        if neighbours is None:
            scan = self.scan if self.scan.any() else None
            return find_neighbourhood(self.x, self.y, self.rule, scan_index=scan)
        return Neighbourhood(
            x=self.x, y=self.y, scan=self.scan, neighbours=neighbours, rule=self.rule,
            ratio=ratio_of(self.rule.metric, self.x, self.y),
        )  # fmt: skip


def contents(
    request: Request, neighbourhood: Neighbourhood, groups: Int32[np.ndarray, "group member"]
) -> dict[str, np.ndarray]:
    """Return the entries of the file."""
    return {
        "all_groups": groups,
        "dataset_checksum": np.array(request.checksum()),
        "format_version": np.array(FORMAT_VERSION),
        **{name: np.array(value) for name, value in _described(request.rule).items()},
        "neighbours": neighbourhood.neighbours,
        "content_digest": np.array(content_digest(neighbourhood.neighbours, groups)),
    }


def _described(rule: GroupRule) -> dict[str, int | float | str]:
    """Return the rule of the groups as the file states it."""
    return {
        "gridsize": rule.gridsize,
        "overlap_factor": float(rule.k),
        "max_distance": np.inf if rule.max_distance is None else float(rule.max_distance),
        "min_distance": float(rule.min_distance),
        "metric": rule.metric,
        "definition": DEFINITION,
    }


def stated_rule(file: NpzFile) -> GroupRule:
    """Return the rule that a cache file states; any of `UNREADABLE` or KeyError if it is damaged.

    Raises:
        GroupingError: If the rule is impossible.
    """
    largest = float(file["max_distance"])
    return GroupRule(
        gridsize=int(file["gridsize"]),
        K=int(file["overlap_factor"]),
        max_distance=None if np.isinf(largest) else largest,
        min_distance=float(file["min_distance"]),
        metric=str(file["metric"]) if "metric" in file else "pixels",
    )


def unfit(file: NpzFile, request: Request) -> str | None:
    """Return why the file does not answer the request, or None."""
    if "format_version" not in file:
        historic = {"all_groups", "dataset_checksum"} <= set(file)
        return "historic format, which lists only some groups" if historic else "foreign file"
    if file["format_version"] != FORMAT_VERSION:
        return f"format version {file['format_version']}, expected {FORMAT_VERSION}"
    missing = {"all_groups", "dataset_checksum", "neighbours"} - set(file)
    if missing:
        return f"{', '.join(sorted(missing))} missing"
    if str(file["dataset_checksum"]) == request.checksum():
        return None
    differs = [
        name
        for name, value in _described(request.rule).items()
        if (name not in file and name != "metric") or (name in file and file[name] != value)
    ]
    return f"made for another {', '.join(differs)}" if differs else "positions changed"


def implausible(neighbours: np.ndarray, groups: np.ndarray, request: Request) -> str | None:
    """Return what cannot be right in arrays whose checksum fits, or None."""
    n_positions = len(request.x)
    if (
        neighbours.dtype != np.int32
        or neighbours.shape != (n_positions, request.rule.k)
        or groups.dtype != np.int32
        or groups.shape[1:] != (request.rule.group_size,)
    ):
        return "file damaged: arrays of the wrong shape or type"
    for array in (neighbours, groups[:1000], groups[-1000:]):
        if array.size and not -1 <= array.min() <= array.max() < n_positions:
            return "file damaged: indices outside the scan"
    return None


def content_digest(*arrays: Int32[np.ndarray, "..."]) -> str:
    """Return the SHA-256 of arrays, the same on every machine.

    SHA-256, because processors compute it: 7 ms for the 476,000 groups of 10,000 positions, which
    take a second to find.
    """
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array, "<i4").data)
    return digest.hexdigest()


def altered(file: NpzFile, neighbours: np.ndarray, groups: np.ndarray) -> str | None:
    """Return how the arrays differ from those that were written, or None."""
    if "content_digest" not in file:
        return "no digest of its content, written by an older version"
    same = str(file["content_digest"]) == content_digest(neighbours, groups)
    return None if same else "file damaged: content differs from what was written"
