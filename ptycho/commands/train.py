"""`ptycho_train`: scan -> groups -> trained model, in one folder.

Way of the data: [file -> RawData -> groups -> batches -> network + physics -> trained model].
"""

import logging
import time
from dataclasses import replace
from pathlib import Path

import torch

from ptycho import __version__
from ptycho.api.components import (
    ScaledProbe,
    default_batch_size,
    more_modes,
    neighbours_used,
    probe_checksum,
    tell_modes,
    use_threads,
)
from ptycho.api.coverage import save_coverage
from ptycho.api.forecast import (
    Forecast,
    forecast,
    model_rows,
    output_row,
    scan_rows,
    training_rows,
)
from ptycho.api.page import keep_selection, leave_page
from ptycho.api.training_data import open_training_data
from ptycho.api.training_picture import picture_of
from ptycho.durations import seconds_of
from ptycho.errors import ConfigError
from ptycho.learning.model import PtychoModel, decoded_window
from ptycho.learning.model_folder import (
    ModelSettings,
    build_model,
    general_model,
    load_model,
    save_model,
)
from ptycho.learning.prediction import noise_floor
from ptycho.physics.device import choose_device
from ptycho.physics.probe import orthogonal_modes, probe_likeness
from ptycho.report.figures import save_training_curves
from ptycho.report.probe_figure import save_probe
from ptycho.runs.journal import FolderJournal
from ptycho.scan.dataset import GroupDataset, ManyScans
from ptycho.scan.raw_data import RawData
from ptycho.settings.config import TrainConfig, save_settings

log = logging.getLogger(__name__)


def run(config: TrainConfig) -> Path | Forecast:
    """Train a network on a scan.

    Returns:
        The output folder: trained model, checkpoints, logs, settings and training curves; with
        dry_run what it would take to get there.

    Raises:
        PtychoError: If the scan, the settings or the run are unsound.
    """
    use_threads(config.threads)
    device = choose_device(config.device)
    begun = _begun_with(config)
    raw, scaled, groups, split, training, validation = open_training_data(config)
    if config.train_probe and config.gridsize == 1:
        log.warning(
            "train_probe: single frames hardly tell the probe from the object; overlapping ones "
            "do: --gridsize 2"
        )
    torch.manual_seed(config.seed)
    settings = _model_settings(config, raw, scaled)
    if begun is None:
        model = build_model(settings, more_modes(scaled.probe, config.n_modes))
    else:
        model, before = begun
        _check_finetuned(config, before, raw)
        settings = replace(settings, network_options=before.network_options)
        settings.training["finetuned_from"] = config.finetune
        model.set_probe(more_modes(scaled.probe, config.n_modes))
    batch_size = config.batch_size or default_batch_size(config.gridsize**2, raw.frame_size, 32)
    output = config.output_dir
    if config.dry_run:
        return forecast(
            config,
            scan_rows(raw, groups, config, gridsize=config.gridsize, K=config.neighbor_count)
            | model_rows(model, config.network, device)
            | training_rows(config, model, training, validation, batch_size, device)
            | output_row(output),
        )
    output.mkdir(parents=True, exist_ok=True)
    save_settings(config, output)
    save_coverage(output, raw, groups, split=split, sampling=config.sampling)
    keep_selection(output, config, raw, groups)
    _announce(config, training, model)
    journal = FolderJournal(output)
    journal.begin()
    from ptycho.learning.training import fit  # Lightning takes seconds; mistakes show before it

    started = time.perf_counter()
    result = fit(
        model,
        training,
        validation,
        output_dir=output,
        epochs=config.nepochs,
        batch_size=batch_size,
        learning_rate=config.learning_rate or (1e-3 if begun is None else 2e-4),
        loss=config.loss,
        seed=config.seed,
        device=device,
        progress=config.progress,
        probe_rate=config.probe_learning_rate if config.train_probe else None,
        probe_warmup=config.probe_warmup,
        budget_s=None if config.budget is None else seconds_of(config.budget, "budget"),
        finetuning=begun is not None,
        picture=picture_of(raw, groups, device, config.batch_size)
        if config.picture_every
        else None,
        picture_every=config.picture_every,
        journal=journal,
    )
    seconds = time.perf_counter() - started
    if config.train_probe:
        _keep_probe(config, raw, scaled, result.model, settings)
    floor = noise_floor(
        result.model, validation or training, batch_size=batch_size, loss=config.loss
    )
    epochs = max(1, len(result.curves["train_loss"]))
    settings.training.update(
        n_groups=len(training),
        epochs=epochs,
        seconds=round(seconds, 1),
        seconds_per_epoch=round(seconds / epochs, 2),
        best_loss=result.best_loss,
        monitored=result.monitored,
        noise_floor=floor,
    )
    save_model(output, result.model, settings)
    save_training_curves(output / "training_curves.png", result.curves, floor=floor)
    log.info(
        "trained %d epochs in %.0f s (%.1f s per epoch), best %s %.4g; counting noise alone "
        "would leave %.4g; model in %s",
        epochs, seconds, seconds / epochs, result.monitored,
        result.best_loss, floor, output,
    )  # fmt: skip
    leave_page(config)
    return output


