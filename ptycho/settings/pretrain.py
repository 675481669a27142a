"""The settings of pre-training on simulated scans."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ptycho.durations import seconds_of
from ptycho.settings.base import also
from ptycho.settings.bounds import a_seed, above_zero, at_least
from ptycho.settings.shared import (
    ComputeSettings,
    ConsoleSettings,
    DryRunSettings,
    PageSettings,
    ProgressSettings,
)


@dataclass(frozen=True, kw_only=True)
class PretrainSettings(ComputeSettings, ProgressSettings):
    """How the network is trained."""

    kind: ClassVar[str] = "pretrain"

    budget: str = "45min"
    """Training time: 600s, 45min, 2h. The model that comes with the package took 45 minutes of one
    CPU core."""

    N: int = 64
    """Frame size of the simulated scans in pixels; the model takes frames of any size."""

    width: int = 32
    """Features of the network at half resolution."""

    learning_rate: float = 2e-3
    """Peak learning rate."""

    seed: int = 0
    """Seed of all random numbers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "width")
        at_least(self, 32, "N")
        a_seed(self)
        above_zero(self, "learning_rate")
        seconds_of(self.budget, "budget")


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(PretrainSettings, PageSettings, DryRunSettings, ConsoleSettings):
    """Train a general network on simulated scans; it reconstructs measured scans unseen."""

    output_dir: Path = also()
    """Folder of the trained model and its settings."""
