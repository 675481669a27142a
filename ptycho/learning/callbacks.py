"""What accompanies the steps of a training: health, curves, pictures, updates of the probe.

Data flow: batches -> network + physics -> [training] -> trained model.
Lightning's callbacks; they take plain values and know neither scan files nor settings.
"""

import logging
import math
import time
from collections.abc import Callable
from typing import Any

import lightning as L
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger

from ptycho.errors import ModelError
from ptycho.learning.health import (
    check_collapse,
    check_gradients,
    check_power,
    check_rails,
    is_finite,
    patch_spread,
    power_ratio,
)
from ptycho.learning.model import PtychoModel
from ptycho.learning.plan import Journal, Picture, ProbeTraining
from ptycho.metrics import flatten_phase, robust_range, well_covered
from ptycho.progress import by_hand

log = logging.getLogger(__name__)

_MOMENTUM = 0.5  # of the probe updates
_PICTURE_TIME = 0.1  # largest share of the time of a training that its pictures take
_HEALTH_EPOCHS = 5  # in which the checks of health are made


class Health(Callback):
    """Runs the checks of `ptycho.learning.health`; reports each finding once, stops on NaN.

    Args:
        window: rows, and columns, of the decoded centre of a patch.
        journal: keeps the findings.
    """

    def __init__(self, window: slice, journal: Journal) -> None:
        self.window, self.journal = window, journal
        self.reported: set[str] = set()
        self.measured: dict[str, float] = {}

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        if not is_finite(outputs["loss"]):
            raise ModelError(
                f"training: the loss is not a number in epoch {trainer.current_epoch + 1}, "
                f"step {index + 1}; expected a finite one; lower --learning_rate"
            )
        prediction, epoch = outputs["prediction"], trainer.current_epoch + 1
        if index == 0 and epoch <= _HEALTH_EPOCHS:
            self.report("power", check_power(prediction, batch), epoch)
            if epoch == 1:
                self.report("gradients", check_gradients(module), epoch)
        if not trainer.is_last_batch:
            return
        if epoch <= _HEALTH_EPOCHS:
            self.report("rails", check_rails(prediction, self.window), epoch)
            self.report("collapse", check_collapse(prediction, self.window), epoch)
        self.measured = {
            "power_ratio": power_ratio(prediction, batch),
            "patch_spread": patch_spread(prediction, self.window),
        }

    def report(self, kind: str, finding: str | None, epoch: int) -> None:
        """Log a finding and keep it in the journal, unless one of its kind was reported before."""
        if finding and kind not in self.reported:
            self.reported.add(kind)
            self.journal.note({"epoch": epoch, "finding": finding})
            log.warning("health: %s", finding)


class ProbeSteps(Callback):
    """Updates the probe after each batch; its power is constant.

    The losses are sum (sqrt I - sqrt n)^2 / sum n, so for a sample near |o| = 1 a step of
    photons / 2 along their gradient is the full update of rPIE (see `engines.sweeps`).

    Args:
        model: its probe is a parameter.
        plan: relaxation factor, warm-up.
    """

    def __init__(self, model: PtychoModel, plan: ProbeTraining) -> None:
        self.parts, self.warmup = model.probe_parts, plan.warmup
        self.power = float(self.parts.detach().square().sum())
        rate = plan.rate * self.power / 2
        self.descent = torch.optim.SGD([self.parts], lr=rate, momentum=_MOMENTUM)

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.parts.requires_grad_(trainer.current_epoch >= self.warmup)

    def on_train_batch_end(self, *_: Any) -> None:
        if self.parts.grad is None:
            return
        self.descent.step()
        self.descent.zero_grad()
        with torch.no_grad():
            self.parts.mul_(math.sqrt(self.power / float(self.parts.square().sum())))


class Curves(Callback):
    """Keeps the losses of each epoch, in the journal too, and logs them.

    Args:
        level: of the log lines.
        health: its numbers are kept with the losses.
    """

    def __init__(self, level: int, health: Health) -> None:
        self.level, self.health = level, health
        self.values: dict[str, list[float]] = {"train_loss": [], "val_loss": []}
        self.started = time.perf_counter()

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        known = [name for name in self.values if name in trainer.callback_metrics]
        losses = {name: float(trainer.callback_metrics[name]) for name in known}
        for name, value in losses.items():
            self.values[name].append(value)
        epoch, seconds = trainer.current_epoch + 1, time.perf_counter() - self.started
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        self.health.journal.note(
            {"epoch": epoch, "seconds": round(seconds, 3), **losses, "learning_rate": rate,
             **self.health.measured},
        )  # fmt: skip
        log.log(
            self.level, "epoch %d%s: %s, %.0f s", epoch, _of_all(trainer, " of "),
            ", ".join(f"{name} {value:.4g}" for name, value in losses.items()), seconds,
        )  # fmt: skip


