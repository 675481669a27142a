"""`ptycho_train`: scan -> groups -> trained model, in one folder.

Way of the data: [file -> RawData -> groups -> batches -> network + physics -> trained model].
"""

import logging
import time
from pathlib import Path

import numpy as np
import torch

from ptycho import __version__
from ptycho.bundle import ModelSettings, build_model, save_model
from ptycho.config import TrainConfig, save_settings
from ptycho.dataset import GroupDataset
from ptycho.errors import ConfigError
from ptycho.grouping import Parts, Split, split_groups, split_parts
from ptycho.inference import choose_device, noise_floor
from ptycho.model import PtychoModel, decoded_window
from ptycho.physics.probe import orthogonal_modes, probe_fwhm, probe_likeness
from ptycho.raw_data import RawData
from ptycho.report.figures import save_training_curves
from ptycho.report.probe_figure import save_probe
from ptycho.workflows.components import (
    Groups,
    ScaledProbe,
    choose_groups,
    default_batch_size,
    load_data,
    more_modes,
    neighbours_used,
    probe_checksum,
    scaled_probe,
    tell_modes,
    use_threads,
)
from ptycho.workflows.coverage import save_coverage

log = logging.getLogger(__name__)


def run(config: TrainConfig) -> Path:
    """Train a network on a scan.

    Returns:
        The output folder: trained model, checkpoints, logs, settings and training curves.

    Raises:
        PtychoError: If the scan, the settings or the run are unsound.
    """
    use_threads(config.threads)
    device = choose_device(config.device)
    raw = _open(config.train_data_file, config, config.N)
    groups = choose_groups(raw, config, config.gridsize)
    scaled = scaled_probe(raw)
    training, validation, split = _parts(config, raw, groups, scaled)
    for part in (training, validation):
        if (
            part is not None
        ):  # a bad frame shows now, not after an hour, and before anything is written
            part.raw.check_frames(np.unique(part.groups))
    if config.train_probe and config.gridsize == 1:
        log.warning(
            "train_probe: single frames hardly tell the probe from the object; overlapping ones "
            "do: --gridsize 2"
        )
    torch.manual_seed(config.seed)
    settings = _model_settings(config, raw, scaled)
    model = build_model(settings, more_modes(scaled.probe, config.n_modes))
    output = config.output_dir
    output.mkdir(parents=True, exist_ok=True)
    save_settings(config, output)
    save_coverage(output, raw, groups, split=split, sampling=config.sampling)
    _announce(config, training, model)
    batch_size = config.batch_size or default_batch_size(config.gridsize**2, raw.frame_size, 32)
    from ptycho.training import fit  # Lightning takes seconds; mistakes show before it

    started = time.perf_counter()
    result = fit(
        model,
        training,
        validation,
        output_dir=output,
        epochs=config.nepochs,
        batch_size=batch_size,
        learning_rate=config.learning_rate,
        loss=config.loss,
        seed=config.seed,
        device=device,
        progress=config.progress,
        probe_rate=config.probe_learning_rate if config.train_probe else None,
        probe_warmup=config.probe_warmup,
    )
    seconds = time.perf_counter() - started
    if config.train_probe:
        _keep_probe(config, raw, scaled, result.model, settings)
    floor = noise_floor(
        result.model, validation or training, batch_size=batch_size, loss=config.loss
    )
    settings.training.update(
        n_groups=len(training),
        epochs=len(result.curves["train_loss"]),
        seconds=round(seconds, 1),
        seconds_per_epoch=round(seconds / config.nepochs, 2),
        best_loss=result.best_loss,
        monitored=result.monitored,
        noise_floor=floor,
    )
    save_model(output, result.model, settings)
    save_training_curves(output / "training_curves.png", result.curves, floor=floor)
    log.info(
        "trained %d epochs in %.0f s (%.1f s per epoch), best %s %.4g; counting noise alone "
        "would leave %.4g; model in %s",
        config.nepochs, seconds, seconds / config.nepochs, result.monitored,
        result.best_loss, floor, output,
    )  # fmt: skip
    return output


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


def _open(path: Path, config: TrainConfig, frame_size: int | None) -> RawData:
    return load_data(
        path, measurement=config.measurement, frame_size=frame_size, nphotons=config.nphotons,
        mask=config.mask,
    )  # fmt: skip


def _watched(config: TrainConfig, raw: RawData, scaled: ScaledProbe) -> RawData:
    """Open the scan that watches the training, scaled to the photons of the one trained on."""
    watched = _open(config.test_data_file, config, raw.frame_size)
    likeness = probe_likeness(scaled.probe, torch.from_numpy(watched.probe))
    if likeness < 0.9:
        raise ConfigError(
            f"test_data_file: {config.test_data_file}: its probe agrees to {100 * likeness:.0f} % "
            "with the one trained with; expected the same probe"
        )
    return watched.scaled_to(raw.photons_per_frame())


def _parts(
    config: TrainConfig, raw: RawData, groups: Groups, scaled: ScaledProbe
) -> tuple[GroupDataset, GroupDataset | None, Split | Parts | None]:
    """Return what is learned from, what watches the learning, and how one scan was split."""
    if config.test_data_file is not None:
        watched = _watched(config, raw, scaled)
        of_watched = choose_groups(watched, config, config.gridsize)
        return GroupDataset(raw, groups), GroupDataset(watched, of_watched), None
    guard = config.guard if config.guard is not None else probe_fwhm(scaled.probe)
    scan = raw.xcoords, raw.ycoords, groups
    share, rest = config.validation_fraction, {"guard": guard, "seed": config.seed}
    if config.test_fraction or config.held_out != "block":
        split = split_parts(
            *scan, validation=share, test=config.test_fraction, shape=config.held_out, **rest
        )
    else:
        split = split_groups(*scan, fraction=share, **rest)
    log.info("%s", split.sentence())
    validation = GroupDataset(raw, split.validation) if len(split.validation) else None
    return GroupDataset(raw, split.training), validation, split


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


def _announce(config: TrainConfig, training: GroupDataset, model: torch.nn.Module) -> None:
    n_parameters = sum(p.numel() for p in model.parameters())
    log.info(
        "network %s: %.2f M parameters, decodes the central %d of %d pixels; %s samples, %d epochs",
        config.network, n_parameters / 1e6, model.window, model.probe.shape[-1],
        f"{len(training):,}", config.nepochs,
    )  # fmt: skip
