"""How a training runs, as plain values: what `fit` and `pretrain` take, and what they report to.

Data flow: batches -> network + physics -> [training] -> trained model.
Knows no Lightning, no scan files and no settings.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from jaxtyping import Complex, Float

from ptycho.learning.model import PtychoModel
from ptycho.scan.dataset import GroupDataset, ManyScans

Groups: TypeAlias = GroupDataset | ManyScans
"""The groups of one scan or of several."""

_CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class ProbeTraining:
    """How the probe is refined during a training."""

    rate: float
    """Relaxation factor of the probe update after each batch: above 0, up to 1."""

    warmup: int = 0
    """Epochs before the first update of the probe."""


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """How a model is trained."""

    epochs: int
    """Passes over the training groups, unless `budget_s` is given."""

    batch_size: int
    """Groups per update step."""

    learning_rate: float
    """Peak learning rate; 1e-3 suits the networks of this package, 2e-4 fine-tuning."""

    loss: str = "amplitude"
    """Name in `ptycho.physics.LOSSES`."""

    seed: int = 0
    """Of the order of the groups."""

    device: torch.device = _CPU
    """Where to compute."""

    budget_s: float | None = None
    """Seconds after which the training ends, instead of after a number of epochs."""

    probe: ProbeTraining | None = None
    """How the probe is refined; None keeps it."""

    keep_start: bool = False
    """Whether the initial weights are kept unless an epoch has a lower validation loss; for
    fine-tuning."""


@dataclass(frozen=True, kw_only=True)
class PretrainingPlan:
    """How a learned step is trained on simulated scans."""

    budget_s: float
    """Seconds; the learning rate falls to zero at their end."""

    learning_rate: float
    """Peak learning rate; 2e-3 made the general model."""

    seed: int = 0
    """Of the number of iterations before the learned steps."""

    device: torch.device = _CPU
    """Where to compute."""


@runtime_checkable
class Journal(Protocol):
    """Keeps what happens during a training."""

    def note(self, entry: Mapping[str, Any]) -> None:
        """Keep `epoch` with numbers, or `epoch` and `finding`, a sentence."""

    def picture(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep the latest picture: `object`, `coverage`, `origin`, `epoch`."""


class NoJournal:
    """Keeps nothing."""

    def note(self, entry: Mapping[str, Any]) -> None:
        """Do nothing."""

    def picture(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Do nothing."""


class Picture(NamedTuple):
    """The object as the model reconstructs it during a training."""

    obj: Complex[np.ndarray, "row col"]
    """Complex transmission."""

    coverage: Float[np.ndarray, "row col"]
    """Illumination of each pixel, any unit; 0 where the object is unknown."""

    origin: tuple[int, int]
    """(row, col) of pixel (0, 0) in scan coordinates, object pixels."""


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Pictures of the object during a training."""

    make: Callable[[PtychoModel], Picture]
    """Returns the object that the model reconstructs."""

    every: int = 5
    """Epochs from one picture to the next; more if pictures take over a tenth of the time."""


@dataclass(frozen=True, kw_only=True)
class TrainingOutput:
    """What a training writes and reports."""

    folder: Path
    """Of `checkpoints/{best,last}.ckpt` and `logs/` (CSV and TensorBoard)."""

    journal: Journal = field(default_factory=NoJournal)
    """Keeps the numbers of each epoch, findings and pictures."""

    progress: bool = True
    """Whether to draw a progress bar on a terminal; elsewhere each epoch is a log line."""

    pictures: Pictures | None = None
    """Pictures for the journal and TensorBoard; None makes none."""
