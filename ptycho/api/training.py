"""Training a network on the measured frames of a scan; no ground truth is needed.

Data flow: [RawData -> groups -> batches -> network + physics -> trained model].
"""

import dataclasses
import logging
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ptycho import __version__
from ptycho.api.components import use_threads
from ptycho.api.grouping import groups_of, neighbours_used
from ptycho.api.loading import load
from ptycho.api.logs import collected_warnings
from ptycho.api.trained_model import TrainedModel
from ptycho.api.training_data import Scans, TrainingData, prepare_data
from ptycho.api.training_picture import picture_of
from ptycho.durations import seconds_of
from ptycho.engines.nuisances import log_modes, more_modes
from ptycho.errors import ConfigError
from ptycho.learning.model import PtychoModel, decoded_window
from ptycho.learning.model_folder import ModelSettings, build_model, general_model, load_model
from ptycho.learning.plan import Pictures, ProbeTraining, TrainingOutput, TrainingPlan
from ptycho.learning.prediction import noise_floor
from ptycho.networks import NETWORKS
from ptycho.physics.device import choose_device
from ptycho.physics.probe import orthogonal_modes, probe_likeness
from ptycho.runs.files import HISTORY_FILE
from ptycho.runs.journal import FolderJournal
from ptycho.scan.dataset import default_batch_size
from ptycho.scan.raw_data import RawData
from ptycho.scan.scaling import ScaledProbe, probe_checksum
from ptycho.settings.base import from_mapping
from ptycho.settings.train import TrainSettings

log = logging.getLogger(__name__)


def train(
    scan: RawData | Path | str,
    /,
    *,
    more_train_data: Iterable[RawData | Path | str] = (),
    test_data_file: RawData | Path | str | None = None,
    finetune: TrainedModel | Path | str | None = None,
    **settings: Any,
) -> TrainedModel:
    """Train a network on the frames of a scan.

    Args:
        scan: the scan, or its file.
        more_train_data: further scans to train on, each with its own probe and dose.
        test_data_file: another scan for validation; None holds out a part of the first.
        finetune: trained model to start from: a value, its folder, or "general" for the model that
            comes with the package; None starts from random weights.
        **settings: any setting of `ptycho train` by name, such as gridsize, n_images, nepochs,
            budget, loss, seed.

    Raises:
        ConfigError: If a setting is unknown or has a wrong value.
        PtychoError: If a scan is invalid or cannot form the groups asked for.
    """
    start = finetune if isinstance(finetune, TrainedModel) else None
    if start is None and finetune is not None:
        settings["finetune"] = str(finetune)
    chosen = from_mapping(TrainSettings, settings, where="ptycho.train")
    scans = Scans(
        opened(scan),
        [opened(each) for each in more_train_data],
        None if test_data_file is None else opened(test_data_file),
    )
    prepared = prepare(scans, chosen, start=start)
    with tempfile.TemporaryDirectory() as folder:
        trained = learn(prepared, Path(folder))
    return trained


