"""`ptycho compare`: runs side by side, from what they have left in their folders.

Data flow: [folders of runs] -> table.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from ptycho.errors import ConfigError
from ptycho.report.side_by_side import as_table, side_by_side
from ptycho.runs.folder import read_run


def run(folders: Sequence[Path], *, as_json: bool) -> str:
    """Return the table, or the same as JSON.

    Args:
        folders: output folders of two runs or more.
        as_json: whether a program reads it.

    Raises:
        ConfigError: If there are fewer than two.
        DataError: If one is no folder of a run.
    """
    if len(folders) < 2:
        raise ConfigError(f"runs: {len(folders)} given; expected two or more folders")
    document = side_by_side([read_run(folder) for folder in folders])
    return json.dumps(document, indent=2) if as_json else as_table(document)
