"""`ptycho refine`: reconstruction + scan -> pty-chi -> object, probe and positions refined.

Way of the data: reconstruction.npz, file -> RawData -> [refinement] -> arrays, pictures, figures.
Writes a folder as a reconstruction's, so whatever reads those reads this.
"""

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from ptycho.api.components import default_batch_size, load_data, use_threads
from ptycho.api.forecast import (
    Forecast,
    forecast,
    memory_words,
    output_row,
    peak_memory,
)
from ptycho.api.page import leave_page
from ptycho.api.reconstruction_output import Reconstruction, write
from ptycho.commands.evaluate import read_entries
from ptycho.commands.reconstruct import one_scan
from ptycho.durations import duration
from ptycho.engines.explained import check_made_from
from ptycho.engines.nuisances import Nuisances
from ptycho.engines.ptychi import MOST_EPOCHS, ROOM, Estimate, Plan, Refined, load_ptychi, refine
from ptycho.engines.reconstruction import PIXELS_AT_ONCE
from ptycho.engines.residuals import frame_residuals
from ptycho.engines.sweeps import held_out_masks
from ptycho.physics.device import choose_device
from ptycho.physics.patches import Canvas
from ptycho.progress import tracked
from ptycho.scan.dataset import GroupDataset
from ptycho.scan.raw_data import RawData
from ptycho.scan.summary import summarise_scan
from ptycho.settings.config import save_settings
from ptycho.settings.refine import RefineConfig

log = logging.getLogger(__name__)

_ENTRIES = ("object", "coverage", "origin", "probe", "positions", "frames")
_TRIED = 128  # frames refined to tell how long all would take
_LARGEST_BATCH = {"lsqml": 16, "rpie": 32}  # measured: larger ones take longer to the same object


class _Start(NamedTuple):
    """A reconstruction on a canvas with room."""

    estimate: Estimate
    coverage: Float[np.ndarray, "height width"]
    origin: tuple[int, int]
    frames: Int[np.ndarray, " frame"]


def run(config: RefineConfig) -> Path | Forecast:
    """Refine a reconstruction.

    Returns:
        The output folder: reconstruction.npz, pictures, metrics.json; with dry_run what it would
        take to get there.

    Raises:
        PtychoError: If pty-chi is not installed, or reconstruction and scan do not fit together.
    """
    load_ptychi()
    use_threads(config.threads)
    raw = one_scan(config, load_data(config.test_data, measurement=config.measurement))
    start = _start(config, raw)
    if config.dry_run:
        return _forecast(config, raw, start)
    log.info(
        "%s of pty-chi: %s frames, from %s", config.engine, f"{len(start.frames):,}",
        config.reconstruction,
    )  # fmt: skip
    began = time.perf_counter()
    refined = _refined(config, raw, start)
    seconds = time.perf_counter() - began
    config.output_dir.mkdir(parents=True, exist_ok=True)
    save_settings(config, config.output_dir)
    moved = _moved(raw, start, refined)
    result = _result(moved, start, refined)
    write(config, moved, result)
    log.info(
        "%s: %d epochs kept of %d in %.1f s; held-out pixels missed by %.4g at first, %.4g in the "
        "end; results in %s",
        config.engine, refined.kept, len(refined.free_residual) - 1, seconds,
        refined.free_residual[0], refined.free_residual[refined.kept], config.output_dir,
    )  # fmt: skip
    leave_page(config, raw, start.frames[:, None])
    return config.output_dir


def _start(config: RefineConfig, raw: RawData) -> _Start:
    """Read the reconstruction and give its canvas room; the mean stands for what is unknown.

    Raises:
        DataError: If it was not made from this scan.
    """
    found = read_entries(config.reconstruction, _ENTRIES)
    check_made_from(found, raw, reconstruction=config.reconstruction, scan=config.test_data)
    frames = found["frames"].astype(np.int64)
    coverage = np.pad(found["coverage"], ROOM)
    obj = np.pad(found["object"], ROOM)
    obj = np.where(coverage > 0, obj, obj[coverage > 0].mean()).astype(np.complex64)
    row, col = (round(float(first)) - ROOM for first in found["origin"])
    positions = found["positions"] - np.array([row, col])
    return _Start(Estimate(obj, np.array(found["probe"]), positions), coverage, (row, col), frames)


