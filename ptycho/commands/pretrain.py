"""`ptycho pretrain`: train a general model on simulated scans.

Data flow: settings -> pre-training -> [folder of the run].
"""

import logging
from dataclasses import asdict, replace
from pathlib import Path

from ptycho.api.forecast import (
    Forecast,
    forecast,
    memory_words,
    model_rows,
    output_row,
    peak_memory,
)
from ptycho.api.logs import muted
from ptycho.api.page import leave_page
from ptycho.api.pretraining import Prepared, learn, prepare
from ptycho.commands.running import begun
from ptycho.durations import duration, seconds_of
from ptycho.learning.model_folder import save_model
from ptycho.runs import headline
from ptycho.settings.base import part_of
from ptycho.settings.pretrain import PretrainConfig, PretrainSettings

log = logging.getLogger(__name__)

TRIED_S = 5.0
"""Seconds of training from which a dry run estimates the number of steps."""


def run(config: PretrainConfig) -> Path | Forecast:
    """Train a general network on simulated scans.

    Returns:
        The output folder: trained model and settings; with dry_run what it would take to get there.

    Raises:
        PtychoError: If the settings are invalid or the run fails.
    """
    prepared = prepare(part_of(config, PretrainSettings))
    if config.dry_run:
        return _forecast(config, prepared)
    with begun(config, config.output_dir) as run:
        log.info("training on simulated scans for %s", config.budget)
        with run.stage("training"):
            description = learn(prepared)
        save_model(config.output_dir, prepared.model, description)
        log.info("model in %s", config.output_dir)
        run.finish(headline(config.kind, model=asdict(description)))
        if config.report:
            leave_page(config.output_dir)
    return config.output_dir


def _forecast(config: PretrainConfig, prepared: Prepared) -> Forecast:
    """Return an estimate of the steps, from a few seconds of training."""
    silent = replace(prepared, settings=replace(prepared.settings, progress=False))
    with muted():
        tried = learn(silent, budget_s=TRIED_S).training["steps"]
    seconds = seconds_of(config.budget, "budget")
    return forecast(
        config,
        {"scans": f"simulated, {config.N} x {config.N} pixels a frame"}
        | model_rows(prepared.model, "lifted", prepared.device)
        | {
            "memory": f"peak {memory_words(peak_memory(prepared.device))} in the measured steps",
            "time": f"{duration(seconds)} as asked for: about {tried * seconds / TRIED_S:.2g} "
            f"steps, measured with {tried}",
        }
        | output_row(config.output_dir),
    )
