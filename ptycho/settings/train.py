"""The settings of training on measured frames."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from ptycho.durations import seconds_of
from ptycho.errors import ConfigError
from ptycho.networks import NETWORKS
from ptycho.physics import LOSSES
from ptycho.settings.base import also
from ptycho.settings.bounds import a_share, above_zero, at_least, at_most
from ptycho.settings.shared import (
    ComputeSettings,
    ConsoleSettings,
    DryRunSettings,
    FrameSizeSettings,
    PageSettings,
    ProgressSettings,
    SelectionSettings,
)


@dataclass(frozen=True, kw_only=True)
class TrainSettings(SelectionSettings, ComputeSettings, ProgressSettings):
    """How a network is trained."""

    kind: ClassVar[str] = "train"

    gridsize: int = 1
    """A group has gridsize x gridsize overlapping frames; 1 turns grouping off."""

    network: str = also("lifted", choices=NETWORKS)
    """Network: {choices}."""

    finetune: str | None = None
    """Start from a trained model: its folder, or general for the model that comes with the package.
    """

    nepochs: int = also(50, aliases=["epochs"])
    """Passes over the samples."""

    budget: str | None = None
    """Train for a time instead of nepochs: 60s, 10min, 2h."""

    batch_size: int | None = None
    """Samples per update step; none chooses by size."""

    learning_rate: float | None = None
    """Peak learning rate; none means 1e-3, and 2e-4 for fine-tuning."""

    loss: str = also("amplitude", choices=LOSSES)
    """Loss per photon: {choices}."""

    n_modes: int | None = None
    """Incoherent modes of the probe; modes beyond those of the file start weak and orthogonal, and
    are trained with train_probe. None takes the number of the file."""

    train_probe: bool = False
    """Refine the probe during the training, for files whose probe is an estimate. Needs overlapping
    frames: gridsize 2 or more."""

    probe_warmup: int = 1
    """Epochs before the probe is refined."""

    probe_learning_rate: float = 0.1
    """Relaxation factor of the probe update after each batch, up to 1."""

    validation_fraction: float = 0.05
    """Fraction of the scanned area held out for validation."""

    test_fraction: float = 0.0
    """Fraction of the scanned area that is used for neither training nor validation; its groups are
    written to test_groups.npy."""

    held_out: Literal["block", "stripe"] = "block"
    """Shape of the held-out areas: blocks at corners of the scan, or stripes across it."""

    guard: float | None = None
    """Width in pixels of the strip between training and held-out areas; none takes the probe
    diameter."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "nepochs", "batch_size", "n_modes")
        above_zero(self, "learning_rate", "probe_learning_rate")
        at_most(self, 1, "probe_learning_rate")
        at_least(self, 0, "guard", "probe_warmup")
        a_share(self, 0.5, "validation_fraction", "test_fraction")
        if self.budget is not None:
            seconds_of(self.budget, "budget")
        if (self.n_modes or 1) > 1 and not self.train_probe:
            raise ConfigError("n_modes: without --train_probe; expected it, to find the modes")


@dataclass(frozen=True, kw_only=True)
class TrainConfig(TrainSettings, FrameSizeSettings, PageSettings, DryRunSettings, ConsoleSettings):
    """Train a network on the diffraction frames of one scan; no ground truth is needed."""

    train_data_file: Path = also(must_exist="scan")
    """The scan to train on."""

    more_train_data: str | None = None
    """Further scans to train on, each with its own probe and dose: files separated by commas, or
    a pattern such as 'scans/*.npz'."""

    test_data_file: Path | None = also(None, must_exist="scan")
    """Another scan for validation, instead of a held-out part of the first."""

    output_dir: Path = also()
    """Folder of the trained model, its settings and its log."""

    nphotons: float | None = None
    """Photons of the mean frame, for files in another unit; none takes them from the file."""

    picture_every: int = 5
    """Epochs between two pictures of the object for TensorBoard and `ptycho view`; more if a
    picture takes long, 0 for none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        above_zero(self, "nphotons")
        at_least(self, 0, "picture_every")
        if self.more_train_data is not None and self.train_probe:
            raise ConfigError("train_probe: with more_train_data; expected one scan, one probe")
