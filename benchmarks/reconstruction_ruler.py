"""The ruler of the reconstruction benchmark: one clock, one mask, one set of numbers.

All methods see the same frames, run with the same threads in one process one after the other, and
are compared with the truth inside one mask: where the scan is well lit.
"""

import contextlib
import gc
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from ptychi_peer import BATCH, run_ptychi

from ptycho.api.components import Members
from ptycho.api.reconstruction import prepare, run
from ptycho.api.result import Result
from ptycho.engines import stitching
from ptycho.engines.bound import Bound, bound_of, illumination_levels
from ptycho.engines.logarithms import logarithms
from ptycho.engines.nuisances import Nuisances
from ptycho.engines.problem import Estimate, Problem
from ptycho.engines.ptychi_task import load_ptychi
from ptycho.engines.residuals import frame_residuals
from ptycho.engines.spectral_prior import first_prior, measured_prior
from ptycho.errors import ConfigError
from ptycho.metrics import Comparison, compare, inner_rectangle, well_covered
from ptycho.physics.patches import Canvas, canvas_of
from ptycho.scan.dataset import GroupDataset
from ptycho.scan.raw_data import RawData
from ptycho.settings.reconstruct import ReconstructSettings

KEPT_NUMBERS = {
    "phase_psnr": "phase_psnr_db", "amplitude_psnr": "amplitude_psnr_db",
    "phase_ssim": "phase_ssim", "frc": "frc_05_share_of_nyquist",
}  # fmt: skip


class Form(NamedTuple):
    """How much of the benchmark is run."""

    doses: tuple[float, ...]
    overlaps: tuple[float, ...]
    field: float
    """Width of the field of positions of a cell, object pixels."""
    training_s: float
    epochs: dict[str, tuple[int, ...]]
    """Epochs of pty-chi after which to look, for each engine."""
    sampled: tuple[int, ...]
    """Numbers of groups to train with."""
    seeds: int
    steps: int
    shown_groups: int
    """Groups that the networks trained with samples are shown of the whole scan."""
    block: int
    """Rows and columns of frames of the large measured scan."""
    small: int
    """Frames of the small measured scan, the first ones."""
    real_epochs: tuple[int, int]
    """Of pty-chi on the large and the small measured scan."""
    speed_frames: int


@contextlib.contextmanager
def clocked() -> Iterator[dict[str, float]]:
    """Yield what holds, after the block, its seconds and the largest memory of the process."""
    found: dict[str, float] = {}
    gc.collect()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # Linux begins to look for the peak anew
    began = time.perf_counter()
    yield found
    found["seconds"] = time.perf_counter() - began
    found["peak_mb"] = _peak_mb()


def _peak_mb() -> float:
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1e3


def has_ptychi() -> bool:
    """Return whether pty-chi can be imported; says so where not."""
    try:
        load_ptychi()
    except (ConfigError, ImportError) as problem:
        print(f"without pty-chi: {problem}")
        return False
    return True


def lit_on(canvas: Canvas, positions: np.ndarray, probe: np.ndarray) -> np.ndarray:
    """Return where on a canvas enough light falls to know the object."""
    return well_covered(illumination_on(canvas, positions, probe))


def illumination_on(canvas: Canvas, positions: np.ndarray, probe: np.ndarray) -> np.ndarray:
    """Return the light on a canvas, relative to the brightest spot of one frame."""
    modes = torch.from_numpy(np.asarray(probe, dtype=np.complex64))
    return stitching.illumination_on(canvas, torch.from_numpy(positions), modes).numpy()


def peer_batch(engine: str, raw: RawData) -> int:
    """Return frames per batch of pty-chi, in its favour.

    Its rPIE overshoots where many frames of a batch light one pixel: they light each once on
    average.
    """
    if engine != "rpie":
        return min(BATCH[engine], raw.n_frames)
    canvas = canvas_of(torch.from_numpy(raw.positions), raw.frame_size)
    often = illumination_on(canvas, raw.positions, raw.probe).max()
    return max(1, min(BATCH[engine], int(raw.n_frames / max(1.0, often))))


def against_truth(
    obj: np.ndarray, origin: tuple[int, int], raw: RawData, frames: Members | None = None
) -> Comparison:
    """Compare with the truth where some frames, or all, light it well.

    These are the same pixels for every method; the few that one leaves open (0) take its mean.
    """
    positions = raw.positions if frames is None else raw.positions[np.unique(frames)]
    mask = lit_on(Canvas((0, 0), raw.obj.shape), positions, raw.probe)
    filled = np.where(obj == 0, obj[obj != 0].mean(), obj)
    whole = np.full(raw.obj.shape, filled.mean(), dtype=np.complex64)
    row, col = (max(0, first) for first in origin)
    inside = filled[row - origin[0] :, col - origin[1] :]
    part = whole[row : row + inside.shape[0], col : col + inside.shape[1]]
    part[:] = inside[: part.shape[0], : part.shape[1]]
    return compare(whole, raw.obj, mask)


