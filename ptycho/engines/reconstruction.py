"""From frames to the object of their whole scan: a start from a network, then an engine.

Data flow: file -> RawData -> [groups -> batches -> trained model -> patches -> object -> engine].
The network reconstructs group after group, and the patches are stitched with their phases in
agreement, which fixes the long-range phase. An engine then corrects the object of the whole scan by
all frames, which fixes the fine detail.
"""

import logging
import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from ptycho.engines import ENGINES
from ptycho.engines.automatic import Automatic, Quality
from ptycho.engines.density import needs_unbiased
from ptycho.engines.ending import Ending
from ptycho.engines.grouped import stitched_groups
from ptycho.engines.nuisances import Nuisances, Refine, log_modes, more_modes
from ptycho.engines.problem import Engine, Estimate, Problem, Solution
from ptycho.engines.residuals import Unexplained, frame_residuals, unexplained_intensity
from ptycho.engines.stitching import illumination_on
from ptycho.learning.model import PtychoModel
from ptycho.networks.network import Network
from ptycho.physics.patches import Canvas, canvas_of
from ptycho.physics.probe import orthogonal_modes
from ptycho.progress import Track, tracked
from ptycho.scan.dataset import GroupDataset
from ptycho.scan.raw_data import RawData
from ptycho.scan.scaling import ScaledProbe

log = logging.getLogger(__name__)

FOREIGN = 0.05
"""Share of the intensity left unexplained by the object of a network above which the scan is called
unlike its training scans: 0.2 to 3 % on simulated scans like those, 14 % on a measured one whose
probe is wrong. Small errors of the positions, or any at low dose, are not noticed."""

WRONG = 0.03
"""The same after an engine, above which probe or positions are in doubt: 0.04 to 2.5 % on correctly
described scans, 1.4 to 8 % with a defocused probe or positions transposed or mirrored. No threshold
separates them for certain; this one raises few false alarms."""

WRONG_VARIATION = 0.25
"""Share of the variation from frame to frame left unexplained by an engine, above which
orientation, unit or order of the positions, the probe or single frames are in doubt: 0.00 to 0.1 on
correctly described scans; 0.3 to 1 with axes swapped or negated, frames transposed, positions
reversed, turned by 30 degrees or all in one place."""

UNLIT = 1e-3
"""Illumination, relative to the maximum of one probe, below which no object is returned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a scan is reconstructed."""

    engine: str = "auto"
    """Name in `engines.ENGINES`."""

    quality: Quality = "balanced"
    """What the engine `auto` may take its time for."""

    ending: Ending = field(default_factory=Ending)
    """When the engine ends; 0 iterations leave what the network itself finds."""

    refine: Refine = field(default_factory=Refine)
    """Which nuisance parameters are corrected too."""

    n_modes: int | None = None
    """Incoherent modes of a refined probe; None keeps the number in the file."""

    batch_size: int | None = None
    """Groups predicted at a time; None chooses by size."""

    engine_batch_size: int | None = None
    """Frames that the engine corrects together; None leaves it to the engine."""

    seed: int = 0
    """Of the order of the frames and of the pixels held out."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Where everything is computed."""

    progress: bool = True
    """Whether to draw progress bars."""

    def engine_for(self, network: Network) -> Engine:
        """Return the engine, for a trained network."""
        engine = ENGINES.find(self.engine)(network)
        if isinstance(engine, Automatic):
            return replace(engine, quality=self.quality)
        return engine

    def track(self, label: str, unit: str) -> Track:
        """Return the progress bar of a step."""
        return tracked(label, unit, enabled=self.progress)


class Reconstruction(NamedTuple):
    """The object of a scan and how well it explains the frames."""

    obj: Complex[np.ndarray, "row col"]
    """Complex transmission; 0 where there is no illumination."""

    coverage: Float[np.ndarray, "row col"]
    """Illumination of each pixel, relative to the maximum of one probe."""

    origin: tuple[int, int]
    """(row, col) of pixel (0, 0) in scan coordinates, object pixels."""

    frames: Int[np.ndarray, " frame"]
    """Indices of the frames used, ascending."""

    residuals: Float[np.ndarray, " frame"]
    """Detector-space residual of each of them."""

    probe: Complex[np.ndarray, "mode row col"]
    """The illumination, sqrt(photons) per object pixel; refined if that was asked for."""

    free_residual: list[float]
    """Misfit of the held-out detector pixels in each iteration; empty without iterations."""

    iterations: int
    """The iteration kept."""

    nuisances: Nuisances
    """Probe, positions, intensity and background in the scale of the engine, for all frames of the
    scan; on the CPU."""

    unexplained: tuple[float | None, float] | None = None
    """Share of the intensity beyond counting noise that the network's object and the final one
    leave unexplained; None when no network was used."""

    unexplained_variation: float = math.nan
    """The share of the variation from frame to frame that the final object leaves unexplained; NaN
    if it is unknown."""


