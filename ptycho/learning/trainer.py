"""What training and pre-training share: Lightning without its messages, and the learning rate.

Data flow: batches -> network + physics -> [training] -> trained model.
"""

import datetime
import logging
import math
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch.optim.lr_scheduler import LambdaLR, LRScheduler


def quiet_lightning() -> None:
    """Silence messages that do not concern the user: worker counts, hardware lists, tips."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"lightning\..*")
    warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")


def trainer(
    device: torch.device,
    callbacks: Sequence[Callback],
    *,
    clip: float,
    epochs: int | None = None,
    budget_s: float | None = None,
    folder: Path | None = None,
) -> L.Trainer:
    """Return a trainer for one device, without messages of its own.

    Args:
        device: where to compute.
        callbacks: in the order of their calls.
        clip: largest norm of a gradient.
        epochs: number of epochs, if `budget_s` is None.
        budget_s: seconds after which the training ends.
        folder: gets `logs/`; None keeps no logs.
    """
    quiet_lightning()
    loggers = [] if folder is None else [
        CSVLogger(folder, name="logs", version="csv"),
        TensorBoardLogger(folder, name="logs", version="tensorboard"),
    ]  # fmt: skip
    return L.Trainer(
        max_epochs=-1 if budget_s is not None else epochs,
        max_time=None if budget_s is None else datetime.timedelta(seconds=budget_s),
        accelerator={"cuda": "gpu"}.get(device.type, device.type),
        devices=1,
        logger=loggers,
        callbacks=list(callbacks),
        enable_checkpointing=folder is not None,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        gradient_clip_val=clip,
    )


def with_schedule(
    optimizer: torch.optim.Optimizer, schedule: LRScheduler
) -> OptimizerLRSchedulerConfig:
    """Return an optimiser whose learning rate changes after every step."""
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def rate_over_time(optimizer: torch.optim.Optimizer, budget_s: float) -> LRScheduler:
    """Return a schedule of the learning rate for a training that ends after a time.

    The rate rises over the first twentieth of the time and falls to zero as a cosine; the time
    starts with the first step.

    Args:
        optimizer: its learning rates are the peak values.
        budget_s: seconds of the training.
    """
    started: list[float] = []

    def share(step: int) -> float:
        if not started and step > 0:
            started.append(time.perf_counter())
        passed = (time.perf_counter() - started[0]) / budget_s if started else 0.0
        return min(1.0, 20 * passed + 0.02) * max(0.0, 0.5 + 0.5 * math.cos(math.pi * passed))

    return LambdaLR(optimizer, share)
