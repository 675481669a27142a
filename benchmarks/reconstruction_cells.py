"""Part `cells` of the reconstruction benchmark: doses times overlaps, an object never seen before.

The probe is known to all. Networks are trained on another object under the same dose and overlap,
on the very scan, or come with the package; pty-chi starts from a flat object.
"""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from ptychi_peer import run_ptychi
from reconstruction_ruler import Form, against_truth, by_network, by_ptychi, infer, keep_picture

from ptycho.commands import train
from ptycho.scan.raw_data import RawData
from ptycho.settings.train import TrainConfig
from ptycho.simulation.objects import make_object
from ptycho.simulation.probes import make_probe
from ptycho.simulation.scans import place_scan, raster_scan
from ptycho.simulation.simulate import simulate_scan

FRAME, FWHM = 64, 16.0
UNSEEN, OTHER = ("camera", "coins"), ("astronaut", "brick")
SWEEPS = (0, 1, 5, 20, None)


class Cell(NamedTuple):
    """A simulated scan."""

    dose: float
    overlap: float

    def __str__(self) -> str:
        return f"{self.dose:.0e}/{self.overlap:g}"

    def scan(self, pictures: tuple[str, str], field: float, seed: int) -> RawData:
        """Return the scan of an object made of two pictures, amplitude and phase."""
        rng = np.random.default_rng(seed)
        step = (1 - self.overlap) * FWHM
        side = int(field // step) + 1
        path = raster_scan(side**2, step=step, jitter=0.05 * step + 0.2, rng=rng)
        positions, shape = place_scan(path, FRAME)
        obj = make_object(shape, *pictures, rng=rng)
        probe = make_probe("disc", FRAME, fwhm=FWHM, photons=self.dose)
        return simulate_scan(obj, probe, positions, rng=rng)


def trained(folder: Path, scan: Path, network: str, seconds: float) -> dict[str, float]:
    """Train for about so many seconds, by as many whole epochs; returns what was spent.

    An epoch is timed on its own first; all groups learn, none watches.
    """

    def fit(epochs: int, output: Path) -> dict:
        train.run(
            TrainConfig(
                train_data_file=scan, output_dir=output, network=network, gridsize=2,
                nepochs=epochs, validation_fraction=0, progress=False, cache=False,
                threads=torch.get_num_threads(),
            )
        )  # fmt: skip
        return json.loads((output / "settings.json").read_text())["training"]

    epoch = fit(3, folder.with_name(folder.name + "_trial"))["seconds_per_epoch"]
    spent = fit(max(1, round(seconds / max(epoch, 0.01))), folder)
    return {"training_s": spent["seconds"], "training_epochs": spent["epochs"]}


def measure_network(
    cell: Cell, form: Form, work: Path, network: str, pictures: tuple[str, str]
) -> list[dict]:
    """Train a network on a scan of the cell, reconstruct the unseen object by it."""
    same = pictures == UNSEEN
    method = f"{network}, {'this' if same else 'other'} scan"
    folder = work / "models" / f"{cell}/{network}_{pictures[0]}"
    scan = folder.with_suffix(".npz")
    scan.parent.mkdir(parents=True, exist_ok=True)
    raw = cell.scan(UNSEEN, form.field, seed=5)
    learned_from = raw if same else cell.scan(pictures, form.field, seed=6)
    learned_from.save(scan)
    spent = trained(folder, scan, network, form.training_s)
    rows = []
    for sweeps in (0, None) if same else (0,):
        row, obj = by_network(method, folder, raw, sweeps)
        rows.append(row | spent)
        keep_picture(work, f"{cell}/{method}, {row['sweeps']}", obj)
    return rows


def measure_general(cell: Cell, form: Form, work: Path, general: Path) -> list[dict]:
    """Reconstruct by the general model, one-shot and with sweeps."""
    raw = cell.scan(UNSEEN, form.field, seed=5)
    compared = against_truth(raw.obj, (0, 0), raw).aligned.mask
    keep_picture(work, f"{cell}/truth", raw.obj * compared)
    rows = []
    for sweeps in SWEEPS:
        row, obj = by_network("general", general, raw, sweeps)
        rows.append(row)
        keep_picture(work, f"{cell}/general, {row['sweeps']}", obj)
    for quality in ("fast", "best"):
        row, obj = by_network(f"general, {quality}", general, raw, None, quality=quality)
        rows.append(row)
        keep_picture(work, f"{cell}/general, {quality}", obj)
    return rows


def measure_ptychi(cell: Cell, form: Form, work: Path, engine: str) -> list[dict]:
    """Reconstruct by pty-chi from a flat object."""
    rows, obj = by_ptychi(engine, cell.scan(UNSEEN, form.field, seed=5), form.epochs[engine])
    keep_picture(work, f"{cell}/{engine}", obj)
    return rows


def jobs(form: Form, work: Path, general: Path, peer: bool) -> Iterator[tuple[str, object]]:
    """Yield what is to be measured: a name, and a call that returns its rows."""
    for dose in form.doses:
        for overlap in form.overlaps:
            cell = Cell(dose, overlap)
            given = cell, form, work
            for network, pictures in (("unet", OTHER), ("lifted", OTHER), ("lifted", UNSEEN)):
                call = functools.partial(measure_network, *given, network, pictures)
                yield f"{cell}/{network} {pictures[0]}", call
            yield f"{cell}/general", functools.partial(measure_general, *given, general)
            for engine in form.epochs if peer else ():
                yield f"{cell}/{engine}", functools.partial(measure_ptychi, *given, engine)


def warm_up(general: Path, peer: bool) -> None:
    """Let every library do once, on a few frames, what it does only the first time."""
    raw = Cell(1e4, 0.6).scan(UNSEEN, 16.0, seed=0)
    infer(general, raw, 1)
    if peer:
        run_ptychi(raw.intensity(np.arange(raw.n_frames)), raw.positions, raw.probe, epochs=(1,))
