"""`ptycho cache`: list, verify or clear the files that keep the groups of scans.

Data flow: files -> [log]. Nothing but groups caches is ever touched.
"""

import logging
from pathlib import Path

import platformdirs

from ptycho.errors import DataError
from ptycho.grouping.cache_inspection import CachedGroups, clear_cached, inspect_cached, scan_of
from ptycho.scan.raw_data import RawData
from ptycho.settings.cache import CacheConfig

log = logging.getLogger(__name__)

_PATTERN = "*.groups_cache.npz"


def run(config: CacheConfig) -> None:
    """Do one thing to every groups cache next to the scans and in the user's cache folder.

    Raises:
        DataError: If `verify` found a file that is not what its scan needs.
    """
    if config.folder.is_dir():
        found = sorted(config.folder.glob(_PATTERN))
        found += sorted(platformdirs.user_cache_path("ptycho").glob("*/" + _PATTERN))
    else:
        nearby = sorted(config.folder.parent.glob(_PATTERN))
        found = [path for path in nearby if scan_of(path).name == config.folder.name]
    bad = 0
    for path in found:
        if config.action == "clear":
            log.info("%s: removed, %.1f MB", path, clear_cached(path) / 1e6)
            continue
        cached = inspect_cached(path)
        fault = cached.fault
        if config.action == "verify" and fault is None:
            fault = _against_scan(path, cached)
        bad += fault is not None
        log.info("%s", cached.sentence() if fault is None else f"{path}: {fault}")
    log.info("%d groups cache%s in %s", len(found), "s" * (len(found) != 1), config.folder)
    if bad and config.action == "verify":
        raise DataError(
            f"{config.folder}: {bad} of {len(found)} groups caches unfit; expected files that "
            "match their scans; `ptycho cache clear` removes them"
        )


def _against_scan(path: Path, cached: CachedGroups) -> str | None:
    """Return how a file differs from what its scan needs; None when it is right."""
    scan = scan_of(path)
    if not scan.exists():
        return f"its scan {scan.name} is not there; expected it next to the file"
    raw = RawData.from_file(scan)
    return cached.compare(raw.xcoords, raw.ycoords, raw.scan_index)
