"""From frames to the object of their whole scan: a first object, then sweeps.

Way of the data: file -> RawData -> [groups -> batches -> trained model -> patches -> object].
A network reconstructs group after group, and the patches are stitched with their phases in
agreement: that settles what reaches far. A lifted network then takes the whole scan as one group,
its own few sweeps and learned step on one canvas: that settles what is fine.
"""

import logging

import numpy as np
import torch

from ptycho.api.components import (
    Members,
    ScaledProbe,
    default_batch_size,
    more_modes,
    tell_modes,
)
from ptycho.engines.found import Reconstruction
from ptycho.engines.learned import learned_sweeps
from ptycho.engines.nuisances import MOST_MOVED, Nuisances
from ptycho.engines.residuals import frame_residuals, unexplained_light
from ptycho.engines.stitching import Stitched, light_on, stitch
from ptycho.engines.sweeps import Swept, sweep_scan
from ptycho.learning.model import PtychoModel
from ptycho.learning.prediction import predict_patches
from ptycho.networks.lifted import LiftedUNet
from ptycho.physics.overlap import merge_weight
from ptycho.physics.patches import Canvas, canvas_of, window_corners
from ptycho.physics.probe import orthogonal_modes
from ptycho.progress import Track, tracked, untracked
from ptycho.scan.dataset import GroupDataset
from ptycho.scan.raw_data import RawData
from ptycho.settings.reconstruct import ReconstructSettings

log = logging.getLogger(__name__)

PIXELS_AT_ONCE = 2**20
"""Pixels of detector waves held together while residuals are computed: about 100 MB."""


FOREIGN = 0.05
"""Share of the light unexplained by a network's own object from which on its scan is called unlike
those it learned from: 0.2 to 3 % on simulated scans like those, 14 % on a measured one whose probe
is wrong. Positions that are wrong by little, or at low dose, are not noticed."""

WRONG = 0.03
"""The same after sweeps, from which on probe or positions are doubted: 0.04 to 2.5 % on scans as
told, 1.4 to 8 % with a defocused probe or positions that are transposed or mirrored. No share tells
them apart for certain; this one raises few false alarms."""

UNLIT = 1e-3
"""Light, relative to the brightest spot of one frame, below which no object is told."""