def figures(comparison: Comparison, least: Bound | None = None) -> dict[str, float]:
    """Return the numbers that the tables show; with errors over the smallest, if that is known."""
    found = {short: comparison.numbers[name] for short, name in KEPT_NUMBERS.items()}
    if least is not None:
        mask = comparison.aligned.mask
        mean = float(np.abs(comparison.truth[mask]).mean())
        amplitude = comparison.numbers["amplitude_rmse"] / mean
        found["phase_over_bound"] = comparison.numbers["phase_rmse_rad"] / least.phase
        found["amplitude_over_bound"] = amplitude / least.log_amplitude
    return found


def least_error(raw: RawData) -> Bound:
    """Return the smallest error of a simulated scan, given the spectra of its true object."""
    probe = torch.from_numpy(np.asarray(raw.probe, np.complex64))
    positions = torch.from_numpy(raw.positions)
    canvas = canvas_of(positions, raw.frame_size)
    (row, col), (height, width) = canvas
    obj = torch.from_numpy(raw.obj[row : row + height, col : col + width])
    lit = illumination_on(canvas, raw.positions, raw.probe)
    known = torch.from_numpy(lit > 0.25 * lit.max())
    pictures = logarithms(obj, known).numpy()
    before = first_prior(pictures, known.numpy())
    rows, cols = inner_rectangle(known.numpy())
    exact = np.zeros((2, rows.stop - rows.start, cols.stop - cols.start))
    return bound_of(
        probe, illumination_levels(probe, positions),
        measured_prior(pictures, known.numpy(), exact, before),
        transmission=float((obj.abs()[known] ** 2).mean()),
        field=float(np.ptp(raw.positions, axis=0).mean()),
    )  # fmt: skip


def residual(obj: np.ndarray, origin: tuple[int, int], probe: np.ndarray, raw: RawData) -> float:
    """Return the mean detector residual of an object that was found elsewhere."""
    frames = GroupDataset(raw, np.arange(raw.n_frames)[:, None])
    problem = Problem.of(frames, Canvas(origin, obj.shape), device=torch.device("cpu"))
    estimate = Estimate(torch.from_numpy(obj), Nuisances.given(torch.from_numpy(probe), frames))
    per_frame = frame_residuals(problem, estimate)
    return float(np.nanmean(per_frame.numpy()))


def infer(
    folder: Path, raw: RawData, sweeps: int | None, groups: Members | None = None, **more
) -> tuple[Result, dict[str, float]]:
    """Reconstruct a scan that is in memory; the clock covers grouping, computing, stitching.

    It also covers the detector residual of every frame, which pty-chi's clock does not.

    Args:
        folder: of the trained model.
        raw: the scan.
        sweeps: as in `ReconstructSettings`.
        groups: to reconstruct from; None takes all frames.
        **more: further settings.
    """
    settings = ReconstructSettings(
        sweeps=sweeps, progress=False, cache=False,
        n_images=None if groups is None else len(groups), **more,
    )  # fmt: skip
    with clocked() as clock:
        prepared = prepare(raw, folder, settings)
        result = run(prepared if groups is None else replace(prepared, members=groups))
    return result, clock


def by_network(
    method: str, folder: Path, raw: RawData, sweeps: int | None, **more
) -> tuple[dict, object]:
    """Return the row of a reconstruction by a network, and the object, 0 where not compared."""
    result, clock = infer(folder, raw, sweeps, **more)
    comparison = against_truth(result.obj, result.origin, raw)
    row = {
        "method": method, "sweeps": "auto" if sweeps is None else sweeps, "kept": result.iterations,
        "residual": float(np.nanmean(result.residuals)), **clock,
        **figures(comparison, least_error(raw)),
    }  # fmt: skip
    return row, comparison.aligned.obj * comparison.aligned.mask


def by_ptychi(engine: str, raw: RawData, epochs: tuple[int, ...]) -> tuple[list[dict], object]:
    """Return a row for each look at a run of pty-chi, the flat start first, and the last object."""
    with clocked() as clock:
        began = time.perf_counter()
        counts = raw.intensity(np.arange(raw.n_frames))
        loading = time.perf_counter() - began
        run = run_ptychi(
            counts, raw.positions, raw.probe, engine=engine, epochs=epochs,
            batch_size=peer_batch(engine, raw),
        )  # fmt: skip
    least = least_error(raw)
    looks = [(0, 0.0, np.ones_like(run.objects[0]))]
    looks += zip(run.epochs, run.seconds, run.objects, strict=True)
    rows = []
    for epoch, seconds, obj in looks:
        comparison = against_truth(obj, run.origin, raw)
        row = {
            "method": engine, "epochs": epoch, "peak_mb": clock["peak_mb"],
            "seconds": loading + run.setup_s + seconds,
            "residual": residual(obj, run.origin, raw.probe, raw),
        }  # fmt: skip
        rows.append(row | figures(comparison, least))
    return rows, comparison.aligned.obj * comparison.aligned.mask


def keep_picture(work: Path, name: str, obj: np.ndarray) -> None:
    """Keep an object for the pictures, what surrounds its known part (0 outside) cut off."""
    rows, cols = np.nonzero(obj)
    obj = obj[rows.min() : rows.max() + 1, cols.min() : cols.max() + 1]
    path = work / "objects" / f"{name}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, obj.astype(np.complex64))
