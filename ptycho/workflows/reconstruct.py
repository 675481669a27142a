"""`ptycho_inference`: trained model + scan -> patches -> object, with arrays, pictures and figures.

Way of the data: [file -> RawData -> groups -> batches -> trained model -> patches -> object].
"""

import functools
import logging
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ptycho.bundle import ModelSettings, general_model, load_model
from ptycho.config import InferenceConfig, save_settings
from ptycho.config_refine import RefineConfig
from ptycho.console import progress
from ptycho.dataset import GroupDataset
from ptycho.errors import ConfigError, ModelError
from ptycho.grouping import get_neighbor_indices
from ptycho.inference import choose_device, frame_residuals, predict_patches, unexplained_light
from ptycho.learned_sweeps import learned_sweeps
from ptycho.model import PtychoModel
from ptycho.nuisance import MOST_MOVED, Nuisances
from ptycho.physics.overlap import merge_weight
from ptycho.physics.patches import Canvas, canvas_of, window_corners
from ptycho.physics.probe import orthogonal_modes, probe_intensity, scale_probe
from ptycho.raw_data import RawData
from ptycho.stitching import stitch
from ptycho.sweeps import Swept, sweep_scan
from ptycho.workflows.components import (
    Groups,
    ScaledProbe,
    choose_groups,
    default_batch_size,
    load_data,
    more_modes,
    probe_checksum,
    scaled_probe,
    tell_modes,
    use_threads,
)
from ptycho.workflows.page import leave_page
from ptycho.workflows.reconstruction_output import Reconstruction, write

log = logging.getLogger(__name__)

PIXELS_AT_ONCE = 2**20
"""Pixels of detector waves held together while residuals are computed: about 100 MB."""


LEARNED_OF_SWEEPS = 2
"""The last of a given number of sweeps, done by the learned step of networks that have one."""


FOREIGN = 0.05
"""Share of the light unexplained by a network's own object from which on its scan is called unlike
those it learned from: 0.2 to 3 % on simulated scans like those, 14 % on a measured one whose probe
is wrong. Positions that are wrong by little, or at low dose, are not noticed."""

WRONG = 0.03
"""The same after sweeps, from which on probe or positions are doubted: 0.04 to 2.5 % on scans as
told, 1.4 to 8 % with a defocused probe or positions that are transposed or mirrored. No share tells
them apart for certain; this one raises few false alarms."""


def run(config: InferenceConfig) -> Path:
    """Reconstruct a scan with a trained model.

    Returns:
        The output folder: reconstruction.npz, pictures, metrics.json.

    Raises:
        PtychoError: If model, scan or settings do not fit together.
    """
    use_threads(config.threads)
    device = choose_device(config.device)
    model, settings = load_model(config.model_path or general_model())
    settings = _chosen_gridsize(config, settings)
    raw = load_data(
        config.test_data, measurement=config.measurement, frame_size=config.N, mask=config.mask
    )
    raw = one_scan(config, raw)
    _check_frames(config, settings, raw)
    groups = _groups(config, settings, raw)
    started = time.perf_counter()
    scaled = _start_probe(config, settings, model, raw)
    result = reconstruct(model, raw, groups, scaled, config, device)
    seconds = time.perf_counter() - started
    config.output_dir.mkdir(parents=True, exist_ok=True)
    save_settings(config, config.output_dir)
    write(config, raw, result)
    log.info(
        "reconstructed %s frames in %.1f s (%.0f frames/s with loading and stitching), "
        "detector residual %.3g; results in %s",
        f"{len(result.frames):,}", seconds, len(result.frames) / seconds,
        float(np.nanmean(result.residuals)), config.output_dir,
    )  # fmt: skip
    leave_page(config, raw, groups)
    return config.output_dir


