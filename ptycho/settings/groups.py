"""The settings of the commands that look at groups only: no frames, no training.

As in `ptycho.settings.config`: one frozen dataclass per command, no behaviour.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ptycho.settings.base import also
from ptycho.settings.config import ConsoleConfig, Sampling, SelectionConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupsConfig(SelectionConfig):
    """Show which groups a scan has and what samples of them cover; trains nothing."""

    data: Path = also(must_exist="scan", aliases=["train_data_file"])
    """The scan to look at."""

    output_dir: Path | None = None
    """Folder for coverage.json and groups.png; none writes nothing."""

    gridsize: int = 2
    """A group has gridsize x gridsize overlapping frames."""

    sampling: Sampling = also("balanced", switches={"sequential_sampling": "sequential"})
    """The sampler that is told of in full and drawn; the others are compared with it."""

    cache: bool = False
    """Also keep the list of all groups on disk, beside the scan, for a later run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheConfig(ConsoleConfig):
    """List, check or remove the files in which groups are kept."""

    action: Literal["list", "verify", "clear"] = also()
    """list names them, verify reads each and compares it with its scan, clear removes them."""

    folder: Path = also(Path("."), must_exist="folder of scans, or a scan")
    """Folder to look in, or one scan file."""
