"""The optimisation loop, by Lightning: the only file that imports it.

Way of the data: batches -> network + physics -> [training] -> trained model.
Handed plain values; knows neither scan files nor settings.
"""

import datetime
import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import DataLoader, Sampler

from ptycho.errors import ModelError
from ptycho.learning.callbacks import (
    Bar,
    Curves,
    Health,
    Journal,
    LivePicture,
    NoJournal,
    Picture,
    ProbeSteps,
)
from ptycho.learning.model import PtychoModel
from ptycho.physics import LOSSES
from ptycho.progress import drawn
from ptycho.scan.dataset import GroupBatch, GroupDataset, ManyScans

log = logging.getLogger(__name__)

_GRADIENT_CLIP = 0.1
"""Largest norm of a gradient; the usual one is 0.005. With room for 1, a single step once threw the
loss from 0.005 to 300 in the 11th epoch."""


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """What a training run came to."""

    model: PtychoModel
    """The model with its best weights."""

    best_loss: float
    """Lowest loss, of the validation groups when there are any."""

    monitored: str
    """Which loss that is: val_loss or train_loss."""

    curves: dict[str, list[float]]
    """train_loss and val_loss of each epoch; val_loss is empty without validation."""


class _Module(L.LightningModule):
    """One step: predict the frames of a batch, compare, correct."""

    def __init__(self, model: PtychoModel, loss: str, learning_rate: float, budget_s: float | None):
        super().__init__()
        self.model = model
        self.budget_s = budget_s
        self.loss = LOSSES[loss]
        self.learning_rate = learning_rate

    def training_step(self, batch: GroupBatch, index: int) -> dict[str, Any]:
        prediction = self.model(batch)
        loss = self.loss(prediction.intensity, batch.amplitude, batch.mask)
        self.log("train_loss", loss, on_epoch=True, on_step=False, prog_bar=True,
                 batch_size=len(batch.members))  # fmt: skip
        return {"loss": loss, "prediction": prediction}

    def validation_step(self, batch: GroupBatch, index: int) -> None:
        loss = self.loss(self.model(batch).intensity, batch.amplitude, batch.mask)
        self.log("val_loss", loss, prog_bar=True, batch_size=len(batch.members))

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW; the rate rises over the first tenth of the run and falls to zero (one cycle)."""
        # A probe that learns has steps of its own.
        optimizer = torch.optim.AdamW(
            self.model.network.parameters(), lr=self.learning_rate, weight_decay=1e-4, fused=True
        )
        if self.budget_s is not None:
            schedule = rate_over_time(optimizer, self.budget_s)
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": schedule, "interval": "step"},
            }
        # Fewer than 4 steps leave the cycle no room to rise and fall in.
        steps = max(4, int(self.trainer.estimated_stepping_batches))
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, self.learning_rate, total_steps=steps, pct_start=max(0.1, 2 / steps)
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def transfer_batch_to_device(self, batch: GroupBatch, device: torch.device, index: int) -> Any:
        return batch.to(device, non_blocking=True)


def rate_over_time(optimizer: torch.optim.Optimizer, budget_s: float) -> Any:
    """Return a schedule of the learning rate for a run that ends by the clock.

    The rate rises over the first twentieth of the time and falls to zero as a cosine; the clock
    starts with the first step.

    Args:
        optimizer: whose rates are the highest ones.
        budget_s: seconds of the run.
    """
    started: list[float] = []

    def share(step: int) -> float:
        if not started and step > 0:
            started.append(time.perf_counter())
        passed = (time.perf_counter() - started[0]) / budget_s if started else 0.0
        return min(1.0, 20 * passed + 0.02) * max(0.0, 0.5 + 0.5 * math.cos(math.pi * passed))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, share)


class _Batches(Sampler):
    """Group numbers of each batch of one pass."""

    def __init__(self, dataset: GroupDataset | ManyScans, size: int, generator: Any):
        self.dataset, self.size, self.generator = dataset, size, generator
        self.length = len(dataset.batch_numbers(size))

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Sequence[int]]:
        return iter(self.dataset.batch_numbers(self.size, self.generator))


def _loader(
    dataset: GroupDataset | ManyScans, batch_size: int, generator: torch.Generator | None
) -> DataLoader:
    return DataLoader(dataset, sampler=_Batches(dataset, batch_size, generator), batch_size=None)


def quiet_lightning() -> None:
    """Silence what does not concern the user: worker counts, hardware lists, tips."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"lightning\..*")
    warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")


