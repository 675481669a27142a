"""All valid groups of a scan, kept on disk next to it.

Data flow: file -> RawData -> [groups] -> batches -> ... -> report.
Knows positions and one file name: no frames, no networks.

The file `<dataset stem>.g{gridsize}k{K}.groups_cache.npz` saves the search for neighbours and the
listing of the groups in later runs. It is never required: if it cannot be used, the groups are
recomputed and the log gives the reason. A sample of groups is the same with and without it.
"""

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

from ptycho.grouping.cache_file import Request, altered, contents, implausible, unfit
from ptycho.grouping.enumerate import tabulate
from ptycho.grouping.neighbours import Neighbourhood
from ptycho.grouping.rule import GroupRule
from ptycho.io.npz import UNREADABLE, NpzFile, reason, write_npz
from ptycho.locking import acquire

logger = logging.getLogger(__name__)

WARN_BYTES = 100_000_000
LARGEST_BYTES = 400_000_000
"""Larger tables are not built for the cache; samples do not need them."""

_LOCK_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroupTable:
    """The neighbours of a scan and, up to a size limit, all its valid groups."""

    neighbourhood: Neighbourhood
    """Neighbour lists, from which groups are sampled."""

    groups: Int32[np.ndarray, "group member"] | None
    """Every valid group, possibly mapped from the file; None above the size limit."""

    path: Path | None = None
    """The cache file of the groups; None if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePlace:
    """Where the groups of a dataset are cached."""

    dataset: Path
    """File of the scan; the cache takes its name and, by default, its folder."""

    folder: Path | None = None
    """Folder of the cache instead of the dataset's."""

    @classmethod
    def of(cls, dataset: Path | str | None, folder: Path | None = None) -> "CachePlace | None":
        """Return the place for a dataset; None if it has no file."""
        return None if dataset is None else cls(dataset=Path(dataset), folder=folder)

    def paths(self, rule: GroupRule) -> list[Path]:
        """Return the files that may hold the groups of a rule, the preferred one first."""
        stem = self.dataset.name.removesuffix(".npz")
        name = f"{stem}.g{rule.gridsize}k{rule.k}{_limits_in_name(rule)}.groups_cache.npz"
        if self.folder is not None:
            return [self.folder / name]
        return [self.dataset.parent / name, self.user_folder / name]

    @property
    def user_folder(self) -> Path:
        """Folder inside the user's cache, for datasets in folders that cannot be written.

        Datasets of equal name in different folders do not share it.
        """
        home = str(self.dataset.resolve().parent).encode()
        return (
            platformdirs.user_cache_path("ptycho")
            / hashlib.blake2b(home, digest_size=6).hexdigest()
        )


def find_groups(
    x: Shaped[np.ndarray, "..."],
    y: Shaped[np.ndarray, "..."],
    rule: GroupRule,
    *,
    scan_index: Shaped[np.ndarray, "..."] | None = None,
    cache: CachePlace | None = None,
) -> GroupTable:
    """Return the neighbours and groups of a scan, from the cache where it holds them.

    Args:
        x: Column of each position, pixels.
        y: Row of each position, pixels.
        rule: What makes a group valid.
        scan_index: Scan number of each position; groups never mix scans.
        cache: Where to read and write the groups; None for no file.

    Returns:
        The neighbours; and all groups if a cache is used and they are few enough.

    Raises:
        GroupingError: See `find_neighbourhood`; a fault of the cache file raises nothing.
    """
    request = Request.of(x, y, rule, scan_index)
    if cache is None:
        return GroupTable(neighbourhood=request.neighbourhood(), groups=None)
    paths = cache.paths(request.rule)
    for path in paths:
        found = _read(path, request)
        if found is not None:
            return found
    return _create(paths, request)


def _limits_in_name(rule: GroupRule) -> str:
    """Return a part of the file's name for each limit, so that runs with and without share none."""
    largest, smallest = rule.max_distance, rule.min_distance
    parts = ["" if largest is None else f"d{largest:.6g}", f"m{smallest:.6g}" if smallest else ""]
    return "".join([*parts, "steps" if rule.metric == "steps" else ""])


def _create(paths: list[Path], request: Request) -> GroupTable:
    """Find the groups and write them to the first place that can be written."""
    for path in paths:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with _only_writer(path):
                # Another process may have written the file while this one waited.
                found = _read(path, request, quiet=True) if path.exists() else None
                return found or _build_and_write(path, request)
        except OSError as problem:
            logger.warning("groups cache: cannot write to %s (%s)", path.parent, reason(problem))
    logger.warning("groups cache: could not be written; the next run will recompute the groups")
    return GroupTable(neighbourhood=request.neighbourhood(), groups=None)


def _build_and_write(path: Path, request: Request) -> GroupTable:
    start = time.perf_counter()
    neighbourhood = request.neighbourhood()
    most = int(neighbourhood.raw_counts().sum())
    n_bytes = most * 4 * neighbourhood.group_size
    if n_bytes > LARGEST_BYTES:
        logger.warning(
            "groups cache: not written; up to %s groups need %s, the limit is %s; a lower K makes "
            "it smaller; sampling does not need it",
            f"{most:,}", size_words(n_bytes), size_words(LARGEST_BYTES),
        )  # fmt: skip
        return GroupTable(neighbourhood=neighbourhood, groups=None)
    groups = tabulate(neighbourhood)
    write_npz(path, contents(request, neighbourhood, groups))
    logger.log(
        logging.WARNING if groups.nbytes > WARN_BYTES else logging.INFO,
        "groups cache created: %s (%s groups, %s, %.2f s, one-time cost)",
        path, f"{len(groups):,}", size_words(path.stat().st_size), time.perf_counter() - start,
    )  # fmt: skip
    return GroupTable(neighbourhood=neighbourhood, groups=groups, path=path)


def _read(path: Path, request: Request, *, quiet: bool = False) -> GroupTable | None:
    """Return the groups of a cache file, or None and log why it cannot be used."""
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
            logger.warning("groups cache not used: %s (%s); recomputing the groups", path, fault)
        return None
    logger.info(
        "groups cache used: %s (%s groups, %s, read in %.4f s)",
        path, f"{len(groups):,}", size_words(path.stat().st_size), time.perf_counter() - start,
    )  # fmt: skip
    return GroupTable(neighbourhood=request.neighbourhood(neighbours), groups=groups, path=path)


@contextmanager
def _only_writer(path: Path) -> Iterator[None]:
    """Keep other processes from computing the same groups at the same time."""
    lock = filelock.FileLock(path.with_name(f".{path.name}.lock"), timeout=_LOCK_TIMEOUT_S)
    try:
        missing = acquire(lock)
    except filelock.Timeout as problem:
        missing = str(problem)
    if missing is not None:
        # The file is moved into place whole, so two writers only waste work.
        logger.warning("groups cache: no lock (%s); continuing without it", missing)
    try:
        yield
    finally:
        if lock.is_locked:
            with suppress(OSError):  # Windows removes no open file; it may stay
                Path(lock.lock_file).unlink()
            lock.release()


def size_words(n_bytes: int) -> str:
    """Return a number of bytes for a message."""
    return f"{n_bytes / 1e6:,.1f} MB" if n_bytes < 1e9 else f"{n_bytes / 1e9:,.1f} GB"
