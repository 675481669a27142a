"""The settings of pre-training on simulated scans.

As in `ptycho.settings.config`: a frozen dataclass, no behaviour.
"""

from dataclasses import dataclass
from pathlib import Path

from ptycho.durations import seconds_of
from ptycho.settings.base import also
from ptycho.settings.config import ConsoleConfig, Device, above_zero, at_least


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainConfig(ConsoleConfig):
    """Train a general network on simulated scans; it reconstructs measured ones unseen."""

    output_dir: Path = also()
    """Folder for the trained model and its settings."""

    budget: str = "45min"
    """How long to train: 600s, 45min, 2h. More is better; 45 minutes of one CPU core made the model
    that comes with the package."""

    N: int = 64
    """Frame size of the simulated scans in pixels; the model takes frames of any."""

    width: int = 32
    """Features of the network at half resolution."""

    learning_rate: float = 2e-3
    """Largest step size of the optimiser."""

    seed: int = 0
    """Of everything drawn at random."""

    device: Device = "auto"
    """Where to compute; auto takes a GPU when there is one."""

    threads: int | None = None
    """CPU threads; none leaves the choice to PyTorch."""

    dry_run: bool = False
    """Tell what would happen and how long it would take, having tried a small part; write nothing.
    """

    report: bool = True
    """Leave a page of the run, report.html, in the output folder."""

    def __post_init__(self) -> None:
        ConsoleConfig.__post_init__(self)
        at_least(self, 1, "width", "threads")
        at_least(self, 32, "N")
        at_least(self, 0, "seed")
        above_zero(self, "learning_rate")
        seconds_of(self.budget, "budget")