def fit(
    model: PtychoModel,
    training: GroupDataset | ManyScans,
    validation: GroupDataset | ManyScans | None,
    *,
    output_dir: Path,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    loss: str,
    seed: int,
    device: torch.device,
    progress: bool = True,
    probe_rate: float | None = None,
    probe_warmup: int = 0,
    budget_s: float | None = None,
    finetuning: bool = False,
    picture: Callable[[PtychoModel], Picture] | None = None,
    picture_every: int = 5,
    journal: Journal | None = None,
) -> FitResult:
    """Train a model and return it with its best weights.

    Args:
        model: changed in place.
        training: groups to learn from.
        validation: groups that choose the best epoch; without, the training loss does.
        output_dir: gets `checkpoints/{best,last}.ckpt` and `logs/` (CSV and TensorBoard).
        epochs: passes over the training groups.
        batch_size: groups per step.
        learning_rate: at its peak.
        loss: name in `ptycho.physics.LOSSES`.
        seed: of the order of the groups.
        device: where to compute.
        progress: draw a progress bar on a terminal; elsewhere there is one log line per epoch.
        probe_rate: share of a whole step that corrects the probe after each batch; None leaves it.
        probe_warmup: epochs before that begins.
        budget_s: seconds after which training ends, instead of after epochs.
        finetuning: whether the weights come from another training; they are kept unless the
            validation groups are explained better by others.
        picture: makes a picture of the object with the model as it is; None makes none.
        picture_every: epochs between pictures; more where one takes long.
        journal: keeps the numbers of each epoch, findings and pictures; None keeps none.

    Raises:
        ModelError: If the loss becomes NaN.
    """
    quiet_lightning()
    monitored = "train_loss" if validation is None else "val_loss"
    kept = {"dirpath": output_dir / "checkpoints", "enable_version_counter": False}
    checkpoints = ModelCheckpoint(filename="best", monitor=monitored, **kept)
    latest = ModelCheckpoint(filename="last", **kept)
    bar = drawn(progress)
    window = model.window
    first = model.probe.shape[-1] // 2 - window // 2
    journal = journal or NoJournal()
    health = Health(slice(first, first + window), journal)
    curves = Curves(logging.DEBUG if bar else logging.INFO, health)
    probe_steps = []
    if probe_rate is not None:
        model.to(device).train_probe()
        probe_steps = [ProbeSteps(model, probe_rate, probe_warmup)]
    module = _Module(model, loss, learning_rate, budget_s)
    trainer = L.Trainer(
        max_epochs=epochs if budget_s is None else -1,
        max_time=None if budget_s is None else datetime.timedelta(seconds=budget_s),
        accelerator={"cuda": "gpu"}.get(device.type, device.type),
        devices=1,
        logger=_loggers(output_dir),
        callbacks=[
            checkpoints,
            latest,
            LearningRateMonitor(logging_interval="epoch"),
            health,
            curves,
            *probe_steps,
            *([LivePicture(picture, picture_every, journal)] if picture is not None else []),
            *([Bar("training", budget_s=budget_s, loss=monitored)] if bar else []),
        ],
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        gradient_clip_val=_GRADIENT_CLIP,
    )
    generator = torch.Generator().manual_seed(seed)
    start = None
    if finetuning and validation is not None:
        start = (_mean_loss(module.to(device), validation, batch_size), _copied(module))
    trainer.fit(
        module,
        _loader(training, batch_size, generator),
        _loader(validation, batch_size, None) if validation is not None else None,
    )
    if not math.isfinite(float(checkpoints.best_model_score)):
        raise ModelError(
            f"training: {monitored} is not a number after the last step; expected a finite one; "
            "lower --learning_rate"
        )
    best = torch.load(checkpoints.best_model_path, weights_only=True, map_location="cpu")
    weights, score = best["state_dict"], float(checkpoints.best_model_score)
    if start is not None:
        log.info("fine-tuning: %s %.4g before, %.4g after", monitored, start[0], score)
        if start[0] <= score:
            log.warning("fine-tuning did not help; the weights it began with are kept")
            score, weights = start
    module.load_state_dict(weights)
    return FitResult(
        model=module.model.cpu().eval(),
        best_loss=score,
        monitored=monitored,
        curves=curves.values,
    )


@torch.inference_mode()
def _mean_loss(module: _Module, dataset: GroupDataset | ManyScans, batch_size: int) -> float:
    """Return the loss over a dataset, every group counting alike, as Lightning's epochs do."""
    device = next(module.parameters()).device
    total = 0.0
    for numbers in dataset.batch_numbers(batch_size):
        batch = dataset[numbers].to(device)
        intensity = module.model(batch).intensity
        total += len(numbers) * float(module.loss(intensity, batch.amplitude, batch.mask))
    return total / len(dataset)


def _copied(module: L.LightningModule) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}


def _loggers(output_dir: Path) -> list[Any]:
    return [
        CSVLogger(output_dir, name="logs", version="csv"),
        TensorBoardLogger(output_dir, name="logs", version="tensorboard"),
    ]
