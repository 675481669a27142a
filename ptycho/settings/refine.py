"""The settings of continuing a reconstruction with another engine."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from ptycho.engines import ENGINES
from ptycho.settings.base import also
from ptycho.settings.bounds import a_seed, at_least
from ptycho.settings.shared import (
    ComputeSettings,
    ConsoleSettings,
    DryRunSettings,
    PageSettings,
    ProgressSettings,
    RefinementSettings,
    ScanFileSettings,
    StrictSettings,
    VerdictSettings,
)


@dataclass(frozen=True, kw_only=True)
class RefineSettings(RefinementSettings, ComputeSettings, VerdictSettings, ProgressSettings):
    """How the reconstruction is continued."""

    kind: ClassVar[str] = "refine"

    engine: str = also("lsqml", choices=ENGINES)
    """Engine that continues: {choices}."""

    epochs: int | None = also(None, aliases=["iterations", "sweeps"])
    """Iterations over all frames; none, or auto, goes on while held-out pixels are predicted
    better, and returns the best iteration."""

    batch_size: int | None = None
    """Frames per update step; none takes 16, for rpie up to 32 if their probes overlap little."""

    seed: int = 0
    """Seed of the order of the frames and of the held-out pixels; the seed of the reconstruction
    holds out the same pixels."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of the computation; auto takes a GPU if there is one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "epochs", "batch_size")
        a_seed(self)


@dataclass(frozen=True, kw_only=True)
class RefineConfig(
    RefineSettings, ScanFileSettings, PageSettings, StrictSettings, DryRunSettings, ConsoleSettings
):
    """Continue a reconstruction with another engine; those of pty-chi need ptycho[refine]."""

    reconstruction: Path = also(must_exist="reconstruction")
    """Output folder of a reconstruction, or its reconstruction.npz."""

    test_data: Path = also(must_exist="scan")
    """The scan it was made from."""

    output_dir: Path = also()
    """Folder of the refined object, its pictures and its metrics."""

    scan: int | None = None
    """Scan to take from a file that holds several (its scan_index)."""

    comparison_plot: bool = False
    """Write a figure of object and ground truth, if the scan file holds one."""