def reconstruct(
    model: PtychoModel,
    groups: GroupDataset,
    scaled: ScaledProbe,
    plan: Plan,
    *,
    every_frame: bool = True,
) -> Reconstruction:
    """Reconstruct the one object that the frames of a scan show.

    Args:
        model: trained; takes over the probe.
        groups: of the scan, for the start.
        scaled: the probe of the scan.
        plan: engine, its ending, and what is refined.
        every_frame: whether all frames of the scan take part in the engine, where the network
            serves whole scans; else those of the groups do.

    Raises:
        ConfigError: If the engine cannot do what is asked for.
    """
    model.set_probe(scaled.probe)
    raw, whole = groups.raw, model.network.whole_scan
    engine = plan.engine_for(model.network)
    frames = np.arange(raw.n_frames) if whole and every_frame else np.unique(groups.groups)
    positions = torch.from_numpy(raw.positions[frames])
    canvas = canvas_of(positions, raw.frame_size).widened(engine.room(plan.refine))
    problem = _problem(raw, frames, canvas, plan)
    given = Nuisances.given(scaled.probe, problem.frames)
    empty = isinstance(engine, Automatic) and engine.starts_empty(problem, plan.ending)
    if whole and (plan.refine.probe or empty):
        # The groups depend on the probe in doubt: on a measured scan whose file holds a wrong one,
        # iterations from empty space found an object that those from the groups did not.
        obj = torch.ones(canvas.shape, dtype=torch.complex64)
        coverage = obj.real
    else:
        found, coverage = stitched_groups(
            model, groups, canvas, batch_size=plan.batch_size, device=plan.device,
            track=plan.track("reconstructing", "batches"),
        )  # fmt: skip
        # Windows reach a little beyond what was reconstructed; the mean fills the unknown.
        obj = torch.where(coverage > 0, found, found[coverage > 0].mean())
    start = Estimate(obj, given)
    if whole:
        coverage = _illuminated(canvas, positions, scaled.probe)
    first = None if whole else _checked_start(problem, start)
    solution = Solution(*start, [], 0)
    if whole or plan.ending.iterations != 0:
        solution = _solve(engine, problem, start, plan)
    if whole and plan.ending.iterations == 0:
        first = _checked_start(problem, solution.estimate)
    if whole and plan.refine.probe:
        # A refined probe may be wider than the one that it started from.
        coverage = _illuminated(canvas, positions, solution.estimate.nuisances.probe.cpu())
    result = _result(problem, solution, coverage.numpy(), given, scaled.transmission, plan)
    final = unexplained_intensity(problem, solution.estimate)
    if plan.ending.iterations != 0 and solution.kept > 0:
        _warn_of_misfit(final)
    return result._replace(
        unexplained=(first, final.of_all), unexplained_variation=final.of_variation
    )


def _illuminated(
    canvas: Canvas, positions: Float[Tensor, "frame 2"], probe: Complex[Tensor, "mode n n"]
) -> Float[Tensor, "height width"]:
    """Return the illumination of the object, 0 where there is hardly any."""
    illumination = illumination_on(canvas, positions, probe)
    return torch.where(illumination > UNLIT, illumination, 0)


