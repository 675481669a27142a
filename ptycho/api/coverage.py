"""The files of a run that show what its groups cover: coverage.json and groups.png.

Data flow: file -> RawData -> groups -> [report].
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ptycho.api.groups import Groups
from ptycho.grouping import Coverage, Parts, Split
from ptycho.io.atomic import write_json
from ptycho.report.group_figure import save_groups
from ptycho.runs.files import COVERAGE_FILE, GROUPS_FIGURE, TEST_GROUPS_FILE


def save_coverage(
    folder: Path,
    groups: Groups,
    *,
    split: Split | Parts | None = None,
    samplers: Mapping[str, Coverage] | None = None,
) -> None:
    """Write the numbers and the figure into the folder of a run.

    Args:
        folder: created if missing.
        groups: of the run.
        split: which of the groups are used for training and which for validation.
        samplers: what samples of the same size by other methods cover, by the method's name.

    Raises:
        OSError: If the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    coverage = groups.coverage
    document = {"paragraph": coverage.paragraph(), **coverage.as_dict()}
    document["sampling"] = groups.sampling
    if samplers is not None:
        document["samplers"] = {name: found.as_dict() for name, found in samplers.items()}
    if split is not None:
        document["split"] = split.as_dict()
    write_json(folder / COVERAGE_FILE, document, indent=1)
    if isinstance(split, Parts) and len(split.test):
        np.save(folder / TEST_GROUPS_FILE, split.test)
    save_groups(folder / GROUPS_FIGURE, groups.positions, groups.members, coverage)
