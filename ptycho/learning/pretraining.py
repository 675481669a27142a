"""Training of the learned step on simulated scans, whose true object is known.

Data flow: simulation -> batches -> [training] -> general model.
Training on a measured scan compares frames with frames and can learn only what that scan shows.
Here the object itself is compared: the step learns the effects of noise, of small overlap and of
too few iterations, which are the same in scans that it has not been trained on.
"""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypedDict

import lightning as L
import numpy as np
import torch
from jaxtyping import Complex, Float
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from ptycho.learning.callbacks import Bar
from ptycho.learning.plan import PretrainingPlan
from ptycho.learning.trainer import rate_over_time, trainer, with_schedule
from ptycho.networks.group_updates import group_updater
from ptycho.networks.lifted import sweep_group
from ptycho.networks.network import Network
from ptycho.progress import drawn
from ptycho.simulation.random_scans import DrawnScans, RandomScans

log = logging.getLogger(__name__)

_ITERATIONS = {2: 0.15, 5: 0.3, 10: 0.3, 20: 0.25}
"""Iterations of the physics before the learned steps, and the probability of each number."""

_PARTS = (2, 4, 8, 16)
"""Numbers of parts in which the frames are used; each has the same probability. Few parts average
over the noise, many follow it."""

_LEAST = 1e-5  # mean square error below which a lower one hardly counts: 50 dB
_CLIP = 0.3  # largest norm of a gradient
_LOG_EVERY_S = 60.0


@dataclass(frozen=True, kw_only=True)
class PretrainResult:
    """Result of a training on simulated scans; errors are means over about 100 steps."""

    steps: int
    """Update steps."""

    swept_error_db: float
    """Mean square error of the object before the learned steps, dB."""

    learned_error_db: float
    """The same after them."""


class _StepOutput(TypedDict):
    loss: Tensor
    errors: list[float]  # mean square errors, dB: at first, then after each learned step


def squared_error(
    obj: Complex[Tensor, "scan height width"],
    truth: Complex[Tensor, "scan height width"],
    illumination: Float[Tensor, "scan height width"],
) -> Float[Tensor, " scan"]:
    """Return the mean square error on illuminated pixels, after the best global phase.

        e = sum w |z o - t|^2 / sum w,   w = n / (n + 0.02 max n),   |z| = 1

    Args:
        obj: o, the reconstruction.
        truth: t, the true object.
        illumination: n, photons on each pixel.
    """
    brightest = illumination.amax(dim=(-2, -1), keepdim=True)
    weight = illumination / (illumination + 0.02 * brightest).clamp_min(1e-12)
    weight = weight / weight.sum(dim=(-2, -1), keepdim=True).clamp_min(1e-12)
    product = (weight * obj.conj() * truth).sum(dim=(-2, -1))
    phase = (product / product.abs().clamp_min(1e-12)).detach()
    return (weight * (obj * phase[:, None, None] - truth).abs().square()).sum(dim=(-2, -1))


class _Scans(IterableDataset[DrawnScans]):
    """Endless batches."""

    def __init__(self, scans: RandomScans) -> None:
        self.scans = scans

    def __iter__(self) -> Iterator[DrawnScans]:
        return iter(self.scans)


class _Pretraining(L.LightningModule):
    """One step: some iterations of the physics, then the learned steps, compared with the truth."""

    def __init__(self, network: Network, plan: PretrainingPlan) -> None:
        super().__init__()
        self.network = network
        self.plan = plan
        self.rng = np.random.default_rng(plan.seed)

    def training_step(self, scans: DrawnScans, index: int) -> _StepOutput:
        batch = scans.batch
        frames = batch.forward, batch.corners, batch.measured, scans.probe
        with group_updater(*frames) as updater:
            canvas = sweep_group(
                updater,
                batch,
                int(self.rng.choice(list(_ITERATIONS), p=list(_ITERATIONS.values()))),
                parts=int(self.rng.choice(_PARTS)),
                growth=float(np.exp(self.rng.uniform(np.log(0.05), np.log(0.5)))),
            )
            steps = self.network.steps
            loss, errors = canvas.real.new_zeros(()), []
            for number in range(steps + 1):
                found = updater.step(canvas)
                error = torch.log10(
                    squared_error(canvas, scans.obj, found.illumination) + _LEAST
                ).mean()
                errors.append(10 * float(error.detach()))
                if number:
                    loss = loss + error / steps
                if number < steps:
                    canvas = self.network.step(canvas.detach(), found.step, found.illumination)
        return {"loss": loss, "errors": errors}

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=self.plan.learning_rate, weight_decay=1e-4
        )
        return with_schedule(optimizer, rate_over_time(optimizer, self.plan.budget_s))

    def transfer_batch_to_device(
        self, scans: DrawnScans, device: torch.device, index: int
    ) -> DrawnScans:
        return DrawnScans(scans.batch.to(device), scans.probe.to(device), scans.obj.to(device))


class _Errors(Callback):
    """Averages the errors over the last steps and logs them once a minute.

    Args:
        steps: learned steps of the network.
    """

    def __init__(self, steps: int) -> None:
        self.steps = 0
        self.mean = np.zeros(steps + 1)
        self.started = self.logged = time.perf_counter()

    def on_train_batch_end(self, trainer: L.Trainer, module: Any, outputs: Any, *_: Any) -> None:
        self.steps += 1
        share = max(0.01, 1 / self.steps)
        self.mean = (1 - share) * self.mean + share * np.array(outputs["errors"])
        now = time.perf_counter()
        if now - self.logged > _LOG_EVERY_S:
            self.logged = now
            log.info("%s, %.0f s", self.line(), now - self.started)

    def line(self) -> str:
        """Return the mean errors: at first, then after each learned step."""
        figures = ", ".join(f"{value:.2f}" for value in self.mean)
        return f"step {self.steps:,}: mean square error {figures} dB"


def pretrain(
    network: Network, scans: RandomScans, plan: PretrainingPlan, *, progress: bool = True
) -> PretrainResult:
    """Train the learned step of a network on simulated scans for a given time.

    Args:
        network: one for whole scans; changed in place.
        scans: batches of simulated scans.
        plan: time, learning rate, seed, device.
        progress: draw a progress bar on a terminal.
    """
    errors = _Errors(network.steps)
    callbacks: list[Callback] = [errors]
    if drawn(progress):
        callbacks.append(Bar("training", budget_s=plan.budget_s))
    trainer(plan.device, callbacks, clip=_CLIP, budget_s=plan.budget_s).fit(
        _Pretraining(network, plan), DataLoader(_Scans(scans), batch_size=None)
    )
    network.cpu().eval()
    log.info("%s", errors.line())
    return PretrainResult(
        steps=errors.steps,
        swept_error_db=float(errors.mean[0]),
        learned_error_db=float(errors.mean[-1]),
    )
