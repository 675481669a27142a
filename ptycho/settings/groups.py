"""The settings of showing the groups of a scan: no frames, no training."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ptycho.grouping import SAMPLERS
from ptycho.settings.base import also
from ptycho.settings.shared import (
    ConsoleSettings,
    FolderSettings,
    ScanFileSettings,
    SelectionSettings,
)


@dataclass(frozen=True, kw_only=True)
class GroupsSettings(SelectionSettings):
    """Which frames of a scan are used, and how they are grouped."""

    kind: ClassVar[str] = "groups"

    gridsize: int = 2
    """A group has gridsize x gridsize overlapping frames."""

    sampling: str = also(
        "balanced", choices=SAMPLERS, switches={"sequential_sampling": "sequential"}
    )
    """How groups are sampled: {choices}; the other methods are compared with it."""

    cache: bool = False
    """Keep the list of all groups on disk for a later run."""


@dataclass(frozen=True, kw_only=True)
class GroupsConfig(GroupsSettings, ScanFileSettings, FolderSettings, ConsoleSettings):
    """Show the groups of a scan and what samples of them cover; trains nothing."""

    data: Path = also(must_exist="scan", aliases=["train_data_file"])
    """The scan."""

    output_dir: Path | None = None
    """Folder of coverage.json and groups.png; none writes nothing."""
