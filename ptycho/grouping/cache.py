"""All valid groups of a scan, kept on disk beside it.

Way of the data: file -> RawData -> [groups] -> batches -> ... -> report.
Knows positions and one file name: no frames, no networks.

The file `<dataset stem>.g{gridsize}k{K}.groups_cache.npz` saves the search for neighbours and the
listing of the groups in later runs. It is never needed: whatever is wrong with it, the groups are
found again and the log says why. A sample of groups is the same with and without it.
"""

import errno
import hashlib
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import filelock
import numpy as np
import platformdirs
from jaxtyping import Int32, Shaped

from ptycho.grouping.enumerate import tabulate
from ptycho.grouping.neighbours import (
    Neighbourhood,
    checked_neighbor_count,
    checked_positions,
    find_neighbourhood,
    ratio_of,
    scan_labels,
)
from ptycho.io.npz import UNREADABLE, NpzFile, reason, write_npz

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
DEFINITION = (
    "a seed and gridsize^2 - 1 of its K nearest neighbours, ties by (squared distance, index), "
    "each set once, members and rows sorted"
)
WARN_BYTES = 100_000_000
LARGEST_BYTES = 400_000_000
"""A larger table is not built for the cache; samples do not need it."""

_LOCK_PATIENCE_S = 120.0
_UNKNOWN_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # on network and FUSE folders


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroupTable:
    """The neighbours of a scan and, where they fit, all its valid groups."""

    neighbourhood: Neighbourhood
    """Neighbour lists; what sampling needs."""

    groups: Int32[np.ndarray, "group member"] | None
    """Every valid group, possibly mapped from the file; None above the size limit."""

    path: Path | None = None
    """The cache file the groups are in; None when there is none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Request:
    """What is asked for: checked positions and the rule of the groups."""

    x: np.ndarray
    y: np.ndarray
    scan: np.ndarray
    rule: dict

    def checksum(self) -> str:
        """Return a digest of everything the groups depend on, the same on every machine."""
        digest = hashlib.blake2b(DEFINITION.encode(), digest_size=32)
        digest.update(repr(sorted(self.rule.items())).encode())
        for array, kind in ((self.x, "<f8"), (self.y, "<f8"), (self.scan, "<i8")):
            digest.update(f"{kind}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array, kind))
        return digest.hexdigest()


def find_groups(
    x: Shaped[np.ndarray, "..."],
    y: Shaped[np.ndarray, "..."],
    *,
    gridsize: int,
    K: int | None = None,
    scan_index: Shaped[np.ndarray, "..."] | None = None,
    max_distance: float | None = None,
    min_distance: float = 0.0,
    metric: str = "pixels",
    dataset_path: Path | str | None = None,
    cache_dir: Path | str | None = None,
    use_cache: bool = True,
) -> GroupTable:
    """Return the neighbours and groups of a scan, from the cache where it holds them.

    Args:
        x: Column of each position, pixels.
        y: Row of each position, pixels.
        gridsize: Groups hold gridsize * gridsize positions.
        K: Neighbours a group may draw from; None for the default of the gridsize.
        scan_index: Scan number of each position.
        max_distance: Largest distance of two members, pixels; None for no limit.
        min_distance: Smallest distance of two members, pixels.
        metric: What is near, see `find_neighbourhood`.
        dataset_path: File of the scan, whose name and folder the cache takes; None for no cache.
        cache_dir: Folder for the cache instead of the dataset's.
        use_cache: Whether to read and write files at all.

    Returns:
        The neighbours; and all groups, unless neither a file nor a table is wanted.

    Raises:
        GroupingError: See `find_neighbourhood`; a fault of the cache file raises nothing.
    """
    x, y = checked_positions(x, y)
    scan = scan_labels(scan_index, len(x))
    k = checked_neighbor_count(gridsize, K, largest_scan=int(np.bincount(scan).max()))
    rule = {
        "gridsize": int(gridsize),
        "K": k,
        "max_distance": None if max_distance is None else float(max_distance),
        "min_distance": float(min_distance),
    }
    if metric != "pixels":  # a file without the word is one of pixels
        rule["metric"] = metric
    request = Request(x=x, y=y, scan=scan, rule=rule)
    if not use_cache or dataset_path is None:
        return GroupTable(neighbourhood=_neighbourhood(request), groups=None)
    paths = cache_paths(
        dataset_path, gridsize=gridsize, K=k, limits=_limits_in_name(rule), cache_dir=cache_dir
    )
    for path in paths:
        found = _read(path, request)
        if found is not None:
            return found
    return _create(paths, request)


def cache_paths(
    dataset_path: Path | str,
    *,
    gridsize: int,
    K: int,
    limits: str = "",
    cache_dir: Path | str | None = None,
) -> list[Path]:
    """Return where the cache of a dataset may lie, the preferred place first."""
    dataset_path = Path(dataset_path)
    stem = dataset_path.name.removesuffix(".npz")
    name = f"{stem}.g{gridsize}k{K}{limits}.groups_cache.npz"
    if cache_dir is not None:
        return [Path(cache_dir) / name]
    # Datasets of equal name in different folders must not share a file of the user's folder.
    folder = hashlib.blake2b(str(dataset_path.resolve().parent).encode(), digest_size=6).hexdigest()
    return [dataset_path.parent / name, platformdirs.user_cache_path("ptycho") / folder / name]


def _limits_in_name(rule) -> str:
    """Return a part of the file's name for each limit, so that runs with and without share none."""
    largest, smallest = rule["max_distance"], rule["min_distance"]
    parts = ["" if largest is None else f"d{largest:.6g}", f"m{smallest:.6g}" if smallest else ""]
    return "".join([*parts, "steps" if "metric" in rule else ""])


