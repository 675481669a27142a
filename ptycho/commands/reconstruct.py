"""`ptycho_inference`: trained model + scan -> patches -> object, with arrays, pictures and figures.

Way of the data: [file -> RawData -> groups -> batches -> trained model -> patches -> object].
"""

import logging
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ptycho.api.components import (
    Groups,
    ScaledProbe,
    choose_groups,
    load_data,
    probe_checksum,
    scaled_probe,
    use_threads,
)
from ptycho.api.forecast import (
    Forecast,
    forecast,
    model_rows,
    output_row,
    reconstruction_rows,
    scan_rows,
)
from ptycho.api.page import leave_page
from ptycho.api.reconstruction_output import Reconstruction, write
from ptycho.api.trust import check_positions, estimate_trust
from ptycho.engines.reconstruction import reconstruct
from ptycho.engines.stitching import light_on
from ptycho.errors import ConfigError, ModelError
from ptycho.grouping import get_neighbor_indices
from ptycho.learning.model import PtychoModel
from ptycho.learning.model_folder import ModelSettings, general_model, load_model
from ptycho.physics.device import choose_device
from ptycho.physics.patches import canvas_of
from ptycho.physics.probe import probe_intensity, scale_probe
from ptycho.scan.raw_data import RawData
from ptycho.settings.config import InferenceConfig, save_settings
from ptycho.settings.refine import RefineConfig

log = logging.getLogger(__name__)


def run(config: InferenceConfig) -> Path | Forecast:
    """Reconstruct a scan with a trained model.

    Returns:
        The output folder: reconstruction.npz, pictures, metrics.json; with dry_run what it would
        take to get there.

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
    _check_model(config, settings, raw)
    groups = groups_of(config, settings, raw)
    if config.trust is not None:
        check_positions(config, groups)
    started = time.perf_counter()
    scaled = _start_probe(config, settings, model, raw)
    every = replace(config, n_images=None, progress=False)

    def again(scan: RawData) -> Reconstruction:
        found = groups_of(every, settings, scan)
        return reconstruct(model, scan, found, scaled, every, device)

    if config.dry_run:
        return forecast(
            config,
            scan_rows(
                raw, groups, config, gridsize=settings.gridsize,
                K=config.neighbor_count or settings.neighbor_count or None,
            )
            | model_rows(model, settings.network, device)
            | reconstruction_rows(config, raw, groups, device, again)
            | output_row(config.output_dir),
        )  # fmt: skip
    result = reconstruct(model, raw, groups, scaled, config, device)
    seconds = time.perf_counter() - started
    trust = None if config.trust is None else estimate_trust(config, raw, result, again)
    config.output_dir.mkdir(parents=True, exist_ok=True)
    save_settings(config, config.output_dir)
    write(config, raw, result, trust)
    log.info(
        "reconstructed %s frames in %.1f s (%.0f frames/s with loading and stitching), "
        "detector residual %.3g; results in %s",
        f"{len(result.frames):,}", seconds, len(result.frames) / seconds,
        float(np.nanmean(result.residuals)), config.output_dir,
    )  # fmt: skip
    leave_page(config, raw, groups)
    return config.output_dir


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


def _check_model(config: InferenceConfig, settings: ModelSettings, raw: RawData) -> None:
    """Refuse what the classic network cannot do: other frames, finding more than the object."""
    if settings.network != "unet":
        return
    if raw.frame_size != settings.frame_size:
        raise ModelError(
            f"{config.test_data}: frames of {raw.frame_size} pixels; expected "
            f"{settings.frame_size}, with which {config.model_path} was trained"
        )
    for name in ("refine_probe", "refine_background", "refine_intensity", "refine_positions"):
        if config.sweeps == 0 and getattr(config, name):
            raise ConfigError(f"{name}: with sweeps 0; expected sweeps, in which to find it")


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


def groups_of(config: InferenceConfig, settings: ModelSettings, raw: RawData) -> Groups:
    """Return the groups asked for; by default so many that every frame is in one.

    A lifted network sees every frame afterwards, so there the groups need only reach every place.

    Args:
        config: how many groups, and which.
        settings: of the model.
        raw: the scan.
    """
    learned_with = replace(
        config, neighbor_count=config.neighbor_count or settings.neighbor_count or None
    )
    if config.n_images is None and settings.network == "lifted":
        wanted = raw.n_frames / (settings.gridsize**2 * _repeats(raw))
        learned_with = replace(learned_with, n_images=max(1, round(wanted)))
    groups = choose_groups(raw, learned_with, settings.gridsize)
    if config.n_images is not None or settings.network == "lifted" or settings.gridsize == 1:
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


_ENOUGH = 2.5  # frames that light a place; more of them tell a start nothing new
_MOST_REPEATS = 4.0


def _repeats(raw: RawData) -> float:
    """Return how many times over the frames light every place they light, 1 to 4."""
    probe = torch.from_numpy(raw.probe)
    positions = torch.from_numpy(raw.positions)
    light = light_on(canvas_of(positions, raw.frame_size), positions, probe)
    lit = light[light > 0.5]
    return min(_MOST_REPEATS, max(1.0, float(lit.mean()) / _ENOUGH)) if len(lit) else 1.0
