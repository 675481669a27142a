"""What happens beside the steps of a training: health, curves, pictures, steps of the probe.

Way of the data: batches -> network + physics -> [training] -> trained model.
Lightning's callbacks; handed plain values, know neither scan files nor settings.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import lightning as L
import numpy as np
import torch
from jaxtyping import Bool, Complex, Float, UInt8
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
from ptycho.metrics import flatten_phase, robust_range, well_covered
from ptycho.progress import by_hand

log = logging.getLogger(__name__)

_MOMENTUM = 0.5  # of the probe's steps
_SHARE = 0.1  # of the time of a training that its pictures may take


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
    """The object as a training sees it."""

    obj: Complex[np.ndarray, "row col"]
    """Complex transmission."""

    coverage: Float[np.ndarray, "row col"]
    """How much light tells each pixel, any unit; 0 where none does."""

    origin: tuple[int, int]
    """(row, col) of pixel (0, 0) in scan coordinates, object pixels."""


class Health(Callback):
    """Runs the checks of `ptycho.learning.health`; says each finding once, stops on NaN."""

    def __init__(self, window: slice, journal: Journal) -> None:
        self.window, self.journal = window, journal
        self.said: set[str] = set()
        self.measured: dict[str, float] = {}

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        if not is_finite(outputs["loss"]):
            raise ModelError(
                f"training: the loss is not a number in epoch {trainer.current_epoch + 1}, "
                f"step {index + 1}; expected a finite one; lower --learning_rate"
            )
        epoch = trainer.current_epoch + 1
        if index == 0 and epoch <= 5:
            self._say("power", check_power(outputs["prediction"], batch), epoch)
            if epoch == 1:
                self._say("gradients", check_gradients(module), epoch)
        if trainer.is_last_batch and epoch <= 5:
            self._say("rails", check_rails(outputs["prediction"], self.window), epoch)
            self._say("collapse", check_collapse(outputs["prediction"], self.window), epoch)
        if trainer.is_last_batch:
            self.measured = {
                "power_ratio": power_ratio(outputs["prediction"], batch),
                "patch_spread": patch_spread(outputs["prediction"], self.window),
            }

    def _say(self, kind: str, finding: str | None, epoch: int) -> None:
        if finding and kind not in self.said:
            self.said.add(kind)
            self.journal.note({"epoch": epoch, "finding": finding})
            log.warning("health: %s", finding)


class ProbeSteps(Callback):
    """Corrects the probe after each batch, from some epoch on; its power stays.

    The losses are sum (sqrt I - sqrt n)^2 / sum n, so for a sample near |o| = 1 a descent of
    photons / 2 along their gradient is the whole step of rPIE (see `engines.sweeps`); of that a
    share is taken.
    """

    def __init__(self, model: PtychoModel, rate: float, warmup: int):
        self.parts, self.warmup = model.probe_parts, warmup
        self.power = float(self.parts.detach().square().sum())
        self.descent = torch.optim.SGD([self.parts], lr=rate * self.power / 2, momentum=_MOMENTUM)

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.parts.requires_grad_(trainer.current_epoch >= self.warmup)

    def on_train_batch_end(self, *_: Any) -> None:
        if self.parts.grad is None:
            return
        self.descent.step()
        self.descent.zero_grad()
        with torch.no_grad():
            self.parts *= math.sqrt(self.power / float(self.parts.square().sum()))


class Curves(Callback):
    """Keeps the losses of each epoch, also on disk; tells them where no progress bar is drawn."""

    def __init__(self, level: int, health: Health):
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
        # Where time ends the training nobody knows how many there will be.
        most = f" of {trainer.max_epochs}" if trainer.max_epochs > 0 else ""
        log.log(
            self.level, "epoch %d%s: %s, %.0f s", epoch, most,
            ", ".join(f"{name} {value:.4g}" for name, value in losses.items()), seconds,
        )  # fmt: skip


class Bar(Callback):
    """One bar over the whole training: the time that remains is that of the run, not of an epoch.

    Args:
        label: what is done.
        loss: name of a logged value to show at the end of the bar.
        budget_s: seconds of the training, where these end it and not the number of its steps.
    """

    def __init__(self, label: str, *, budget_s: float | None, loss: str | None = None) -> None:
        self.label, self.loss, self.budget_s = label, loss, budget_s
        self.bar: Any = None
        self.steps, self.started = 0, 0.0

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        counted = {"total": self.budget_s, "unit": "s"}
        if self.budget_s is None:
            counted = {"total": trainer.estimated_stepping_batches, "unit": "steps"}
        self.bar = by_hand(self.label, **counted)
        self.started = time.perf_counter()

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        self.steps += 1
        words, elapsed = {}, time.perf_counter() - self.started
        if self.budget_s is not None:
            words["steps/s"] = f"{self.steps / elapsed:.1f}"
        if trainer.max_epochs > 0:
            words["epoch"] = f"{trainer.current_epoch + 1}/{trainer.max_epochs}"
        if self.loss in trainer.callback_metrics:
            words["loss"] = f"{float(trainer.callback_metrics[self.loss]):.4g}"
        self.bar.set_postfix(words, refresh=False)
        done = self.steps if self.budget_s is None else min(elapsed, self.budget_s)
        self.bar.update(done - self.bar.n)

    def on_exception(self, *_: Any) -> None:  # Lightning tears no callback down then
        self._close()

    def teardown(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()


class LivePicture(Callback):
    """Shows the object while the network learns: in TensorBoard and in the journal.

    After the first epoch and then every few ones, but not before the training has gone on for nine
    times as long as the last picture took. A picture that cannot be kept costs a warning.
    """

    def __init__(
        self, picture: Callable[[PtychoModel], Picture], every: int, journal: Journal
    ) -> None:
        self.picture, self.every, self.journal = picture, every, journal
        self.done, self.took = -math.inf, 0.0
        self.said = False

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        waited = time.perf_counter() - self.done
        if trainer.current_epoch % self.every or waited * _SHARE < self.took * (1 - _SHARE):
            return
        started = time.perf_counter()
        training = module.training
        found, epoch = self.picture(module.model), trainer.current_epoch + 1
        module.train(training)
        try:
            self._keep(trainer, found, epoch)
        except OSError as problem:
            if not self.said:
                log.warning("no picture of epoch %d: %s", epoch, problem)
            self.said = True
        self.done = time.perf_counter()
        self.took = self.done - started

    def _keep(self, trainer: L.Trainer, found: Picture, epoch: int) -> None:
        arrays = {
            "object": found.obj.astype(np.complex64),
            "coverage": found.coverage.astype(np.float32),
            "origin": np.array(found.origin, dtype=np.float64),
            "epoch": np.int64(epoch),
        }
        self.journal.picture(arrays)
        known = well_covered(found.coverage)
        flat, _ = flatten_phase(found.obj, known)
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
        known: the pixels that set the range and are drawn.
    """
    low, high = robust_range(values, known)
    levels = 255 * (values - low) / (high - low)
    return np.where(known, levels.clip(0, 255).round(), 0).astype(np.uint8)
