"""Reconstruction of the object of a scan.

Data flow: RawData -> [groups -> batches -> trained model -> patches -> object].
"""

import copy
import dataclasses
import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int

from ptycho.api.calibration import prepared_scan
from ptycho.api.components import Members, use_threads
from ptycho.api.grouping import choose_groups, in_user_cache
from ptycho.api.loading import name_of, single_scan
from ptycho.api.logs import collected_warnings
from ptycho.api.result import Result
from ptycho.api.trained_model import TrainedModel
from ptycho.api.training import opened
from ptycho.api.uncertainty import check_positions, judged_uncertainty
from ptycho.api.verdict import verdict_of
from ptycho.calibration.value import Calibration
from ptycho.engines import reconstruction as engines
from ptycho.engines.ending import Ending
from ptycho.engines.nuisances import Refine
from ptycho.engines.stitching import illumination_on
from ptycho.errors import ConfigError, ModelError
from ptycho.grouping import get_neighbor_indices
from ptycho.learning.model import PtychoModel
from ptycho.learning.model_folder import ModelSettings, general_model, load_model
from ptycho.networks import NETWORKS
from ptycho.physics.device import choose_device
from ptycho.physics.patches import canvas_of
from ptycho.physics.probe import probe_intensity, scale_probe
from ptycho.scan.dataset import GroupDataset
from ptycho.scan.raw_data import RawData
from ptycho.scan.scaling import ScaledProbe, probe_checksum, scaled_probe
from ptycho.settings.base import Settings, from_mapping
from ptycho.settings.reconstruct import ReconstructSettings

log = logging.getLogger(__name__)

_ENOUGH = 2.5  # frames that illuminate a pixel; further ones do not improve a start
_MOST_REPEATS = 4.0


