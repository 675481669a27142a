"""Training on measured frames: the loop, the best weights and what the training achieved.

Data flow: batches -> network + physics -> [training] -> trained model.
Takes plain values; knows neither scan files nor settings.
"""

import functools
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypedDict, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, Dataset, Sampler

from ptycho.errors import ModelError
from ptycho.learning.callbacks import Bar, Curves, Health, LivePicture, ProbeSteps
from ptycho.learning.health import check_improvement
from ptycho.learning.model import Prediction, PtychoModel
from ptycho.learning.plan import Groups, TrainingOutput, TrainingPlan
from ptycho.learning.trainer import rate_over_time, trainer, with_schedule
from ptycho.physics import LOSSES
from ptycho.progress import drawn
from ptycho.scan.dataset import GroupBatch

log = logging.getLogger(__name__)

_GRADIENT_CLIP = 0.1
"""Largest norm of a gradient; 0.005 is typical. At 1, the loss of one training rose from 0.005 to
300 in a single step of its 11th epoch."""


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """Result of a training."""

    model: PtychoModel
    """The model with its best weights."""

    best_loss: float
    """Lowest loss of an epoch: of the validation groups if there are any."""

    monitored: str
    """Which loss that is: val_loss or train_loss."""

    loss_before: float | None
    """Loss of the validation groups before the first step; None without validation."""

    curves: dict[str, list[float]]
    """train_loss and val_loss of each epoch; val_loss is empty without validation."""


class StepOutput(TypedDict):
    """What a training step hands to the callbacks."""

    loss: Tensor
    prediction: Prediction


