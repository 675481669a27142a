"""pty-chi on a scan, from nothing, on the clock: what any other method is measured against.

The known probe is fixed, the object starts flat, all pixels correct. Chosen in favour of pty-chi on
1,000 frames of 64 x 64 that overlap by 80 %: small random batches (16 for LSQML, 32 for rPIE;
larger or compact ones take longer to the same phase), the noise model and the joint step size that
are its defaults, no epoch spent on scaling a probe whose power is known. Its momentum acts on
compact batches only, which were slower in spite of it. Needs ptycho[refine].

    python benchmarks/ptychi_peer.py scan.npz [--engine rpie] [--batch_size 16] [--threads 1]
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Complex, Float, Shaped

from ptycho.engines.ptychi_task import (
    ROOM,
    Handover,
    Method,
    Plan,
    contained,
    estimate_of,
    load_ptychi,
    start_task,
)
from ptycho.engines.stitching import illumination_on
from ptycho.metrics import compare, well_covered
from ptycho.physics.patches import Canvas, canvas_of
from ptycho.scan.raw_data import RawData

BATCH = {"lsqml": 16, "rpie": 32}


class PeerRun(NamedTuple):
    """One run of pty-chi, looked at after some epochs."""

    epochs: tuple[int, ...]
    seconds: list[float]
    """Wall clock from the first epoch on, setting up not counted."""

    objects: list[Complex[np.ndarray, "height width"]]
    """What it had found by then, transmission."""

    probes: list[Complex[np.ndarray, "mode row col"]]
    """The probe by then; the one given unless it was refined."""

    origin: tuple[int, int]
    """(row, col) of their pixel (0, 0) in scan coordinates."""

    setup_s: float
    """Handing over the data and building the task, pty-chi already imported."""


def run_ptychi(
    counts: Shaped[np.ndarray, "frame row col"],
    positions: Float[np.ndarray, "frame 2"],
    probe: Complex[np.ndarray, "mode row col"],
    *,
    engine: Method = "lsqml",
    batch_size: int | None = None,
    epochs: Sequence[int] = (1, 5, 20, 100),
    seed: int = 0,
    device: str = "cpu",
    refine_probe: bool = False,
) -> PeerRun:
    """Reconstruct from a flat object; threads are the caller's choice.

    Args:
        counts: photons per detector pixel, zero frequency at N//2.
        positions: probe centres as (row, col), object pixels.
        probe: sqrt(photons) per object pixel.
        engine: lsqml or rpie.
        batch_size: frames corrected together; None takes what suits the engine.
        epochs: after which to look, ascending.
        seed: of the order of the frames.
        device: cpu or cuda.
        refine_probe: whether to correct the probe too; its power is kept.
    """
    load_ptychi()
    (row, col), (height, width) = canvas_of(torch.from_numpy(positions), counts.shape[-1])
    origin = (row - ROOM, col - ROOM)
    flat = np.ones((height + 2 * ROOM, width + 2 * ROOM), dtype=np.complex64)
    start = Handover(flat, probe, positions - np.array(origin))
    size = batch_size or min(BATCH[engine], len(counts))
    plan = Plan(engine, size, seed=seed, refine_probe=refine_probe, device=device)
    seconds, found, done, spent = [], [], 0, 0.0
    began = time.perf_counter()
    with contained():
        task = start_task(counts.astype(np.float32), start, None, plan)
        setup = time.perf_counter() - began
        for epoch in epochs:
            began = time.perf_counter()
            task.run(epoch - done)
            if device == "cuda":
                torch.cuda.synchronize()
            spent += time.perf_counter() - began
            done = epoch
            seconds.append(spent)
            found.append(estimate_of(task, start))
    objects, probes, _ = (list(part) for part in zip(*found, strict=True))
    return PeerRun(tuple(epochs), seconds, objects, probes, origin, setup)


def lit(run: PeerRun, positions: np.ndarray, probe: np.ndarray) -> np.ndarray:
    """Return where the objects of a run are known: where enough light fell."""
    canvas = Canvas(run.origin, run.objects[0].shape)
    light = illumination_on(canvas, torch.from_numpy(positions), torch.from_numpy(probe))
    return well_covered(light.numpy())


def main() -> None:
    """Print one line per look at the object."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("scan", type=Path, help="a scan file with its true object and probe")
    parser.add_argument("--engine", choices=sorted(BATCH), default="lsqml")
    parser.add_argument("--batch_size", type=int)
    parser.add_argument("--epochs", type=int, nargs="+", default=[1, 5, 20, 100])
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    raw = RawData.from_file(args.scan)
    run = run_ptychi(
        raw.intensity(np.arange(raw.n_frames)), raw.positions, raw.probe, engine=args.engine,
        batch_size=args.batch_size, epochs=args.epochs,
    )  # fmt: skip
    mask = lit(run, raw.positions, raw.probe)
    print(f"{args.engine}, set up in {run.setup_s:.2f} s")
    for epoch, seconds, obj in zip(run.epochs, run.seconds, run.objects, strict=True):
        numbers = compare(obj, raw.obj, mask, estimate_origin=run.origin).numbers
        print(
            f"epoch {epoch:4d} {seconds:8.2f} s  phase PSNR {numbers['phase_psnr_db']:.2f} dB  "
            f"amplitude PSNR {numbers['amplitude_psnr_db']:.2f} dB"
        )


if __name__ == "__main__":
    main()
