"""Training a general network on simulated scans.

Data flow: [simulation -> batches -> network + physics -> trained model].
"""

import dataclasses
import logging
import time
from dataclasses import dataclass

import torch

from ptycho import __version__
from ptycho.api.components import use_threads
from ptycho.durations import seconds_of
from ptycho.grouping import default_neighbor_count
from ptycho.learning.model import PtychoModel
from ptycho.learning.model_folder import ModelSettings, build_model
from ptycho.learning.plan import PretrainingPlan
from ptycho.physics.device import choose_device
from ptycho.settings.pretrain import PretrainSettings
from ptycho.simulation.random_scans import KEPT_FOR_TESTS, RandomScans

log = logging.getLogger(__name__)

GRIDSIZE = 2
"""Of the groups that a general model reconstructs unless another one is asked for."""

STEPS = 2
"""Learned steps, trained one after the other: the second starts from the result of the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A pre-training of which everything has been checked and nothing computed."""

    settings: PretrainSettings
    model: PtychoModel
    description: ModelSettings
    device: torch.device


def prepare(settings: PretrainSettings) -> Prepared:
    """Build the network.

    Args:
        settings: of the pre-training.
    """
    use_threads(settings.threads)
    device = choose_device(settings.device)
    torch.manual_seed(settings.seed)
    description = ModelSettings(
        network="lifted",
        network_options={"width": settings.width, "steps": STEPS},
        gridsize=GRIDSIZE,
        neighbor_count=default_neighbor_count(GRIDSIZE),
        frame_size=settings.N,
        n_modes=1,
        training={
            "data": "simulated scans",
            "pictures_kept_for_tests": list(KEPT_FOR_TESTS),
            "seed": settings.seed,
            "ptycho": __version__,
            "torch": torch.__version__,
        },
    )
    # The probe belongs to each scan; this one is a placeholder.
    model = build_model(description, torch.ones(1, settings.N, settings.N, dtype=torch.complex64))
    return Prepared(settings=settings, model=model, description=description, device=device)


def learn(prepared: Prepared, *, budget_s: float | None = None) -> ModelSettings:
    """Train the model in place; return its description with the results.

    Args:
        prepared: what is trained.
        budget_s: seconds of training; None takes those of the settings.
    """
    from ptycho.learning.pretraining import pretrain  # Lightning takes seconds to import

    settings, described = prepared.settings, prepared.description
    scans = RandomScans(settings.seed, frame_size=settings.N)
    started = time.perf_counter()
    plan = PretrainingPlan(
        budget_s=seconds_of(settings.budget, "budget") if budget_s is None else budget_s,
        learning_rate=settings.learning_rate,
        seed=settings.seed,
        device=prepared.device,
    )
    result = pretrain(prepared.model.network, scans, plan, progress=settings.progress)
    seconds = round(time.perf_counter() - started, 1)
    described.training.update(dataclasses.asdict(result), seconds=seconds)
    return described