def _begun_with(config: TrainConfig) -> tuple[PtychoModel, ModelSettings] | None:
    """Return the model to start from, if one is asked for."""
    if config.finetune is None:
        return None
    return load_model(general_model() if config.finetune == "general" else Path(config.finetune))


def _check_finetuned(config: TrainConfig, before: ModelSettings, raw: RawData) -> None:
    """Refuse what the weights to start from cannot do."""
    asked = {"network": config.network}
    known = {"network": before.network}
    if before.network == "unet":
        asked |= {"gridsize": config.gridsize, "N": raw.frame_size}
        known |= {"gridsize": before.gridsize, "N": before.frame_size}
    for name, value in asked.items():
        if value != known[name]:
            raise ConfigError(
                f"{name}: {value}; expected {known[name]}, with which {config.finetune} was trained"
            )


def _keep_probe(
    config: TrainConfig,
    raw: RawData,
    scaled: ScaledProbe,
    model: PtychoModel,
    settings: ModelSettings,
) -> None:
    """Leave the trained probe in the model in its plainest form, tell of it and draw it."""
    model.set_probe(orthogonal_modes(model.probe.detach()))
    settings.training["probe_trained_from"] = probe_checksum(raw)
    likeness = probe_likeness(scaled.probe, model.probe)
    log.info("probe: trained; its light agrees to %.1f %% with the one given", 100 * likeness)
    tell_modes(model.probe)
    save_probe(config.output_dir / "probe.png", scaled.probe.numpy(), model.probe.numpy())


def _model_settings(config: TrainConfig, raw: RawData, scaled: ScaledProbe) -> ModelSettings:
    return ModelSettings(
        network=config.network,
        network_options=_network_options(config, scaled),
        gridsize=config.gridsize,
        neighbor_count=neighbours_used(config.gridsize, config.neighbor_count),
        frame_size=raw.frame_size,
        n_modes=config.n_modes or len(scaled.probe),
        training={
            "data": config.train_data_file.name,
            "n_frames": raw.n_frames,
            "photons_per_frame": raw.photons_per_frame(),
            "sampling": config.sampling,
            "loss": config.loss,
            "seed": config.seed,
            "ptycho": __version__,
            "torch": torch.__version__,
        },
    )


def _network_options(config: TrainConfig, scaled: ScaledProbe) -> dict[str, int]:
    if config.network == "unet":
        return {"window": decoded_window(scaled.probe)}
    return {}


def _announce(
    config: TrainConfig, training: GroupDataset | ManyScans, model: torch.nn.Module
) -> None:
    n_parameters = sum(p.numel() for p in model.parameters())
    log.info(
        "network %s: %.2f M parameters, decodes the central %d of %d pixels; %s samples, %s",
        config.network, n_parameters / 1e6, model.window, model.probe.shape[-1],
        f"{len(training):,}",
        f"{config.nepochs} epochs" if config.budget is None else config.budget,
    )  # fmt: skip
