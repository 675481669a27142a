"""Parts `real` and `speed` of the reconstruction benchmark: two measured scans, and the clock.

Measured scans have no truth: half of the frames against the other half, and the detector residual.
The probe in the files is a guess, so every method refines it, from the same start. Speed is frames
per second from the file to the object, and frames per CPU second of training.
"""

import functools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from ptychi_peer import run_ptychi
from reconstruction_ruler import Form, clocked, infer, keep_picture, lit_on, residual
from reconstruction_sampling import NETWORKS, learn

from ptycho.api.loading import load_data
from ptycho.api.simulation import simulated
from ptycho.engines.nuisances import more_modes
from ptycho.metrics import compare, flatten_phase
from ptycho.physics.patches import Canvas
from ptycho.scan.raw_data import RawData
from ptycho.scan.scaling import scaled_probe
from ptycho.settings.simulate import SimulateConfig

WAYS: dict[str, dict] = {
    "one-shot": {"sweeps": 0},
    "fast": {"sweeps": None, "quality": "fast"},
    "default": {"sweeps": None},
}
"""How the general model reconstructs a measured scan."""

STEPS = (4, 16)
"""Training steps of two runs; the difference of their times knows nothing of setting up."""


class Found(NamedTuple):
    """An object that some method made of some frames."""

    obj: np.ndarray
    origin: tuple[int, int]
    residual: float
    clock: dict[str, float]


class Measured(NamedTuple):
    """A measured scan and how it is reconstructed."""

    name: str
    file: str
    modes: int
    epochs: int
    block: int | None = None
    """Rows and columns of frames taken from the middle; None takes all."""
    first: int | None = None
    """So many frames taken from the start."""

    def scan(self, data: Path) -> RawData:
        """Return the frames that take part."""
        raw = load_data(data / self.file)
        if self.block is None:
            return raw.first(self.first or raw.n_frames)
        with np.load(data / self.file) as stored:
            rows, cols = stored["scan_row"], stored["scan_col"]
        middle = [int(np.median(along)) - self.block // 2 for along in (rows, cols)]
        inside = [
            (first <= along) & (along < first + self.block)
            for first, along in zip(middle, (rows, cols), strict=True)
        ]
        return raw.subset(np.flatnonzero(inside[0] & inside[1]))


def by_general(
    general: Path, raw: RawData, modes: int, sweeps: int | None, quality: str = "balanced"
) -> Found:
    """Reconstruct by the general model; the probe is refined."""
    result, clock = infer(general, raw, sweeps, refine_probe=True, n_modes=modes, quality=quality)
    return Found(result.obj, result.origin, float(np.nanmean(result.residuals)), clock)


def by_lsqml(raw: RawData, modes: int, epochs: int) -> Found:
    """Reconstruct by pty-chi from a flat object and the same probe, which it refines."""
    with clocked() as clock:
        counts = raw.intensity(np.arange(raw.n_frames))
        probe = more_modes(scaled_probe(raw).probe, max(modes, len(raw.probe))).numpy()
        run = run_ptychi(
            counts, raw.positions, probe, epochs=(epochs,), refine_probe=True
        )  # fmt: skip
    obj = run.objects[0]
    return Found(obj, run.origin, residual(obj, run.origin, run.probes[0], raw), clock)


def frc_of(first: Found, second: Found, raws: tuple[RawData, RawData]) -> float:
    """Return where two objects cease to agree: FRC 0.5, as a share of Nyquist."""
    masks = [
        lit_on(Canvas(found.origin, found.obj.shape), raw.positions, raw.probe)
        for found, raw in zip((first, second), raws, strict=True)
    ]
    return compare(
        first.obj, second.obj, masks[0], estimate_origin=first.origin, truth_origin=second.origin,
        truth_mask=masks[1],
    ).numbers["frc_05_share_of_nyquist"]  # fmt: skip


def measure_real(
    measured: Measured, data: Path, work: Path, method: str, make: object, peer: Path | None
) -> list[dict]:
    """Reconstruct all frames and two disjoint halves of them; compare the halves.

    The object of all frames is also compared with the peer's of the same frames.
    """
    raw = measured.scan(data)
    whole = make(raw)
    row = {"scan": measured.name, "frames": raw.n_frames, "method": method}
    if peer is not None and peer.exists():
        with np.load(peer) as kept:
            other = Found(kept["obj"], tuple(kept["origin"].tolist()), 0.0, {})
        row["frc_peer"] = frc_of(whole, other, (raw, raw))
    # At random: every second frame would be every second column of a raster.
    order = np.random.default_rng(0).permutation(raw.n_frames)
    halves = [raw.subset(np.sort(order[first::2])) for first in (0, 1)]
    first, second = (make(half) for half in halves)
    mask = lit_on(Canvas(whole.origin, whole.obj.shape), raw.positions, raw.probe)
    flat, _ = flatten_phase(whole.obj, mask)
    keep_picture(work, f"{measured.name}/{method}", np.where(mask, flat, 0))
    if peer is None:
        kept = kept_peer(work, measured)
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, obj=whole.obj, origin=whole.origin)
    frc = frc_of(first, second, (halves[0], halves[1]))
    return [row | {"frc": frc, "residual": whole.residual, **whole.clock}]