def continue_from(
    start: Reconstruction, raw: RawData, plan: Plan, *, network: Network
) -> Reconstruction:
    """Let an engine continue from a reconstruction.

    Args:
        start: made from this scan.
        raw: the scan.
        plan: engine, its ending, and what is refined.
        network: trained; for engines that use one.

    Raises:
        ConfigError: If the engine cannot do what is asked for.
    """
    engine = plan.engine_for(network)
    room = engine.room(plan.refine)
    shape = (start.obj.shape[0], start.obj.shape[1])
    canvas = Canvas(start.origin, shape).widened(room)
    coverage = np.pad(start.coverage, room)
    obj = np.pad(start.obj, room)
    # The mean fills what is unknown.
    obj = np.where(coverage > 0, obj, obj[coverage > 0].mean()).astype(np.complex64)
    given = start.nuisances._replace(probe=torch.from_numpy(np.array(start.probe, np.complex64)))
    problem = _problem(raw, start.frames, canvas, plan, positions=given.positions)
    solution = _solve(engine, problem, Estimate(torch.from_numpy(obj), given), plan)
    return _result(problem, solution, coverage, given, 1.0, plan)


def _problem(
    raw: RawData,
    frames: Int[np.ndarray, " frame"],
    canvas: Canvas,
    plan: Plan,
    positions: Float[Tensor, "position 2"] | None = None,
) -> Problem:
    known = torch.from_numpy(raw.positions) if positions is None else positions
    return Problem.of(
        GroupDataset(raw, frames[:, None]), canvas, device=plan.device, seed=plan.seed,
        batch_size=plan.engine_batch_size, positions=positions,
        unbiased=needs_unbiased(raw, known[frames], canvas, plan.refine),
    )  # fmt: skip


def _solve(engine: Engine, problem: Problem, start: Estimate, plan: Plan) -> Solution:
    """Return what the engine finds, modes of a refined probe orthogonal."""
    probe = more_modes(start.nuisances.probe, plan.n_modes)
    start = start._replace(nuisances=start.nuisances._replace(probe=probe))
    track = plan.track("iterating", "iterations")
    found = engine.solve(problem, start, plan.ending, plan.refine, track)
    if plan.refine.probe:
        probe = found.nuisances.probe
        if found.nuisances.variation is None:  # of the first mode alone, so modes must not mix
            probe = orthogonal_modes(probe)
        found = found._replace(nuisances=found.nuisances._replace(probe=probe))
        log_modes(probe)
    if found.free_residual:
        log.info(
            "%s: %d of %d iterations kept, held-out misfit %.4g -> %.4g",
            plan.engine, found.kept, len(found.free_residual),
            found.free_residual[0], min(found.free_residual),
        )  # fmt: skip
    return found


def _warn_of_misfit(found: Unexplained) -> None:
    """Log a warning if the object of an engine leaves more than the model of a scan should."""
    if found.of_all > WRONG or found.of_variation > WRONG_VARIATION:
        log.warning(
            "%.1f %% of the intensity, and %.0f %% of its variation from frame to frame, is "
            "unexplained beyond counting noise after the last iteration: orientation, unit or "
            "order of the positions, the probe, or single frames are not as the file says; `ptycho "
            "inspect FILE` tries other orientations, --refine probe, positions or background may "
            "help",
            100 * found.of_all, 100 * found.of_variation,
        )  # fmt: skip


def _checked_start(problem: Problem, found: Estimate) -> float:
    """Return the intensity that a network's object leaves unexplained; warn where it is high."""
    share = unexplained_intensity(problem, found).of_all
    if share > FOREIGN:
        log.warning(
            "%.1f %% of the intensity is not explained by the network's object, expected below "
            "%.0f %%: this scan differs from the training scans; more iterations or ptycho_train "
            "--finetune may help", 100 * share, 100 * FOREIGN,
        )  # fmt: skip
    return share


def _result(
    problem: Problem,
    solution: Solution,
    coverage: Float[np.ndarray, "row col"],
    given: Nuisances,
    transmission: float,
    plan: Plan,
) -> Reconstruction:
    """Return the solution as arrays, with its residuals, in the scale of the file's probe."""
    residuals = frame_residuals(
        problem, solution.estimate, plan.track("computing residuals", "batches")
    )
    obj, nuisances, free_residual, kept = solution.to(torch.device("cpu"))
    raw = problem.frames.raw
    for line in nuisances.lines(given, problem.members, raw.photons_per_frame()):
        log.info("%s", line)
    return Reconstruction(
        obj=np.where(coverage > 0, obj.numpy() * np.complex64(transmission), 0),
        coverage=coverage,
        origin=problem.canvas.origin,
        frames=problem.members,
        residuals=residuals.numpy(),
        probe=nuisances.probe.numpy() / np.float32(transmission),
        free_residual=free_residual,
        iterations=kept,
        nuisances=nuisances,
    )