def opened(scan: RawData | Path | str) -> RawData:
    """Return a scan, read from its file if a file is given."""
    return scan if isinstance(scan, RawData) else load(scan)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A training of which everything has been checked and nothing computed."""

    settings: TrainSettings
    data: TrainingData
    model: PtychoModel
    description: ModelSettings
    device: torch.device
    batch_size: int
    """Groups per update step."""
    finetuning: bool
    """Whether the weights come from another training."""


def prepare(
    scans: Scans, settings: TrainSettings, *, start: TrainedModel | None = None
) -> Prepared:
    """Choose groups, build the network and check that everything fits.

    Args:
        scans: one or several.
        settings: of the training.
        start: trained model whose weights are the start; None for that of `settings.finetune`.

    Raises:
        PtychoError: If a scan or a setting is invalid.
    """
    use_threads(settings.threads)
    device = choose_device(settings.device)
    begun = _begun_with(settings, start)
    data = prepare_data(scans, settings)
    if settings.train_probe and settings.gridsize == 1:
        log.warning(
            "train_probe: single frames hardly separate the probe from the object; use overlapping "
            "frames: --gridsize 2"
        )
    if scans.further and settings.train_probe:
        raise ConfigError("train_probe: with more_train_data; expected one scan, one probe")
    torch.manual_seed(settings.seed)
    description = _description(settings, data)
    probe = more_modes(data.scaled.probe, settings.n_modes)
    if begun is None:
        model = build_model(description, probe)
    else:
        model, before = begun
        _check_finetuned(settings, before, data.raw)
        options = before.network_options
        description = dataclasses.replace(description, network_options=options)
        description.training["finetuned_from"] = settings.finetune
        model.set_probe(probe)
    size = default_batch_size(settings.gridsize**2, data.raw.frame_size, 32)
    return Prepared(
        settings=settings, data=data, model=model, description=description, device=device,
        batch_size=settings.batch_size or size, finetuning=begun is not None,
    )  # fmt: skip


def learn(
    prepared: Prepared,
    folder: Path,
    *,
    journal: FolderJournal | None = None,
    picture_every: int = 0,
) -> TrainedModel:
    """Train the network.

    Args:
        prepared: what is trained on what; its model is changed.
        folder: gets checkpoints, logs and history.jsonl during the training.
        journal: keeps the history; None makes one in the folder.
        picture_every: epochs between two pictures of the object; 0 for none.

    Raises:
        ModelError: If the loss becomes NaN.
    """
    settings, data = prepared.settings, prepared.data
    _report_start(prepared)
    from ptycho.learning.training import fit  # Lightning takes seconds to import

    journal = journal or FolderJournal(folder)
    journal.begin()
    pictures = None
    if picture_every:
        make = picture_of(data.raw, data.members, prepared.device, settings.batch_size)
        pictures = Pictures(make=make, every=picture_every)
    output = TrainingOutput(
        folder=folder, journal=journal, progress=settings.progress, pictures=pictures
    )
    started = time.perf_counter()
    with collected_warnings() as warnings:
        result = fit(prepared.model, data.training, data.validation, _plan(prepared), output)
    seconds = time.perf_counter() - started
    training = dict(prepared.description.training)
    if settings.train_probe:
        _settle_probe(data.scaled, result.model)
        training["probe_trained_from"] = probe_checksum(data.raw)
    floor = noise_floor(
        result.model, data.validation or data.training, batch_size=prepared.batch_size,
        loss=settings.loss,
    )  # fmt: skip
    epochs = max(1, len(result.curves["train_loss"]))
    training |= {
        "n_groups": len(data.training),
        "epochs": epochs,
        "seconds": round(seconds, 1),
        "seconds_per_epoch": round(seconds / epochs, 2),
        "best_loss": result.best_loss,
        "monitored": result.monitored,
        "loss_before": result.loss_before,
        "noise_floor": floor,
    }
    log.info(
        "trained: %d epochs in %.0f s (%.1f s per epoch), best %s %.4g, counting noise %.4g",
        epochs, seconds, seconds / epochs, result.monitored, result.best_loss, floor,
    )  # fmt: skip
    return TrainedModel(
        model=result.model,
        description=dataclasses.replace(prepared.description, training=training),
        settings=settings,
        curves=result.curves,
        scan=data.raw,
        groups=groups_of(data.raw, settings, data.members),
        split=data.split,
        given_probe=data.scaled.probe.numpy() if settings.train_probe else None,
        history=(folder / HISTORY_FILE).read_text(encoding="utf-8"),
        warnings=(*data.raw.warnings, *warnings),
    )


def _plan(prepared: Prepared) -> TrainingPlan:
    settings = prepared.settings
    probe = None
    if settings.train_probe:
        probe = ProbeTraining(rate=settings.probe_learning_rate, warmup=settings.probe_warmup)
    return TrainingPlan(
        epochs=settings.nepochs,
        batch_size=prepared.batch_size,
        learning_rate=settings.learning_rate or (2e-4 if prepared.finetuning else 1e-3),
        loss=settings.loss,
        seed=settings.seed,
        device=prepared.device,
        budget_s=None if settings.budget is None else seconds_of(settings.budget, "budget"),
        probe=probe,
        keep_start=prepared.finetuning,
    )


def _begun_with(
    settings: TrainSettings, start: TrainedModel | None
) -> tuple[PtychoModel, ModelSettings] | None:
    """Return the model to start from, if one is asked for."""
    if start is not None:
        rebuilt = build_model(start.description, start.model.probe.detach())
        rebuilt.load_state_dict(start.model.state_dict())
        return rebuilt, start.description
    if settings.finetune is None:
        return None
    named = settings.finetune
    return load_model(general_model() if named == "general" else Path(named))


def _check_finetuned(settings: TrainSettings, before: ModelSettings, raw: RawData) -> None:
    """Raise ConfigError if the weights to start from do not fit."""
    asked: dict[str, Any] = {"network": settings.network}
    known: dict[str, Any] = {"network": before.network}
    if not NETWORKS[before.network].any_gridsize:
        asked["gridsize"], known["gridsize"] = settings.gridsize, before.gridsize
    if not NETWORKS[before.network].any_frame_size:
        asked["N"], known["N"] = raw.frame_size, before.frame_size
    for name, value in asked.items():
        if value != known[name]:
            named = settings.finetune or "finetune"
            raise ConfigError(
                f"{name}: {value}; expected {known[name]}, with which {named} was trained"
            )


def _settle_probe(scaled: ScaledProbe, model: PtychoModel) -> None:
    """Make the modes of a trained probe orthogonal and log how far it moved."""
    model.set_probe(orthogonal_modes(model.probe.detach()))
    likeness = probe_likeness(scaled.probe, model.probe)
    log.info("probe: refined; agrees to %.1f %% with the probe of the scan", 100 * likeness)
    log_modes(model.probe)


def _description(settings: TrainSettings, data: TrainingData) -> ModelSettings:
    raw = data.raw
    window = decoded_window(data.scaled.probe)
    return ModelSettings(
        network=settings.network,
        network_options=NETWORKS[settings.network].default_options(window),
        gridsize=settings.gridsize,
        neighbor_count=neighbours_used(settings.gridsize, settings.neighbor_count),
        frame_size=raw.frame_size,
        n_modes=settings.n_modes or len(data.scaled.probe),
        training={
            "data": "scan in memory" if raw.path is None else raw.path.name,
            "n_frames": raw.n_frames,
            "photons_per_frame": raw.photons_per_frame(),
            "sampling": settings.sampling,
            "loss": settings.loss,
            "seed": settings.seed,
            "ptycho": __version__,
            "torch": torch.__version__,
        },
    )


def _report_start(prepared: Prepared) -> None:
    settings, model = prepared.settings, prepared.model
    n_parameters = sum(p.numel() for p in model.parameters())
    log.info(
        "network %s: %.2f M parameters, decodes the central %d of %d pixels; %s samples, %s",
        settings.network, n_parameters / 1e6, model.window, model.probe.shape[-1],
        f"{len(prepared.data.training):,}",
        f"{settings.nepochs} epochs" if settings.budget is None else settings.budget,
    )  # fmt: skip
