"""What each choice in the lifted network is worth: trained as long, on another object.

One choice at a time differs from the defaults. Every network is trained for the same CPU time on a
simulated scan of one object and reconstructs a scan of another under the same dose and overlap:
one-shot, and by default sweeps.

    python benchmarks/learned_step.py [--seconds 25] [--output docs/benchmarks]
"""

import argparse
import json
import logging
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from reconstruction_cells import OTHER, UNSEEN, Cell
from reconstruction_ruler import against_truth, figures, infer
from reconstruction_table import table

from ptycho.grouping import GroupRule
from ptycho.learning.model_folder import ModelSettings, build_model, save_model
from ptycho.learning.plan import TrainingOutput, TrainingPlan
from ptycho.learning.training import fit
from ptycho.scan.dataset import GroupDataset
from ptycho.scan.raw_data import RawData
from ptycho.scan.scaling import scaled_probe

CELLS = (Cell(1e3, 0.6), Cell(1e4, 0.4), Cell(1e5, 0.6))
FIELD = 110.0
CHOICES = {
    "defaults: width 16, 5 sweeps, 1 step": {},
    "no learned step": {"steps": 0},
    "2 learned steps": {"steps": 2},
    "width 32": {"width": 32},
    "2 learned steps, width 32": {"steps": 2, "width": 32},
    "3 sweeps before": {"sweeps": 3},
    "amplitude loss": {"loss": "amplitude"},
    "gridsize 1": {"gridsize": 1},
}
FRAMES_PER_STEP = 32


def groups_of(raw: RawData, gridsize: int) -> np.ndarray:
    """Return the groups of an epoch: four times as many as cover the scan."""
    if gridsize == 1:
        return np.tile(np.arange(raw.n_frames)[:, None], (4, 1))
    n = raw.n_frames // gridsize**2
    draws = (
        raw.select_groups(n, GroupRule(gridsize=gridsize), seed=s, use_cache=False)
        for s in range(4)
    )
    return np.concatenate(list(draws))


def train(
    raw: RawData, folder: Path, seconds: float, *, loss="poisson", gridsize=2, **options
) -> tuple[int, float]:
    """Train for so many CPU seconds in whole epochs; returns parameters and frames per CPU s."""
    probe = scaled_probe(raw).probe
    settings = ModelSettings(
        network="lifted", network_options=options, gridsize=gridsize,
        neighbor_count=8 if gridsize > 1 else 0, frame_size=raw.frame_size, n_modes=1,
    )  # fmt: skip
    groups = groups_of(raw, gridsize)

    def run(epochs: int) -> tuple[float, object]:
        torch.manual_seed(0)
        model = build_model(settings, probe)
        if options.get("steps") == 0:
            return 1.0, model
        began = time.process_time()
        plan = TrainingPlan(
            epochs=epochs, batch_size=FRAMES_PER_STEP // gridsize**2, learning_rate=1e-3, loss=loss
        )
        output = TrainingOutput(folder=folder / "fit", progress=False)
        model = fit(model, GroupDataset(raw, groups), None, plan, output).model
        return time.process_time() - began, model

    run(1)  # the first run also loads libraries
    (one, _), (two, _) = run(1), run(2)
    epoch = max(two - one, 0.05)
    _, model = run(max(1, round(seconds / epoch)))
    save_model(folder, model, settings)
    return sum(p.numel() for p in model.network.parameters()), groups.size / epoch


def measure(cell: Cell, name: str, seconds: float) -> dict:
    """Train on one object, reconstruct another."""
    with tempfile.TemporaryDirectory() as found:
        folder = Path(found)
        parameters, rate = train(cell.scan(OTHER, FIELD, seed=6), folder, seconds, **CHOICES[name])
        raw = cell.scan(UNSEEN, FIELD, seed=5)
        row = {"cell": str(cell), "choice": name, "parameters": parameters, "rate": rate}
        for title, sweeps in (("one_shot", 0), ("swept", None)):
            result, _ = infer(folder, raw, sweeps)
            for key, value in figures(against_truth(result.obj, result.origin, raw)).items():
                row[f"{title}_{key}"] = value
    return row


def as_markdown(rows: list[dict], seconds: float) -> str:
    """Return one table: a line for each choice, a column for each cell."""
    cells = list(dict.fromkeys(row["cell"] for row in rows))
    titles = ["choice", "parameters", "trained frames per CPU s"]
    titles += [f"{cell}: one-shot, swept" for cell in cells]
    lines = []
    for name in CHOICES:
        mine = {row["cell"]: row for row in rows if row["choice"] == name}
        first = next(iter(mine.values()))
        shown = (
            "" if "no learned" in name else f"{np.median([r['rate'] for r in mine.values()]):.0f}"
        )
        line = [name, f"{first['parameters']:,}", shown]
        line += [
            f"{mine[c]['one_shot_phase_psnr']:.1f} / {mine[c]['one_shot_amplitude_psnr']:.1f}, "
            f"{mine[c]['swept_phase_psnr']:.1f} / {mine[c]['swept_amplitude_psnr']:.1f}"
            for c in cells
        ]
        lines.append(line)
    return (
        "# The learned step: what each choice is worth\n\nMade by `benchmarks/learned_step.py`: "
        f"{seconds:.0f} CPU seconds of training each on one object, judged on another; one thread, "
        "one seed. Columns: dose / overlap; phase PSNR / amplitude PSNR in dB, one-shot and after "
        "default sweeps.\n\n" + table(titles, lines) + "\n"
    )


def main() -> None:
    """Measure all, write table and numbers."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=25.0)
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"))
    args = parser.parse_args()
    logging.getLogger("ptycho").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    rows = []
    for cell in CELLS:
        for name in CHOICES:
            rows.append(measure(cell, name, args.seconds))
            print(rows[-1], flush=True)
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / "learned_step.json").write_text(json.dumps(rows, indent=1) + "\n")
    text = as_markdown(rows, args.seconds)
    (args.output / "learned_step.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
