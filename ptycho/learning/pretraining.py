"""Teaching the learned step on simulated scans, whose truth is known.

Way of the data: simulation -> batches -> [training] -> general model.
Training on a measured scan compares frames with frames and can only learn what that scan shows.
Here the object itself is known, so the step learns what noise, thin overlap and unfinished sweeps
look like, and takes that to scans it has never seen.
"""

import datetime
import logging
import time
from typing import Any

import lightning as L
import numpy as np
import torch
from jaxtyping import Complex, Float
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from ptycho.learning.callbacks import Bar
from ptycho.learning.training import quiet_lightning, rate_over_time
from ptycho.networks.lifted import LiftedUNet, back_project_group, sweep_group
from ptycho.progress import drawn
from ptycho.simulation.random_scans import DrawnScans, RandomScans

log = logging.getLogger(__name__)

_SWEEPS = {2: 0.15, 5: 0.3, 10: 0.3, 20: 0.25}  # before the learned steps; chance of each number
_PARTS = (
    2,
    4,
    8,
    16,
)  # in how many parts the frames are used: few parts average, many follow noise
_LEAST = 1e-5  # mean square error that is good enough: 50 dB
_CLIP = 0.3
_LOG_EVERY_S = 60.0


def squared_error(
    obj: Complex[Tensor, "scan height width"],
    truth: Complex[Tensor, "scan height width"],
    light: Float[Tensor, "scan height width"],
) -> Float[Tensor, " scan"]:
    """Return the mean square error where light fell, after the best global phase.

        e = sum w |z o - t|^2 / sum w,   w = light / (light + 0.02 max light),   |z| = 1

    Args:
        obj: reconstruction.
        truth: what it should be.
        light: photons on each pixel.
    """
    weight = light / (light + 0.02 * light.amax(dim=(-2, -1), keepdim=True)).clamp_min(1e-12)
    weight = weight / weight.sum(dim=(-2, -1), keepdim=True).clamp_min(1e-12)
    product = (weight * obj.conj() * truth).sum(dim=(-2, -1))
    turn = (product / product.abs().clamp_min(1e-12)).detach()
    return (weight * (obj * turn[:, None, None] - truth).abs().square()).sum(dim=(-2, -1))


class _Scans(IterableDataset):
    """Endless batches; a new process or a new epoch starts anew."""

    def __init__(self, scans: RandomScans):
        self.scans = scans

    def __iter__(self):
        return iter(self.scans)


class _Pretraining(L.LightningModule):
    """Sweep by physics for a while, then correct; every correction is compared with the truth."""

    def __init__(self, network: LiftedUNet, learning_rate: float, budget_s: float, seed: int):
        super().__init__()
        self.network = network
        self.learning_rate = learning_rate
        self.budget_s = budget_s
        self.rng = np.random.default_rng(seed)

    def training_step(self, scans: DrawnScans, index: int) -> dict[str, Any]:
        canvas = sweep_group(
            scans.batch,
            scans.probe,
            int(self.rng.choice(list(_SWEEPS), p=list(_SWEEPS.values()))),
            parts=int(self.rng.choice(_PARTS)),
            growth=float(np.exp(self.rng.uniform(np.log(0.05), np.log(0.5)))),
        )
        loss, errors = 0.0, []
        for number in range(self.network.steps + 1):
            with torch.no_grad():
                found = back_project_group(canvas, scans.batch, scans.probe)
            error = torch.log10(
                squared_error(canvas, scans.obj, found.illumination) + _LEAST
            ).mean()
            errors.append(10 * float(error.detach()))
            if number:
                loss = loss + error / self.network.steps
            if number < self.network.steps:
                canvas = self.network.step(canvas.detach(), found.step, found.illumination)
        return {"loss": loss, "errors": errors}

    def configure_optimizers(self) -> dict[str, Any]:
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.learning_rate, weight_decay=1e-4)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {
                "scheduler": rate_over_time(optimizer, self.budget_s), "interval": "step",
            },
        }  # fmt: skip

    def transfer_batch_to_device(self, scans: DrawnScans, device: torch.device, index: int) -> Any:
        return DrawnScans(scans.batch.to(device), scans.probe.to(device), scans.obj.to(device))


class _Told(Callback):
    """Says once a minute how far the learned steps take the error below that of the sweeps."""

    def __init__(self) -> None:
        self.steps = 0
        self.mean: np.ndarray | None = None
        self.started = self.said = time.perf_counter()

    def on_train_batch_end(self, trainer: L.Trainer, module: Any, outputs: Any, *_: Any) -> None:
        self.steps += 1
        errors = np.array(outputs["errors"])
        share = max(0.01, 1 / self.steps)
        self.mean = errors if self.mean is None else (1 - share) * self.mean + share * errors
        now = time.perf_counter()
        if now - self.said > _LOG_EVERY_S:
            self.said = now
            log.info("%s, %.0f s", self.sentence(), now - self.started)

    def sentence(self) -> str:
        """Return the errors of late: of the sweeps, then after each learned step."""
        figures = ", ".join(f"{value:.2f}" for value in self.mean)
        return f"step {self.steps:,}: mean square error {figures} dB"


def pretrain(
    network: LiftedUNet,
    scans: RandomScans,
    *,
    budget_s: float,
    learning_rate: float,
    seed: int,
    device: torch.device,
    progress: bool = True,
) -> dict[str, float | int]:
    """Teach a network's learned step on simulated scans for a given time.

    Args:
        network: changed in place.
        scans: what it learns from.
        budget_s: seconds; the learning rate falls to zero at their end.
        learning_rate: at its peak.
        seed: of how far the sweeps before the step go.
        device: where to compute.
        progress: draw a progress bar on a terminal.

    Returns:
        Steps taken, and the mean square error (dB) of the last hundred, before and after learning.
    """
    quiet_lightning()
    told = _Told()
    trainer = L.Trainer(
        max_epochs=-1,
        max_time=datetime.timedelta(seconds=budget_s),
        accelerator={"cuda": "gpu"}.get(device.type, device.type),
        devices=1,
        logger=False,
        callbacks=[told, *([Bar("learning", budget_s=budget_s)] if drawn(progress) else [])],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        gradient_clip_val=_CLIP,
    )
    module = _Pretraining(network, learning_rate, budget_s, seed)
    trainer.fit(module, DataLoader(_Scans(scans), batch_size=None))
    network.cpu().eval()
    log.info("%s", told.sentence())
    return {
        "steps": told.steps,
        "swept_error_db": float(told.mean[0]),
        "learned_error_db": float(told.mean[-1]),
    }
