"""Continuing a reconstruction with an engine of pty-chi.

Data flow: object + RawData -> [engine] -> object, probe and positions.
"""

import dataclasses
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped

from ptycho.api.components import default_batch_size, use_threads
from ptycho.api.loading import name_of, single_scan
from ptycho.api.logs import collected_warnings
from ptycho.api.reconstruction_file import read_entries
from ptycho.api.result import Result
from ptycho.api.training import opened
from ptycho.engines.explained import check_made_from
from ptycho.engines.ptychi import ROOM, Estimate, Plan, Refined, load_ptychi
from ptycho.engines.ptychi import refine as run_engine
from ptycho.engines.reconstruction import PIXELS_AT_ONCE
from ptycho.engines.residuals import frame_residuals
from ptycho.engines.sweeps import held_out_masks
from ptycho.errors import ConfigError
from ptycho.physics.device import choose_device
from ptycho.physics.patches import Canvas
from ptycho.progress import tracked
from ptycho.scan.dataset import GroupDataset
from ptycho.scan.raw_data import RawData
from ptycho.settings.base import from_mapping
from ptycho.settings.refine import RefineSettings

log = logging.getLogger(__name__)

_ENTRIES = ("object", "coverage", "origin", "probe", "positions", "frames")
_LARGEST_BATCH = {"lsqml": 16, "rpie": 32}  # measured: larger ones take longer to the same object


def refine(
    result: Result | Path | str, scan: RawData | Path | str | None = None, /, **settings: Any
) -> Result:
    """Continue a reconstruction with an engine of pty-chi.

    Args:
        result: a reconstruction, its folder or its reconstruction.npz.
        scan: the scan it was made from, or its file; None takes that of a result in memory.
        **settings: any setting of `ptycho refine` by name, such as engine, iterations,
            refine_probe, refine_positions.

    Raises:
        ConfigError: If a setting is unknown or pty-chi is not installed.
        DataError: If the reconstruction was not made from this scan.
    """
    chosen = from_mapping(RefineSettings, settings, where="ptycho.refine")
    if scan is None:
        if not isinstance(result, Result):
            raise ConfigError(f"scan: missing; expected the scan from which {result} was made")
        scan = result.scan
    return run(prepare(opened(scan), result, chosen))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A refinement of which everything has been checked and nothing computed."""

    settings: RefineSettings
    raw: RawData
    estimate: Estimate
    """Object on a canvas with room, probe and positions."""
    coverage: Float[np.ndarray, "height width"]
    origin: tuple[int, int]
    frames: Int[np.ndarray, " frame"]

    @property
    def batch_size(self) -> int:
        """Frames per batch.

        pty-chi's rPIE sums the updates of a batch on each pixel: two bright frames overshoot. So
        a batch has as many frames as illuminate every pixel once on average.
        """
        if self.settings.batch_size is not None:
            return self.settings.batch_size
        engine = self.settings.engine
        largest = default_batch_size(1, self.estimate.probe.shape[-1], _LARGEST_BATCH[engine])
        if engine == "lsqml":
            return largest
        return max(1, min(largest, int(len(self.frames) / max(1.0, self.coverage.max()))))


def prepare(raw: RawData, result: Result | Path | str, settings: RefineSettings) -> Prepared:
    """Read a reconstruction and give its canvas room; the mean stands for unknown pixels.

    Args:
        raw: the scan.
        result: a reconstruction, its folder or its reconstruction.npz.
        settings: of the refinement.

    Raises:
        ConfigError: If pty-chi is not installed.
        DataError: If the reconstruction was not made from this scan.
    """
    load_ptychi()
    use_threads(settings.threads)
    raw = single_scan(raw, None)
    found = _entries(result)
    named = Path("result" if isinstance(result, Result) else result)
    check_made_from(found, raw, reconstruction=named, scan=Path(name_of(raw)))
    coverage, obj = np.pad(found["coverage"], ROOM), np.pad(found["object"], ROOM)
    obj = np.where(coverage > 0, obj, obj[coverage > 0].mean()).astype(np.complex64)
    row, col = (round(float(first)) - ROOM for first in found["origin"])
    positions = found["positions"] - np.array([row, col])
    return Prepared(
        settings=settings, raw=raw, coverage=coverage, origin=(row, col),
        estimate=Estimate(obj, np.array(found["probe"]), positions),
        frames=found["frames"].astype(np.int64),
    )  # fmt: skip


def run(prepared: Prepared) -> Result:
    """Continue the reconstruction."""
    settings = prepared.settings
    log.info("%s of pty-chi: %s frames", settings.engine, f"{len(prepared.frames):,}")
    began = time.perf_counter()
    with collected_warnings() as warnings:
        refined = engine_run(prepared)
        seconds = time.perf_counter() - began
        result = _result(prepared, refined)
    log.info(
        "%s: kept iteration %d of %d in %.1f s; held-out pixels: deviance %.4g -> %.4g per photon",
        settings.engine, refined.kept, len(refined.free_residual) - 1, seconds,
        refined.free_residual[0], refined.free_residual[refined.kept],
    )  # fmt: skip
    return dataclasses.replace(result, warnings=tuple(warnings), seconds=seconds)


def engine_run(prepared: Prepared) -> Refined:
    """Run the engine of pty-chi."""
    settings, frames = prepared.settings, prepared.frames
    generator = torch.Generator().manual_seed(settings.seed)
    masks = held_out_masks(prepared.raw.frame_size, generator).numpy()
    device = choose_device(settings.device)
    plan = Plan(
        engine=settings.engine,
        batch_size=prepared.batch_size,
        seed=settings.seed,
        refine_probe=settings.refine_probe,
        refine_positions=settings.refine_positions,
        device="cuda" if device.type == "cuda" else "cpu",  # pty-chi knows these two
    )
    return run_engine(
        prepared.raw.intensity(frames), prepared.estimate, masks[frames % len(masks)], plan,
        epochs=settings.epochs, track=tracked("refining", "epochs", enabled=settings.progress),
    )  # fmt: skip


def _entries(result: Result | Path | str) -> Mapping[str, Shaped[np.ndarray, "..."]]:
    if not isinstance(result, Result):
        return read_entries(Path(result), _ENTRIES)
    return {
        "object": result.obj, "coverage": result.coverage, "origin": np.array(result.origin),
        "probe": result.probe, "positions": result.positions, "frames": result.frames,
    }  # fmt: skip


def _result(prepared: Prepared, refined: Refined) -> Result:
    raw, frames = prepared.raw, prepared.frames
    obj, probe, placed = refined.estimate
    positions = raw.positions
    positions[frames] = placed + np.array(prepared.origin)
    moved = replace(raw, ycoords=positions[:, 0], xcoords=positions[:, 1])
    residuals = frame_residuals(
        torch.from_numpy(obj), Canvas(prepared.origin, obj.shape), torch.from_numpy(probe),
        GroupDataset(moved, frames[:, None]), batch_size=max(1, PIXELS_AT_ONCE // probe.size),
    )  # fmt: skip
    background = raw.background_intensity
    return Result(
        obj=np.where(prepared.coverage > 0, obj, 0),
        coverage=prepared.coverage,
        origin=prepared.origin,
        probe=probe,
        frames=frames,
        positions=positions[frames],
        residuals=residuals.numpy(),
        background=background,
        free_residual=tuple(refined.free_residual),
        iterations=refined.kept,
        scan=raw,
        groups=frames[:, None],
        settings=prepared.settings,
    )