def reconstruct(
    scan: RawData | Path | str,
    /,
    model: TrainedModel | Path | str | None = None,
    *,
    engine: str = "auto",
    refine: str | None = None,
    iterations: int | None = None,
    seed: int = 0,
    device: str = "auto",
    **settings: Any,
) -> Result:
    """Reconstruct the object of a scan.

    Args:
        scan: the scan, or its file.
        model: trained model: a value, or its folder; None takes the general model that comes with
            the package.
        engine: what corrects the object of the whole scan: auto, learned, map, sweeps, lsqml or
            rpie.
        refine: nuisance parameters to refine: some of probe, positions, intensity, background,
            affine, search and variation, separated by commas; None refines the object alone.
        iterations: over all frames; None goes on while held-out pixels are predicted better.
        seed: of every random choice.
        device: auto, cpu, cuda or mps.
        **settings: any further setting of `ptycho reconstruct` by name, such as uncertainty,
            n_images, gridsize, sampling, batch_size.

    Raises:
        ConfigError: If a setting is unknown or has a wrong value.
        PtychoError: If model, scan and settings do not fit together.
    """
    given = {"engine": engine, "seed": seed, "device": device} | settings
    # A setting may also be given by one of its aliases, with which a None would disagree.
    given |= {"refine": refine} if refine is not None else {}
    given |= {"iterations": iterations} if iterations is not None else {}
    chosen = from_mapping(ReconstructSettings, given, where="ptycho.reconstruct")
    return run(prepare(opened(scan), model, chosen))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A reconstruction of which everything has been checked and nothing computed."""

    settings: ReconstructSettings
    raw: RawData
    model: PtychoModel
    description: ModelSettings
    """Of the model, with the gridsize asked for."""
    members: Members
    """Frame indices of the groups, one row per group."""
    scaled: ScaledProbe
    """The probe to start from."""
    device: torch.device
    calibration: Calibration | None = None
    """By which the scan was read; None as its file says."""

    def again(self, scan: RawData) -> Result:
        """Reconstruct another scan in the same way, from all its frames."""
        every = replace(self.settings, n_images=None, progress=False)
        members = _groups_of(every, self.description, scan)
        return _reconstructed(replace(self, settings=every, raw=scan, members=members))


def prepare(
    raw: RawData, model: TrainedModel | Path | str | None, settings: ReconstructSettings
) -> Prepared:
    """Choose groups and probe, and check that everything fits.

    Args:
        raw: the scan.
        model: trained model, its folder, or None for the general one.
        settings: of the reconstruction.

    Raises:
        PtychoError: If model, scan and settings do not fit together.
    """
    use_threads(settings.threads)
    device = choose_device(settings.device)
    raw = single_scan(raw, None)
    if isinstance(model, TrainedModel):
        network, described, named = copy.deepcopy(model.model), model.description, "the model"
    else:
        folder = general_model() if model is None else Path(model)
        network, described = load_model(folder)
        named = str(folder)
    described = _chosen_gridsize(settings, described, named)
    _check_model(settings, described, raw, named)
    raw, settings, calibration = prepared_scan(raw, settings)
    settings = _with_probe_refined(settings, raw)
    members = _groups_of(in_user_cache(settings, raw), described, raw)
    if settings.uncertainty is not None:
        check_positions(raw, members)
    return Prepared(
        settings=settings, raw=raw, model=network, description=described, members=members,
        scaled=_start_probe(settings, described, network, raw), device=device,
        calibration=calibration,
    )  # fmt: skip


def _with_probe_refined(settings: ReconstructSettings, raw: RawData) -> ReconstructSettings:
    """Return settings that refine a probe which is only an estimate from the frames."""
    if raw.probe_known or settings.refine_probe or settings.sweeps == 0:
        return settings
    log.info("probe: estimated from the mean frame, so it is refined with the object")
    return replace(settings, refine_probe=True)


def run(prepared: Prepared) -> Result:
    """Reconstruct, and estimate the uncertainty if asked for."""
    settings, started = prepared.settings, time.perf_counter()
    with collected_warnings() as warnings:
        result = _reconstructed(prepared)
        seconds = time.perf_counter() - started
        log.info(
            "reconstructed: %s frames in %.1f s (%.0f frames/s), detector residual %.3g",
            f"{len(result.frames):,}", seconds, len(result.frames) / seconds,
            float(np.nanmean(result.residuals)),
        )  # fmt: skip
        if n_dark := int(np.isnan(result.residuals).sum()):
            log.warning("%d frames contain no photons and were ignored", n_dark)
        verdict = verdict_of(result) if settings.verdict else None
        result = dataclasses.replace(result, verdict=verdict, seconds=seconds)
        found = None
        if settings.uncertainty is not None:
            found = judged_uncertainty(result, prepared.again, settings)
    return dataclasses.replace(
        result,
        uncertainty=found,
        calibration=prepared.calibration,
        warnings=(*prepared.raw.warnings, *warnings),
    )


def _reconstructed(prepared: Prepared) -> Result:
    settings, raw = prepared.settings, prepared.raw
    found = engines.reconstruct(
        prepared.model,
        GroupDataset(raw, prepared.members),
        prepared.scaled,
        plan_of(settings, prepared.device),
        every_frame=settings.n_images is None,
    )
    return as_result(found, raw, prepared.members, settings)


def plan_of(settings: ReconstructSettings, device: torch.device) -> engines.Plan:
    """Return how an engine is to run by the settings."""
    return engines.Plan(
        engine=settings.engine,
        quality=settings.quality,
        ending=Ending(iterations=settings.sweeps),
        refine=Refine.named(settings.refine),
        n_modes=settings.n_modes,
        batch_size=settings.batch_size,
        seed=settings.seed,
        device=device,
        progress=settings.progress,
    )


def as_result(
    found: engines.Reconstruction, raw: RawData, members: Members, settings: Settings
) -> Result:
    """Return what an engine has found as the value that users see.

    Args:
        found: by an engine.
        raw: the scan.
        members: frame indices of the groups, one row per group.
        settings: of the reconstruction.
    """
    nuisances = found.nuisances
    intensity, background = nuisances.intensity, nuisances.background
    variation = nuisances.variation
    return Result(
        obj=found.obj,
        coverage=found.coverage,
        origin=found.origin,
        probe=found.probe,
        frames=found.frames,
        positions=nuisances.positions[found.frames].double().numpy(),
        residuals=found.residuals,
        intensity=None if intensity is None else intensity[found.frames].numpy(),
        background=None if background is None else background.numpy(),
        probe_components=None if variation is None else variation.components.numpy(),
        probe_weights=None if variation is None else variation.weights[found.frames].numpy(),
        free_residual=tuple(found.free_residual),
        iterations=found.iterations,
        unexplained=found.unexplained,
        unexplained_variation=found.unexplained_variation,
        scan=raw,
        groups=members,
        settings=settings,
    )


def _start_probe(
    settings: ReconstructSettings, described: ModelSettings, model: PtychoModel, raw: RawData
) -> ScaledProbe:
    """Return the scan's probe, or the one that training refined.

    A refined probe belongs to the scan of the training. So it is used only if this scan holds the
    probe from which that training started, or if asked for.
    """
    scaled = scaled_probe(raw)
    same = described.training.get("probe_trained_from") == probe_checksum(raw)
    if not (same or settings.use_model_probe):
        if "probe_trained_from" in described.training:
            log.info("probe: that of the scan; --use_model_probe takes that of the model")
        return scaled
    log.info("probe: that of the model")
    power = float(probe_intensity(scaled.probe).sum())
    return scaled._replace(probe=scale_probe(model.probe, power))


def _chosen_gridsize(
    settings: ReconstructSettings, described: ModelSettings, named: str
) -> ModelSettings:
    """Return the description with the gridsize asked for, where the network takes another one."""
    if settings.gridsize is None or settings.gridsize == described.gridsize:
        return described
    if not NETWORKS[described.network].any_gridsize:
        raise ConfigError(
            f"gridsize: {settings.gridsize}; expected {described.gridsize}, with which "
            f"{named} was trained"
        )
    return replace(described, gridsize=settings.gridsize, neighbor_count=0)


def _check_model(
    settings: ReconstructSettings, described: ModelSettings, raw: RawData, named: str
) -> None:
    """Raise an error for what the network cannot do."""
    network = NETWORKS[described.network]
    if not network.any_frame_size and raw.frame_size != described.frame_size:
        raise ModelError(
            f"{name_of(raw)}: frames of {raw.frame_size} pixels; expected "
            f"{described.frame_size}, with which {named} was trained"
        )
    if network.whole_scan:
        return
    for name in Refine._fields:
        if settings.sweeps == 0 and getattr(settings, f"refine_{name}"):
            raise ConfigError(
                f"refine_{name}: with iterations 0; expected iterations, to refine it"
            )


def _groups_of(settings: ReconstructSettings, described: ModelSettings, raw: RawData) -> Members:
    """Return the groups asked for; by default so many that every frame is in one.

    A network for whole scans uses every frame afterwards, so its groups need only reach every
    place.
    """
    whole_scan = NETWORKS[described.network].whole_scan
    of_training = replace(
        settings, neighbor_count=settings.neighbor_count or described.neighbor_count or None
    )
    if settings.n_images is None and whole_scan:
        wanted = raw.n_frames / (described.gridsize**2 * _repeats(raw))
        of_training = replace(of_training, n_images=max(1, round(wanted)))
    members = choose_groups(raw, of_training, described.gridsize)
    if settings.n_images is not None or whole_scan or described.gridsize == 1:
        return members
    return _with_remaining(members, raw)


def _with_remaining(members: Members, raw: RawData) -> Int[np.ndarray, "all_groups member"]:
    """Return the groups with one more for each frame that is in none."""
    missing = np.setdiff1d(np.arange(raw.n_frames), members)
    if len(missing) == 0:
        return members
    near = get_neighbor_indices(
        raw.xcoords, raw.ycoords, members.shape[1] - 1, scan_index=raw.scan_index
    )
    isolated = (near[missing] < 0).any(axis=1)  # their scan has too few positions for a group
    if isolated.any():
        log.warning(
            "%s frames have fewer than %d neighbors in their scan and were excluded",
            f"{isolated.sum():,}", members.shape[1] - 1,
        )  # fmt: skip
    added = np.sort(np.column_stack([missing, near[missing]])[~isolated], axis=1)
    log.info("added %s groups to cover the remaining frames", f"{len(added):,}")
    return np.concatenate([members, added.astype(members.dtype)])


def _repeats(raw: RawData) -> float:
    """Return how often an illuminated pixel is illuminated, relative to what suffices; 1 to 4."""
    probe = torch.from_numpy(raw.probe)
    positions = torch.from_numpy(raw.positions)
    light = illumination_on(canvas_of(positions, raw.frame_size), positions, probe)
    lit = light[light > 0.5]
    return min(_MOST_REPEATS, max(1.0, float(lit.mean()) / _ENOUGH)) if len(lit) else 1.0
