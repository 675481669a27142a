"""What the chosen groups cover, written beside every run: coverage.json and groups.png.

Way of the data: file -> RawData -> groups -> [report].
"""

import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np

from ptycho.api.components import Groups, probe_diameter
from ptycho.grouping import Coverage, Parts, Split, summarise
from ptycho.report.group_figure import save_groups
from ptycho.scan.raw_data import RawData

log = logging.getLogger(__name__)

COVERAGE_FILE, PICTURE_FILE = "coverage.json", "groups.png"
TEST_FILE = "test_groups.npy"


def coverage_of(raw: RawData, groups: Groups) -> Coverage:
    """Return what groups use of a scan, overlaps measured in its probe's diameter."""
    return summarise(raw.xcoords, raw.ycoords, groups, probe_diameter=probe_diameter(raw))


def save_coverage(
    folder: Path,
    raw: RawData,
    groups: Groups,
    *,
    coverage: Coverage | None = None,
    split: Split | Parts | None = None,
    **more: Any,
) -> None:
    """Write the numbers and the picture into the folder of a run.

    Args:
        folder: made when missing.
        raw: the scan.
        groups: frame indices, one row per group.
        coverage: the numbers, when they are known already.
        split: which of the groups train and which watch.
        **more: further entries of the JSON file.

    Raises:
        OSError: If the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    coverage = coverage or coverage_of(raw, groups)
    document = {"paragraph": coverage.paragraph(), **coverage.as_dict(), **more}
    if split is not None:
        document["split"] = split.as_dict()
    half_written = folder / f".{COVERAGE_FILE}.{os.getpid()}"
    half_written.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    os.replace(half_written, folder / COVERAGE_FILE)
    if isinstance(split, Parts) and len(split.test):
        np.save(folder / TEST_FILE, split.test)
    save_groups(folder / PICTURE_FILE, raw.positions, groups, coverage)
