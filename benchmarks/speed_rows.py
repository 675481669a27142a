"""One row of `speed.py`, measured in a process of its own; prints a JSON object.

Uses what versions of ptycho before and after have in common, so that the same row can be measured
with another version first on the path of imports.

    python benchmarks/speed_rows.py sweep '{"size": 64, "frames": 1600, "refine": "probe"}'
"""

import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import ptycho
from ptycho.engines.ending import Ending
from ptycho.engines.nuisances import Nuisances, Refine
from ptycho.engines.problem import Estimate, Problem
from ptycho.engines.sweeps import Sweeps
from ptycho.io.fields import LazyFrames
from ptycho.physics.patches import canvas_of
from ptycho.physics.probe import with_modes
from ptycho.scan.dataset import GroupDataset
from ptycho.scan.raw_data import RawData
from ptycho.scan.scaling import scaled_probe

TIMES = 5
_FEWEST = 0.05  # seconds of one measurement of a transform
FIELD = 30  # frames per side of the simulated field that larger scans repeat


def floor(size: int) -> dict:
    """Return the time of the two transforms that a frame needs in an iteration, by MKL."""
    waves = torch.randn(max(1, 16 * 64**2 // size**2), size, size, dtype=torch.complex64)
    torch.fft.ifft2(torch.fft.fft2(waves))
    repeats, times = 1, []
    while len(times) < 3 * TIMES:
        began = time.process_time()
        for _ in range(repeats):
            torch.fft.ifft2(torch.fft.fft2(waves))
        spent = time.process_time() - began
        if spent < _FEWEST:
            repeats *= 2
            continue
        times.append(spent / repeats / len(waves))
    return {"us": 1e6 * statistics.median(times)}


def scan_of(size: int, frames: int) -> RawData:
    """Return a simulated scan; beyond 900 frames its field is repeated side by side."""
    step = size / 16
    raw = ptycho.simulate(
        n_frames=FIELD**2, N=size, step=step, jitter=0.3, probe_fwhm=size / 4, photons=6e4,
        amplitude_image="leaves", phase_image="clouds",
    )  # fmt: skip
    if frames <= FIELD**2:
        return raw.first(frames)
    across = int(np.ceil((frames / FIELD**2) ** 0.5))
    number = np.arange(frames)
    field, place = np.divmod(number, FIELD**2)
    row, col = np.divmod(field, across)
    ys = raw.ycoords[place] + row * FIELD * step
    xs = raw.xcoords[place] + col * FIELD * step
    stack = LazyFrames((frames, size, size), raw.frames.dtype, lambda n: raw.frames[n % FIELD**2])
    return replace(
        raw, frames=stack, xcoords=xs, ycoords=ys, xcoords_start=xs, ycoords_start=ys,
        scan_index=np.zeros(frames, int), numbers=number, obj=None, patches=None,
    )  # fmt: skip


def sweep(
    size: int, frames: int, refine: str = "", modes: int = 1, iterations: int = 6, **options: object
) -> dict:
    """Return CPU time of an iteration per frame: the later ones, when all is being refined."""
    raw = scan_of(size, frames)
    dataset = GroupDataset(raw, np.arange(raw.n_frames)[:, None])
    probe = with_modes(scaled_probe(raw).probe, modes)
    canvas = canvas_of(torch.from_numpy(raw.positions), size).widened(8)
    problem = Problem.of(dataset, canvas, device=torch.device("cpu"))
    ones = torch.ones(canvas.shape, dtype=torch.complex64)
    start = Estimate(ones, Nuisances.given(probe, dataset))
    asked = Refine(**{name: True for name in refine.split(",") if name})
    ends: list[tuple[float, float]] = []

    def track(items, total):
        for item in items:
            ends.append((time.process_time(), time.perf_counter()))
            yield item
        ends.append((time.process_time(), time.perf_counter()))

    before = peak_mb()
    Sweeps(**options).solve(problem, start, Ending(iterations=iterations), asked, track)
    spent = np.diff(np.array(ends), axis=0)[iterations // 2 :] / frames * 1e6
    cpu, wall = np.median(spent, axis=0).tolist()
    return {"us": cpu, "wall_us": wall, "peak_mb": peak_mb(), "grown_mb": peak_mb() - before}


def run(frames: int, **settings: object) -> dict:
    """Return time and memory of a reconstruction, from a file of 64 x 64 pixels to the object."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scan.npz"
        scan_of(64, frames).save(path)
        ptycho.reconstruct(  # what is compiled and imported once is not counted
            scan_of(64, 100), progress=False, cache=False, sweeps=1
        )
        cpu, wall = time.process_time(), time.perf_counter()
        ptycho.reconstruct(path, progress=False, cache=False, **settings)
        return {
            "s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu,
            "peak_mb": peak_mb(),
        }  # fmt: skip


def epoch(frames: int) -> dict:
    """Return the time of a training epoch of the default network, on all frames in groups of 4."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scan.npz"
        scan_of(64, frames).save(path)
        marks: list[float] = []
        settings = {"gridsize": 2, "n_images": frames // 4, "cache": False, "progress": False}
        for epochs in (1, 3):
            began = time.perf_counter()
            ptycho.train(path, nepochs=epochs, **settings)
            marks.append(time.perf_counter() - began)
        return {"s": (marks[1] - marks[0]) / 2, "peak_mb": peak_mb()}


def peer(size: int, frames: int, engine: str) -> dict:
    """Return the time of an epoch of pty-chi per frame; the first two are not counted."""
    from ptychi_peer import run_ptychi

    raw = scan_of(size, frames)
    found = run_ptychi(
        raw.intensity(np.arange(frames)), raw.positions, np.asarray(raw.probe), engine=engine,
        epochs=(2, 6),
    )  # fmt: skip
    return {"us": 1e6 * (found.seconds[1] - found.seconds[0]) / 4 / frames, "peak_mb": peak_mb()}


def peak_mb() -> float:
    """Return the most memory this process has held, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


ROWS: dict[str, Callable[..., dict]] = {f.__name__: f for f in (floor, sweep, run, epoch, peer)}


def main() -> None:
    """Measure the row named on the command line."""
    name, arguments = sys.argv[1], json.loads(sys.argv[2])
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    print(json.dumps(ROWS[name](**arguments)))


if __name__ == "__main__":
    main()