class _Module(L.LightningModule):
    """One step: predict the frames of a batch, compare, update."""

    def __init__(self, model: PtychoModel, plan: TrainingPlan) -> None:
        super().__init__()
        self.model = model
        self.plan = plan
        self.loss = LOSSES.find(plan.loss)

    def training_step(self, batch: GroupBatch, index: int) -> StepOutput:
        prediction = self.model(batch)
        loss = self.loss(prediction.intensity, batch.amplitude, batch.mask)
        self.log("train_loss", loss, on_epoch=True, on_step=False, prog_bar=True,
                 batch_size=len(batch.members))  # fmt: skip
        return {"loss": loss, "prediction": prediction}

    def validation_step(self, batch: GroupBatch, index: int) -> None:
        self.log("val_loss", self.loss_of(batch), prog_bar=True, batch_size=len(batch.members))

    def loss_of(self, batch: GroupBatch) -> Tensor:
        return self.loss(self.model(batch).intensity, batch.amplitude, batch.mask)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW; the rate rises over the first tenth of the run and falls to zero (one cycle)."""
        plan = self.plan
        # The probe has update steps of its own.
        optimizer = torch.optim.AdamW(
            self.model.network.parameters(), lr=plan.learning_rate, weight_decay=1e-4, fused=True
        )
        if plan.budget_s is not None:
            return with_schedule(optimizer, rate_over_time(optimizer, plan.budget_s))
        # A cycle needs 4 steps to rise and fall in.
        steps = max(4, int(self.trainer.estimated_stepping_batches))
        cycle = OneCycleLR(
            optimizer, plan.learning_rate, total_steps=steps, pct_start=max(0.1, 2 / steps)
        )
        return with_schedule(optimizer, cycle)

    def transfer_batch_to_device(
        self, batch: GroupBatch, device: torch.device, index: int
    ) -> GroupBatch:
        return batch.to(device, non_blocking=True)


class _Batches(Sampler[Sequence[int]]):
    """Group numbers of each batch of one pass."""

    def __init__(self, groups: Groups, size: int, generator: torch.Generator | None) -> None:
        self.groups, self.size, self.generator = groups, size, generator
        self.length = len(groups.batch_numbers(size))

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Sequence[int]]:
        return iter(self.groups.batch_numbers(self.size, self.generator))


def _loader(
    groups: Groups, batch_size: int, generator: torch.Generator | None
) -> DataLoader[GroupBatch]:
    batches = _Batches(groups, batch_size, generator)
    return DataLoader(cast("Dataset[GroupBatch]", groups), sampler=batches, batch_size=None)


def fit(
    model: PtychoModel,
    training: Groups,
    validation: Groups | None,
    plan: TrainingPlan,
    output: TrainingOutput,
) -> FitResult:
    """Train a model and return it with its best weights.

    Args:
        model: changed in place.
        training: groups to train on.
        validation: groups whose loss chooses the best epoch; without, the training loss does.
        plan: epochs, learning rate, loss.
        output: folder, journal, progress, pictures.

    Raises:
        ModelError: If the loss becomes NaN.
        ConfigError: If the loss is unknown.
    """
    module = _Module(model, plan)
    if plan.probe is not None:
        model.to(plan.device).train_probe()
    before, start = None, None
    if validation is not None:
        before = _mean_loss(module.to(plan.device), validation, plan.batch_size)
        output.journal.note({"loss_before": before})
        start = _weights(module) if plan.keep_start else None
    monitored = "train_loss" if validation is None else "val_loss"
    best = _checkpoint(output, "best", monitored)
    health = Health(_decoded(model), output.journal)
    curves = Curves(logging.DEBUG if drawn(output.progress) else logging.INFO, health)
    callbacks = [best, _checkpoint(output, "last"), LearningRateMonitor(logging_interval="epoch")]
    callbacks += [health, curves, *_optional_callbacks(model, plan, output, monitored)]
    generator = torch.Generator().manual_seed(plan.seed)
    trainer(
        plan.device, callbacks, clip=_GRADIENT_CLIP, epochs=plan.epochs, budget_s=plan.budget_s,
        folder=output.folder,
    ).fit(
        module,
        _loader(training, plan.batch_size, generator),
        None if validation is None else _loader(validation, plan.batch_size, None),
    )  # fmt: skip
    after = _best_loss(best, monitored)
    found = torch.load(best.best_model_path, weights_only=True, map_location="cpu")["state_dict"]
    if before is not None:
        log.info("%s: %.4g before training, %.4g at best", monitored, before, after)
        if start is not None and before <= after:
            log.warning("fine-tuning did not help; the initial weights are kept")
            after, found = before, start
        else:
            finding = check_improvement(before, after)
            health.report("improvement", finding, len(curves.values["train_loss"]))
    module.load_state_dict(found)
    return FitResult(
        model=module.model.cpu().eval(),
        best_loss=after,
        monitored=monitored,
        loss_before=before,
        curves=curves.values,
    )


def _optional_callbacks(
    model: PtychoModel, plan: TrainingPlan, output: TrainingOutput, monitored: str
) -> list[Callback]:
    """Return what refines the probe, makes pictures and draws a bar, as far as asked for."""
    found: list[Callback] = []
    if plan.probe is not None:
        found.append(ProbeSteps(model, plan.probe))
    if output.pictures is not None:
        make = functools.partial(output.pictures.make, model)
        found.append(LivePicture(make, output.pictures.every, output.journal))
    if drawn(output.progress):
        found.append(Bar("training", budget_s=plan.budget_s, loss=monitored))
    return found


def _checkpoint(output: TrainingOutput, name: str, monitored: str | None = None) -> ModelCheckpoint:
    """Return what keeps the epoch with the lowest monitored loss, or the latest one."""
    return ModelCheckpoint(
        dirpath=output.folder / "checkpoints", filename=name, monitor=monitored,
        enable_version_counter=False,
    )  # fmt: skip


def _best_loss(checkpoint: ModelCheckpoint, monitored: str) -> float:
    score = math.nan
    if checkpoint.best_model_score is not None:
        score = float(checkpoint.best_model_score)
    if not math.isfinite(score):
        raise ModelError(
            f"training: {monitored} is not a number after the last step; expected a finite one; "
            "lower --learning_rate"
        )
    return score


def _decoded(model: PtychoModel) -> slice:
    """Return the rows, and columns, of the decoded centre of a patch."""
    first = model.probe.shape[-1] // 2 - model.window // 2
    return slice(first, first + model.window)


@torch.inference_mode()
def _mean_loss(module: _Module, groups: Groups, batch_size: int) -> float:
    """Return the loss over all groups, each with the same weight, as in Lightning's epochs."""
    device = next(module.parameters()).device
    total = 0.0
    for numbers in groups.batch_numbers(batch_size):
        total += len(numbers) * float(module.loss_of(groups[numbers].to(device)))
    return total / len(groups)


def _weights(module: L.LightningModule) -> dict[str, Tensor]:
    """Return a copy of the weights, on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}
