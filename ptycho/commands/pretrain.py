"""`ptycho pretrain`: simulated scans -> a general model, in one folder.

Way of the data: [simulation -> batches -> network + physics -> trained model].
"""

import logging
import time
from pathlib import Path

import torch

from ptycho import __version__
from ptycho.api.components import use_threads
from ptycho.api.forecast import (
    Forecast,
    forecast,
    memory_words,
    model_rows,
    output_row,
    peak_memory,
)
from ptycho.api.page import leave_page
from ptycho.commands.console import unsaid
from ptycho.durations import duration, seconds_of
from ptycho.grouping import default_neighbor_count
from ptycho.learning.model import PtychoModel
from ptycho.learning.model_folder import ModelSettings, build_model, save_model
from ptycho.physics.device import choose_device
from ptycho.settings.config import save_settings
from ptycho.settings.pretrain import PretrainConfig
from ptycho.simulation.random_scans import KEPT_FOR_TESTS, RandomScans

log = logging.getLogger(__name__)

TRIED_S = 5.0
"""Seconds of training by which a dry run tells how many steps there will be."""

GRIDSIZE = 2
STEPS = 2  # learned, one after the other: the second starts where the first has ended
"""Of the groups a general model reconstructs when nothing else is asked for."""


def run(config: PretrainConfig) -> Path | Forecast:
    """Train a general network on simulated scans.

    Returns:
        The output folder: trained model and settings; with dry_run what it would take to get there.

    Raises:
        PtychoError: If the settings are unsound or the run fails.
    """
    use_threads(config.threads)
    device = choose_device(config.device)
    torch.manual_seed(config.seed)
    settings = ModelSettings(
        network="lifted",
        network_options={"width": config.width, "steps": STEPS},
        gridsize=GRIDSIZE,
        neighbor_count=default_neighbor_count(GRIDSIZE),
        frame_size=config.N,
        n_modes=1,
        training={
            "data": "simulated scans",
            "pictures_kept_for_tests": list(KEPT_FOR_TESTS),
            "seed": config.seed,
            "ptycho": __version__,
            "torch": torch.__version__,
        },
    )
    # The probe belongs to each scan; this one is never looked at.
    model = build_model(settings, torch.ones(1, config.N, config.N, dtype=torch.complex64))
    from ptycho.learning.pretraining import (
        pretrain,  # Lightning takes seconds; mistakes show before it
    )

    if config.dry_run:
        return _forecast(config, model, device)
    config.output_dir.mkdir(parents=True, exist_ok=True)
    save_settings(config, config.output_dir)
    log.info("drawing pictures and probes; training for %s", config.budget)
    scans = RandomScans(config.seed, frame_size=config.N)
    started = time.perf_counter()
    figures = pretrain(
        model.network, scans, budget_s=seconds_of(config.budget, "budget"),
        learning_rate=config.learning_rate, seed=config.seed, device=device,
        progress=config.progress,
    )  # fmt: skip
    settings.training.update(figures, seconds=round(time.perf_counter() - started, 1))
    save_model(config.output_dir, model, settings)
    log.info("general model in %s", config.output_dir)
    leave_page(config)
    return config.output_dir


def _forecast(config: PretrainConfig, model: PtychoModel, device: torch.device) -> Forecast:
    """Tell of the training after a few seconds of it."""
    from ptycho.learning.pretraining import pretrain

    with unsaid():
        figures = pretrain(
            model.network, RandomScans(config.seed, frame_size=config.N), budget_s=TRIED_S,
            learning_rate=config.learning_rate, seed=config.seed, device=device, progress=False,
        )  # fmt: skip
    seconds = seconds_of(config.budget, "budget")
    steps = figures["steps"] * seconds / TRIED_S
    return forecast(
        config,
        {"scans": f"simulated, {config.N} x {config.N} pixels a frame"}
        | model_rows(model, "lifted", device)
        | {
            "memory": f"{memory_words(peak_memory(device))} at the highest, in the steps tried",
            "time": f"{duration(seconds)} as asked for: about {steps:.2g} steps, "
            f"measured with {figures['steps']}",
        }
        | output_row(config.output_dir),
    )