def _forecast(config: RefineConfig, raw: RawData, start: _Start) -> Forecast:
    """Tell of the refinement after a few epochs of a part of its frames."""
    estimate, n_frames = start.estimate, len(start.frames)
    some = slice(0, _TRIED)
    part = start._replace(
        estimate=estimate._replace(positions=estimate.positions[some]), frames=start.frames[some]
    )
    seconds = []
    for epochs in (1, 1, 5):  # the first one loads and plans what all need once
        began = time.perf_counter()
        _refined(replace(config, epochs=epochs, progress=False), raw, part)
        seconds.append(time.perf_counter() - began)
    epoch = max(0.0, seconds[2] - seconds[1]) / 4 * n_frames / len(part.frames)
    most = config.epochs or MOST_EPOCHS
    summary = summarise_scan(raw)
    return forecast(
        config,
        {
            "frames": summary.frames_sentence(),
            "scan": summary.scan_sentence(),
            "engine": f"{config.engine} of pty-chi on {n_frames:,} frames, "
            f"{config.batch_size or _batch_size(config.engine, start)} at a time",
            "memory": f"{memory_words(peak_memory(choose_device(config.device)))} at the highest, "
            "for the part tried",
            "time": f"{'' if config.epochs else 'at most '}{duration(most * epoch)}: {most} epochs "
            f"of {duration(epoch)}, measured with {len(part.frames)} frames",
        }
        | output_row(config.output_dir),
    )


def _refined(config: RefineConfig, raw: RawData, start: _Start) -> Refined:
    masks = held_out_masks(raw.frame_size, torch.Generator().manual_seed(config.seed)).numpy()
    device = choose_device(config.device)
    plan = Plan(
        engine=config.engine,
        batch_size=config.batch_size or _batch_size(config.engine, start),
        seed=config.seed,
        refine_probe=config.refine_probe,
        refine_positions=config.refine_positions,
        device="cuda" if device.type == "cuda" else "cpu",  # pty-chi knows these two
    )
    return refine(
        raw.intensity(start.frames), start.estimate, masks[start.frames % len(masks)], plan,
        epochs=config.epochs, track=tracked("refining", "epochs", enabled=config.progress),
    )  # fmt: skip


def _batch_size(engine: str, start: _Start) -> int:
    """Return frames per batch.

    pty-chi's rPIE adds up what the frames of a batch say of a pixel: two bright ones overshoot. So
    a batch has as many frames as light every pixel once on average.
    """
    largest = default_batch_size(1, start.estimate.probe.shape[-1], _LARGEST_BATCH[engine])
    if engine == "lsqml":
        return largest
    return max(1, min(largest, int(len(start.frames) / max(1.0, start.coverage.max()))))


def _moved(raw: RawData, start: _Start, refined: Refined) -> RawData:
    """Return the scan with its refined positions."""
    positions = raw.positions
    positions[start.frames] = refined.estimate.positions + np.array(start.origin)
    return replace(raw, ycoords=positions[:, 0], xcoords=positions[:, 1])


def _result(raw: RawData, start: _Start, refined: Refined) -> Reconstruction:
    obj, probe, _ = refined.estimate
    singles, modes = GroupDataset(raw, start.frames[:, None]), torch.from_numpy(probe)
    residuals = frame_residuals(
        torch.from_numpy(obj), Canvas(start.origin, obj.shape), modes, singles,
        batch_size=max(1, PIXELS_AT_ONCE // probe.size),
    )  # fmt: skip
    return Reconstruction(
        obj=np.where(start.coverage > 0, obj, 0),
        coverage=start.coverage,
        origin=start.origin,
        frames=start.frames,
        residuals=residuals.numpy(),
        probe=probe,
        free_residual=refined.free_residual,
        sweeps=refined.kept,
        beside=Nuisances.given(modes, singles),
    )