def _neighbourhood(request, neighbours=None) -> Neighbourhood:
    if neighbours is None:
        scan = request.scan if request.scan.any() else None
        return find_neighbourhood(request.x, request.y, scan_index=scan, **request.rule)
    limits = {name: request.rule[name] for name in ("gridsize", "max_distance", "min_distance")}
    return Neighbourhood(
        x=request.x, y=request.y, scan=request.scan, neighbours=neighbours, **limits,
        ratio=ratio_of(request.rule.get("metric", "pixels"), request.x, request.y),
    )  # fmt: skip


def _create(paths, request) -> GroupTable:
    """Find the groups and write them to the first of the places that can be written."""
    for path in paths:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with _only_writer(path):
                # Another process may have written the file while this one waited.
                found = _read(path, request, quiet=True) if path.exists() else None
                return found or _build_and_write(path, request)
        except OSError as problem:
            logger.warning("groups cache: cannot write to %s (%s)", path.parent, reason(problem))
    logger.warning("groups cache: none written; this run works without, the next searches again")
    return GroupTable(neighbourhood=_neighbourhood(request), groups=None)


def _build_and_write(path, request) -> GroupTable:
    start = time.perf_counter()
    neighbourhood = _neighbourhood(request)
    most = int(neighbourhood.raw_counts().sum())
    if most * 4 * neighbourhood.group_size > LARGEST_BYTES:
        logger.warning(
            "groups cache: not written; up to %s groups could take %s, the limit is %s; "
            "groups are sampled without it, a lower K makes it smaller",
            f"{most:,}", size_words(most * 4 * neighbourhood.group_size), size_words(LARGEST_BYTES),
        )  # fmt: skip
        return GroupTable(neighbourhood=neighbourhood, groups=None)
    groups = tabulate(neighbourhood)
    write_npz(path, _contents(request, neighbourhood, groups))
    logger.log(
        logging.WARNING if groups.nbytes > WARN_BYTES else logging.INFO,
        "groups cache created: %s (%s groups, %s, %.2f s, one-time cost)",
        path, f"{len(groups):,}", size_words(path.stat().st_size), time.perf_counter() - start,
    )  # fmt: skip
    return GroupTable(neighbourhood=neighbourhood, groups=groups, path=path)


def _contents(request, neighbourhood, groups) -> dict[str, np.ndarray]:
    return {
        "all_groups": groups,
        "dataset_checksum": np.array(request.checksum()),
        "format_version": np.array(FORMAT_VERSION),
        **{name: np.array(value) for name, value in _described(request).items()},
        "neighbours": neighbourhood.neighbours,
        "content_digest": np.array(content_digest(neighbourhood.neighbours, groups)),
    }