def reconstruct(
    model: PtychoModel,
    raw: RawData,
    groups: Groups,
    scaled: ScaledProbe,
    config: InferenceConfig,
    device: torch.device,
) -> Reconstruction:
    """Predict the patches of some groups, stitch them into one object, and sweep that.

    Args:
        model: trained; takes over the probe.
        raw: the scan.
        groups: frame indices, one row per group.
        scaled: the probe of the scan.
        config: batch size, progress.
        device: where the network computes.
    """
    model.set_probe(scaled.probe)
    batch_size = config.batch_size or default_batch_size(groups.shape[1], raw.frame_size, 64)
    show = functools.partial(progress, label="reconstructing", enabled=config.progress)
    predicted = predict_patches(
        model, GroupDataset(raw, groups), batch_size=batch_size, device=device,
        track=lambda batches, total: show(batches, total=total),
    )  # fmt: skip
    frames = np.unique(groups)
    size, window = raw.frame_size, model.window
    canvas = canvas_of(torch.from_numpy(raw.positions[frames]), size)
    if config.refine_positions:
        canvas = canvas.widened(int(MOST_MOVED) + 2)
    first = size // 2 - window // 2
    corners, _ = window_corners(torch.from_numpy(raw.positions[predicted.members.numpy()]), size)
    weight = merge_weight(scaled.probe)[first : first + window, first : first + window]
    stitched = stitch(
        predicted.patches,
        corners - torch.tensor(canvas.origin) + first,
        weight,
        canvas.shape,
        group_of=predicted.group_of,
    )
    seen = stitched.coverage > 0
    # Windows reach a little beyond what was reconstructed; the mean stands there for the unknown.
    filled = torch.where(seen, stitched.obj, stitched.obj[seen].mean())
    singles = GroupDataset(raw, frames[:, None])
    beside = Nuisances.given(scaled.probe, singles)
    start = Swept(filled, scaled.probe, [], 0, beside)
    foreign = unexplained_light(filled, canvas, scaled.probe, singles)
    if foreign > FOREIGN:
        log.warning(
            "the network leaves %.1f %% of the light unexplained beyond counting noise, above %.0f "
            "%%: this scan is unlike those it learned from; sweeps may mend it, or ptycho_train "
            "--finetune", 100 * foreign, 100 * FOREIGN,
        )  # fmt: skip
    swept = _sweep(model, start, canvas, singles, config, device)
    for sentence in swept.beside.sentences(beside, frames, raw.photons_per_frame()):
        log.info("%s", sentence)
    at_once = max(1, PIXELS_AT_ONCE // raw.probe.size)
    residuals = frame_residuals(
        swept.obj, canvas, swept.probe, singles, batch_size=at_once, beside=swept.beside
    )
    wrong = unexplained_light(swept.obj, canvas, swept.probe, singles, beside=swept.beside)
    if swept.kept > 0 and wrong > WRONG:
        log.warning(
            "%.1f %% of the light is unexplained beyond counting noise, even after the sweeps; "
            "check probe and positions (order, sign, unit), or try --refine_probe, "
            "--refine_positions, --refine_background", 100 * wrong,
        )  # fmt: skip
    return Reconstruction(
        obj=torch.where(seen, swept.obj * scaled.transmission, 0).numpy(),
        coverage=stitched.coverage.numpy(),
        origin=canvas.origin,
        frames=frames,
        residuals=residuals.numpy(),
        probe=swept.probe.numpy() / scaled.transmission,
        free_residual=swept.free_residual,
        sweeps=swept.kept,
        beside=swept.beside,
        unexplained=(foreign, wrong),
    )


def _sweep(
    model: PtychoModel,
    start: Swept,
    canvas: Canvas,
    dataset: GroupDataset,
    config: InferenceConfig,
    device: torch.device,
) -> Swept:
    """Return the object after the sweeps asked for: by physics, at last by the learned step."""
    learned = getattr(model.network, "step", None)
    physical, last = config.sweeps, 0 if learned is None else None
    if config.sweeps is not None:
        last = 0 if learned is None else min(LEARNED_OF_SWEEPS, config.sweeps)
        physical = config.sweeps - last
    show = functools.partial(progress, label="sweeping", enabled=config.progress)
    shared = {
        "batch_size": default_batch_size(1, dataset.raw.frame_size, 32), "seed": config.seed,
        "device": device, "track": lambda numbers, total: show(numbers, total=total),
    }  # fmt: skip
    swept = start
    if physical != 0:
        swept = sweep_scan(
            start.obj, canvas, more_modes(start.probe, config.n_modes), dataset, sweeps=physical,
            refine_probe=config.refine_probe, refine_positions=config.refine_positions,
            refine_intensity=config.refine_intensity, refine_background=config.refine_background,
            **shared,
        )  # fmt: skip
        if config.refine_probe:
            swept = swept._replace(probe=orthogonal_modes(swept.probe))
            tell_modes(swept.probe)
        log.info(
            "sweeps: %d kept of %d; held-out pixels missed by %.4g at first, %.4g at best",
            swept.kept, len(swept.free_residual), swept.free_residual[0],
            swept.free_residual[swept.kept - 1],
        )  # fmt: skip
    if last != 0:
        before = swept
        swept = learned_sweeps(before, canvas, dataset, learned, sweeps=last, **shared)
        log.info(
            "learned sweeps: %d kept of %d; held-out pixels missed by %s",
            swept.kept - before.kept, len(swept.free_residual) - len(before.free_residual),
            ", ".join(f"{value:.4g}" for value in swept.free_residual[len(before.free_residual):]),
        )  # fmt: skip
    return swept


def _start_probe(
    config: InferenceConfig, settings: ModelSettings, model: PtychoModel, raw: RawData
) -> ScaledProbe:
    """Return the scan's probe, or what training made of it.

    A trained probe belongs to the scan it was trained on. So it is taken only when this scan tells
    the very probe it was trained from, or when that is asked for.
    """
    scaled = scaled_probe(raw)
    same = settings.training.get("probe_trained_from") == probe_checksum(raw)
    if not (same or config.use_model_probe):
        if "probe_trained_from" in settings.training:
            log.info("probe: the scan's own, not the one trained; --use_model_probe takes that")
        return scaled
    log.info("probe: the one saved with the model")
    power = float(probe_intensity(scaled.probe).sum())
    return scaled._replace(probe=scale_probe(model.probe, power))


def _chosen_gridsize(config: InferenceConfig, settings: ModelSettings) -> ModelSettings:
    """Return the settings with the gridsize asked for, where the network takes another one."""
    if config.gridsize in (None, settings.gridsize):
        return settings
    if settings.network == "unet":
        raise ConfigError(
            f"gridsize: {config.gridsize}; expected {settings.gridsize}, with which "
            f"{config.model_path} was trained"
        )
    return replace(settings, gridsize=config.gridsize, neighbor_count=0)


def _check_frames(config: InferenceConfig, settings: ModelSettings, raw: RawData) -> None:
    if settings.network == "unet" and raw.frame_size != settings.frame_size:
        raise ModelError(
            f"{config.test_data}: frames of {raw.frame_size} pixels; expected "
            f"{settings.frame_size}, with which {config.model_path} was trained"
        )


def one_scan(config: InferenceConfig | RefineConfig, raw: RawData) -> RawData:
    """Return the scan asked for: several share no object, so they cannot be stitched together."""
    labels = np.unique(raw.scan_index)
    if config.scan is None and len(labels) in (1, raw.n_frames):  # as many as frames: a counter
        return raw
    if config.scan is None or config.scan not in labels:
        named = ", ".join(str(label) for label in labels[:8]) + (", ..." if len(labels) > 8 else "")
        raise ConfigError(
            f"scan: {config.scan}, {config.test_data} holds the scans {named}; expected one of them"
        )
    return raw.subset(np.flatnonzero(raw.scan_index == config.scan))


def _groups(config: InferenceConfig, settings: ModelSettings, raw: RawData) -> Groups:
    """Return the groups asked for; by default so many that every frame is in one."""
    learned_with = replace(
        config, neighbor_count=config.neighbor_count or settings.neighbor_count or None
    )
    groups = choose_groups(raw, learned_with, settings.gridsize)
    if config.n_images is not None or settings.gridsize == 1:
        return groups
    missing = np.setdiff1d(np.arange(raw.n_frames), groups)
    if len(missing) == 0:
        return groups
    near = get_neighbor_indices(
        raw.xcoords, raw.ycoords, groups.shape[1] - 1, scan_index=raw.scan_index
    )
    lonely = (near[missing] < 0).any(axis=1)  # their scan has too few positions for a group
    if lonely.any():
        log.warning(
            "%s frames have fewer than %d neighbours in their scan; they are left out",
            f"{lonely.sum():,}", groups.shape[1] - 1,
        )  # fmt: skip
    added = np.sort(np.column_stack([missing, near[missing]])[~lonely], axis=1)
    log.info("%s more groups take in the frames that no group had", f"{len(added):,}")
    return np.concatenate([groups, added.astype(groups.dtype)])