def reconstruct(
    model: PtychoModel,
    raw: RawData,
    groups: Members,
    scaled: ScaledProbe,
    config: ReconstructSettings,
    device: torch.device,
) -> Reconstruction:
    """Reconstruct the one object that the frames of a scan show.

    Args:
        model: trained; takes over the probe.
        raw: the scan.
        groups: frame indices, one row per group. All frames take part in the sweeps of a lifted
            network, unless so many groups were asked for; else those of the groups do.
        scaled: the probe of the scan.
        config: sweeps, what is refined, batch size, progress.
        device: where to compute.
    """
    model.set_probe(scaled.probe)
    at_once = isinstance(model.network, LiftedUNet)
    every = at_once and config.n_images is None
    frames = np.arange(raw.n_frames) if every else np.unique(groups)
    canvas = canvas_of(torch.from_numpy(raw.positions[frames]), raw.frame_size)
    if config.refine_positions:
        canvas = canvas.widened(int(MOST_MOVED) + 2)
    singles = GroupDataset(raw, frames[:, None])
    if at_once and config.refine_probe:
        # Groups know only the probe that is in doubt: on a measured scan whose file tells a wrong
        # one, sweeps from empty space found an object at once that those from the groups did not.
        obj = torch.ones(canvas.shape, dtype=torch.complex64)
        start = Swept(obj, scaled.probe, [], 0, Nuisances.given(scaled.probe, singles))
        coverage = obj.real
    else:
        found, coverage, _ = stitched_groups(
            model, GroupDataset(raw, groups), canvas, batch_size=config.batch_size, device=device,
            track=tracked("reconstructing", "batches", enabled=config.progress),
        )  # fmt: skip
        # Windows reach a little beyond what was reconstructed; the mean stands for the unknown.
        filled = torch.where(coverage > 0, found, found[coverage > 0].mean())
        start = Swept(filled, scaled.probe, [], 0, Nuisances.given(scaled.probe, singles))
    network = None
    if at_once:
        positions = torch.from_numpy(raw.positions[frames])
        light = light_on(canvas, positions, scaled.probe)
        coverage = torch.where(light > UNLIT, light, 0)
    else:
        network = _told_if_foreign(start, canvas, singles)
    swept = start
    if at_once or config.sweeps != 0:
        swept = _sweep(model, start, canvas, singles, config, device)
    if at_once and config.sweeps == 0:
        network = _told_if_foreign(swept, canvas, singles)
    beside = swept.beside
    for sentence in beside.sentences(start.beside, frames, raw.photons_per_frame()):
        log.info("%s", sentence)
    residuals = frame_residuals(
        swept.obj, canvas, swept.probe, singles, beside=beside,
        batch_size=max(1, PIXELS_AT_ONCE // raw.probe.size),
        track=tracked("checking frames", "batches", enabled=config.progress),
    )  # fmt: skip
    final = unexplained_light(swept.obj, canvas, swept.probe, singles, beside=beside)
    if config.sweeps != 0 and swept.kept > 0 and final > WRONG:
        log.warning(
            "%.1f %% of the light is unexplained beyond counting noise, even after the sweeps; "
            "check probe and positions (order, sign, unit), or try --refine_probe, "
            "--refine_positions, --refine_background", 100 * final,
        )  # fmt: skip
    return Reconstruction(
        obj=torch.where(coverage > 0, swept.obj * scaled.transmission, 0).numpy(),
        coverage=coverage.numpy(),
        origin=canvas.origin,
        frames=frames,
        residuals=residuals.numpy(),
        probe=swept.probe.numpy() / scaled.transmission,
        free_residual=swept.free_residual,
        sweeps=swept.kept,
        beside=beside,
        unexplained=(network, final),
    )


def stitched_groups(
    model: PtychoModel,
    groups: GroupDataset,
    canvas: Canvas,
    *,
    batch_size: int | None,
    device: torch.device,
    track: Track = untracked,
) -> Stitched:
    """Return what a network makes of groups, stitched, and how much light tells it.

    Args:
        model: trained, with the probe of the scan.
        groups: of a scan.
        canvas: holds the windows of all frames.
        batch_size: groups at a time; None chooses by size.
        device: where the network computes.
        track: wraps the batches, given their number, to show progress.
    """
    raw, size, window = groups.raw, groups.raw.frame_size, model.window
    at_once = batch_size or default_batch_size(groups.groups.shape[1], size, 64)
    predicted = predict_patches(model, groups, device=device, batch_size=at_once, track=track)
    first = size // 2 - window // 2
    corners, _ = window_corners(torch.from_numpy(raw.positions[predicted.members.numpy()]), size)
    weight = merge_weight(model.probe.detach().cpu())[
        first : first + window, first : first + window
    ]
    return stitch(
        predicted.patches,
        corners - torch.tensor(canvas.origin) + first,
        weight,
        canvas.shape,
        group_of=predicted.group_of,
    )


def _told_if_foreign(found: Swept, canvas: Canvas, dataset: GroupDataset) -> float:
    """Return the light that a network's object leaves unexplained; warn where it is much."""
    share = unexplained_light(found.obj, canvas, found.probe, dataset)
    if share > FOREIGN:
        log.warning(
            "the network leaves %.1f %% of the light unexplained beyond counting noise, above %.0f "
            "%%: this scan is unlike those it learned from; sweeps may mend it, or ptycho_train "
            "--finetune", 100 * share, 100 * FOREIGN,
        )  # fmt: skip
    return share


def _sweep(
    model: PtychoModel,
    start: Swept,
    canvas: Canvas,
    dataset: GroupDataset,
    config: ReconstructSettings,
    device: torch.device,
) -> Swept:
    """Return the object after its sweeps: first by physics, at last by the learned step.

    A network that takes the scan as one group has sweeps and steps of its own; those asked for come
    on top of the sweeps.
    """
    network, physical, last = model.network, config.sweeps, 0
    at_once = isinstance(network, LiftedUNet)
    if at_once:
        physical = None if physical is None else network.sweeps + physical
        last = None if physical is None else network.steps
    shared = {
        "batch_size": _sweep_batch(dataset), "seed": config.seed, "device": device,
        "track": tracked("sweeping", "sweeps", enabled=config.progress),
    }  # fmt: skip
    swept = sweep_scan(
        start.obj, canvas, more_modes(start.probe, config.n_modes), dataset, sweeps=physical,
        refine_probe=config.refine_probe, refine_positions=config.refine_positions,
        refine_intensity=config.refine_intensity, refine_background=config.refine_background,
        **shared,
    )  # fmt: skip
    if config.refine_probe:
        swept = swept._replace(probe=orthogonal_modes(swept.probe))
        tell_modes(swept.probe)
    _tell("sweeps", swept.kept, swept.free_residual)
    if last == 0:
        return swept
    learned = learned_sweeps(swept, canvas, dataset, network.step, sweeps=last, **shared)
    more = learned.free_residual[len(swept.free_residual) :]
    _tell("learned sweeps", learned.kept - swept.kept, more)
    return learned


def _tell(kind: str, kept: int, free_residual: list[float]) -> None:
    """Log how many sweeps were kept, and by which numbers."""
    if not free_residual:
        return
    log.info(
        "%s: %d kept of %d; held-out pixels missed by %.4g at first, %.4g at best",
        kind, kept, len(free_residual), free_residual[0], min(free_residual),
    )  # fmt: skip


def _sweep_batch(dataset: GroupDataset) -> int:
    """Return frames per batch of the sweeps.

    A sweep of a small scan takes at least five batches: corrections one after the other reach
    farther than those made together. On a large one an eightieth of the frames hardly overlaps:
    with 128 of 10,304 instead of 32 a sweep takes two thirds of the time, and ends no worse.
    """
    n_frames = len(dataset)
    wanted = max(min(32, max(8, n_frames // 5)), min(256, n_frames // 80))
    return default_batch_size(1, dataset.raw.frame_size, wanted)