def _described(request) -> dict[str, int | float | str]:
    """Return the rule of the groups as the file states it."""
    largest = request.rule["max_distance"]
    return {
        "gridsize": request.rule["gridsize"],
        "overlap_factor": float(request.rule["K"]),
        "max_distance": np.inf if largest is None else largest,
        "min_distance": request.rule["min_distance"],
        "metric": request.rule.get("metric", "pixels"),
        "definition": DEFINITION,
    }


def _read(path, request, *, quiet=False) -> GroupTable | None:
    """Return the groups of a cache file, or None, having said why it cannot be used."""
    start = time.perf_counter()
    try:
        file = NpzFile(path)
        fault = unfit(file, request)
        if fault is None:
            neighbours, groups = file.read("neighbours"), file["all_groups"]
            fault = implausible(neighbours, groups, request) or altered(file, neighbours, groups)
    except FileNotFoundError:
        return None
    except UNREADABLE as problem:
        fault = f"file damaged or unreadable: {reason(problem)}"
    if fault is not None:
        if not quiet:
            logger.warning("groups cache not used: %s (%s); finding the groups anew", path, fault)
        return None
    logger.info(
        "groups cache used: %s (%s groups, %s, read in %.4f s)",
        path, f"{len(groups):,}", size_words(path.stat().st_size), time.perf_counter() - start,
    )  # fmt: skip
    return GroupTable(neighbourhood=_neighbourhood(request, neighbours), groups=groups, path=path)


def unfit(file, request) -> str | None:
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
        for name, value in _described(request).items()
        if (name not in file and name != "metric") or (name in file and file[name] != value)
    ]
    return f"made for another {', '.join(differs)}" if differs else "positions changed"


def implausible(neighbours, groups, request) -> str | None:
    """Return what cannot be right in arrays whose checksum fits, or None."""
    n_positions, size = len(request.x), request.rule["gridsize"] ** 2
    if (
        neighbours.dtype != np.int32
        or neighbours.shape != (n_positions, request.rule["K"])
        or groups.dtype != np.int32
        or groups.shape[1:] != (size,)
    ):
        return "file damaged: arrays of the wrong shape or type"
    for array in (neighbours, groups[:1000], groups[-1000:]):
        if array.size and not -1 <= array.min() <= array.max() < n_positions:
            return "file damaged: indices outside the scan"
    return None


def content_digest(*arrays: np.ndarray) -> str:
    """Return the SHA-256 of arrays of int32, the same on every machine.

    SHA-256, because processors compute it: 7 ms for the 476,000 groups of 10,000 positions, which
    take a second to find.
    """
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array, "<i4"))
    return digest.hexdigest()


def altered(file: NpzFile, neighbours: np.ndarray, groups: np.ndarray) -> str | None:
    """Return how the arrays differ from those that were written, or None."""
    if "content_digest" not in file:
        return "no digest of its content, written by an older version"
    same = str(file["content_digest"]) == content_digest(neighbours, groups)
    return None if same else "file damaged: other content than was written"


@contextmanager
def _only_writer(path) -> Iterator[None]:
    """Keep other processes from finding the same groups at the same time."""
    lock = filelock.FileLock(path.with_name(f".{path.name}.lock"), timeout=_LOCK_PATIENCE_S)
    try:
        lock.acquire()
    except (OSError, NotImplementedError) as problem:
        # A folder that cannot be written is for the caller, who knows another one.
        if not _without_locks(problem):
            raise
        # The file is moved into place whole, so two writers waste work and harm nothing.
        logger.warning("groups cache: no lock (%s); going on without it", problem)
    try:
        yield
    finally:
        if lock.is_locked:
            with suppress(OSError):  # Windows removes no file that is open; it may lie there
                Path(lock.lock_file).unlink()
            lock.release()


def _without_locks(problem: Exception) -> bool:
    """Return whether a lock is held by another for too long, or unknown to the file system."""
    unknown = isinstance(problem, NotImplementedError) or problem.errno in _UNKNOWN_LOCKS
    return unknown or isinstance(problem, filelock.Timeout)


def size_words(n_bytes: int) -> str:
    """Return a number of bytes for a message."""
    return f"{n_bytes / 1e6:,.1f} MB" if n_bytes < 1e9 else f"{n_bytes / 1e9:,.1f} GB"