def _of_all(trainer: L.Trainer, joint: str) -> str:
    """Return the number of epochs behind a joint; nothing if time ends the training."""
    most = trainer.max_epochs or 0
    return f"{joint}{most}" if most > 0 else ""


class Bar(Callback):
    """One bar over the whole training; the remaining time is that of the training.

    Args:
        label: what is done.
        budget_s: seconds after which the training ends; None if its steps are counted.
        loss: name of a logged value to show at the end of the bar.
    """

    def __init__(self, label: str, *, budget_s: float | None, loss: str | None = None) -> None:
        self.label, self.loss, self.budget_s = label, loss, budget_s
        self.bar: Any = None
        self.steps, self.started = 0, 0.0

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if self.budget_s is None:
            steps = trainer.estimated_stepping_batches
            self.bar = by_hand(self.label, total=steps, unit="steps")
        else:
            self.bar = by_hand(self.label, total=self.budget_s, unit="s")
        self.started = time.perf_counter()

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        self.steps += 1
        words, elapsed = {}, time.perf_counter() - self.started
        if self.budget_s is not None:
            words["steps/s"] = f"{self.steps / elapsed:.1f}"
        if of_all := _of_all(trainer, "/"):
            words["epoch"] = f"{trainer.current_epoch + 1}{of_all}"
        if self.loss in trainer.callback_metrics:
            words["loss"] = f"{float(trainer.callback_metrics[self.loss]):.4g}"
        self.bar.set_postfix(words, refresh=False)
        done = self.steps if self.budget_s is None else min(elapsed, self.budget_s)
        self.bar.update(done - self.bar.n)

    def on_exception(self, *_: Any) -> None:  # Lightning calls no teardown after an exception
        self._close()

    def teardown(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()


class LivePicture(Callback):
    """Shows the object during a training: in TensorBoard and in the journal.

    After the first epoch and then every few ones, but not before nine times the duration of the
    last picture has passed. A picture that cannot be written is a warning.

    Args:
        make: returns the object that the model reconstructs.
        every: epochs from one picture to the next.
        journal: keeps the latest picture.
    """

    def __init__(self, make: Callable[[], Picture], every: int, journal: Journal) -> None:
        self.make, self.every, self.journal = make, every, journal
        self.done, self.took = -math.inf, 0.0
        self.warned = False

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        waited = time.perf_counter() - self.done
        soon = waited * _PICTURE_TIME < self.took * (1 - _PICTURE_TIME)
        if trainer.current_epoch % self.every or soon:
            return
        started = time.perf_counter()
        training = module.training
        picture, epoch = self.make(), trainer.current_epoch + 1
        module.train(training)
        try:
            self._keep(trainer, picture, epoch)
        except OSError as problem:
            if not self.warned:
                log.warning("no picture of epoch %d: %s", epoch, problem)
            self.warned = True
        self.done = time.perf_counter()
        self.took = self.done - started

    def _keep(self, trainer: L.Trainer, picture: Picture, epoch: int) -> None:
        self.journal.picture(
            {
                "object": picture.obj.astype(np.complex64),
                "coverage": picture.coverage.astype(np.float32),
                "origin": np.array(picture.origin, dtype=np.float64),
                "epoch": np.array(epoch, dtype=np.int64),
            }
        )
        known = well_covered(picture.coverage)
        flat, _ = flatten_phase(picture.obj, known)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                for name, values in (("amplitude", np.abs(flat)), ("phase", np.angle(flat))):
                    logger.experiment.add_image(
                        f"object/{name}", grey(values, known), epoch, dataformats="HW"
                    )


def grey(
    values: Float[np.ndarray, "row col"], known: Bool[np.ndarray, "row col"]
) -> UInt8[np.ndarray, "row col"]:
    """Return values as grey levels, 0 to 255 from the 1st to the 99th percentile; 0 where unknown.

    Args:
        values: any unit.
        known: the pixels that set the range.
    """
    low, high = robust_range(values, known)
    levels = 255 * (values - low) / (high - low)
    return np.where(known, levels.clip(0, 255).round(), 0).astype(np.uint8)