def kept_peer(work: Path, measured: Measured) -> Path:
    """Return the file that holds what pty-chi made of a measured scan."""
    return work / "peer" / f"{measured.name}.npz"


def real_jobs(
    form: Form, work: Path, general: Path, data: Path, peer: bool
) -> Iterator[tuple[str, object]]:
    """Yield what is to be measured on measured scans."""
    large, small = form.real_epochs
    scans = [
        Measured("rotavirus", "rotavirus_10304.npz", 1, large, form.block),
        Measured("siemens", "siemens_516.npz", 3, small, first=form.small),
    ]
    for scan in scans:
        if not (data / scan.file).exists():
            print(f"real: nothing at {data / scan.file}; left out")
            continue
        ways = {}
        if peer:
            ways[f"pty-chi lsqml, {scan.epochs} epochs"] = functools.partial(
                by_lsqml, modes=scan.modes, epochs=scan.epochs
            )
        for title, more in WAYS.items():
            ways[f"general, {title}"] = functools.partial(
                by_general, general, modes=scan.modes, **more
            )
        for method, make in ways.items():
            beside = None if method.startswith("pty-chi") else kept_peer(work, scan)
            call = functools.partial(measure_real, scan, data, work, method, make, beside)
            yield f"{scan.name}/{method}", call


def measure_inference(general: Path, n_frames: int, threads: int, sweeps: int | None) -> list[dict]:
    """Reconstruct a scan from its file; the best of two runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scan.npz"
        simulated(SimulateConfig(output=path, n_frames=n_frames)).save(path)
        spent = []
        for _ in range(2):
            began = time.perf_counter()
            infer(general, load_data(path), sweeps)
            spent.append(time.perf_counter() - began)
    torch.set_num_threads(before)
    return [{
        "threads": threads, "sweeps": "auto" if sweeps is None else sweeps,
        "frames": n_frames, "rate": n_frames / min(spent),
    }]  # fmt: skip


def measure_training(network: str, gridsize: int) -> list[dict]:
    """Train on one thread for a few steps; frames per CPU second."""
    raw = simulated(SimulateConfig(output=Path("memory"), n_frames=256))
    groups = np.arange(256).reshape(-1, gridsize**2)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    spent = []
    for steps in (1, *STEPS):
        with tempfile.TemporaryDirectory() as folder:
            began = time.process_time()
            learn(raw, groups, network, steps, 0, Path(folder))
            spent.append(time.process_time() - began)
    torch.set_num_threads(before)
    rate = 32 * (STEPS[1] - STEPS[0]) / (spent[2] - spent[1])
    return [{"network": network, "gridsize": gridsize, "rate": rate}]


def speed_jobs(form: Form, general: Path) -> Iterator[tuple[str, object]]:
    """Yield what is to be timed."""
    for threads in (1, 2):
        for sweeps in (0, 1, None):
            call = functools.partial(measure_inference, general, form.speed_frames, threads, sweeps)
            yield f"inference/{threads}/{sweeps}", call
    for network in NETWORKS:
        for gridsize in (1, 2):
            call = functools.partial(measure_training, network, gridsize)
            yield f"training/{network}/{gridsize}", call
