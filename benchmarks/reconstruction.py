"""Networks, sweeps and pty-chi side by side, from dose to dose and overlap to overlap.

Four parts, each on one machine in one process: `cells` (twelve simulated scans of an unseen
object), `sampling` (which groups to learn from, whole-scan quality), `real` (two measured scans),
`speed`. Rows go into a JSON file as they are measured, so an interrupted run goes on where it was.
The reduced form takes under 20 minutes on two cores, the full one hours.

    python benchmarks/reconstruction.py [--reduced] [--only cells sampling real speed]
        [--general MODEL] [--data FOLDER] [--output docs/benchmarks] [--threads 1]
"""

import argparse
import json
import logging
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import reconstruction_cells as cells
import reconstruction_real as real
import reconstruction_sampling as sampling
import torch
from reconstruction_ruler import Form, has_ptychi
from reconstruction_table import as_markdown

from ptycho.learning.model_folder import general_model
from ptycho.metrics import robust_range
from ptycho.report.drawing import new_figure, save

ROWS = ("1e+03/0.8", "1e+03/0.2", "1e+04/0.6", "1e+06/0.8", "1e+06/0.2")
PICTURED = (
    "truth", "unet, other scan, 0", "lifted, other scan, 0", "general, 0", "general, auto", "lsqml"
)  # fmt: skip
PARTS = ("cells", "sampling", "real", "speed")
FORMS = {
    "full": Form(
        doses=(1e3, 1e4, 1e6), overlaps=(0.8, 0.6, 0.4, 0.2), field=110.0, training_s=20.0,
        epochs={"lsqml": (1, 5, 20, 100), "rpie": (1, 5, 20, 100)}, sampled=(64, 256, 512, 2576),
        seeds=3, steps=100, shown_groups=644, block=40, small=516, real_epochs=(100, 200),
        speed_frames=1296,
    ),
    "reduced": Form(
        doses=(1e3, 1e6), overlaps=(0.8, 0.2), field=64.0, training_s=15.0,
        epochs={"lsqml": (1, 5, 20, 100), "rpie": (1, 5, 20)}, sampled=(512,),
        seeds=1, steps=100, shown_groups=644, block=16, small=129, real_epochs=(20, 10),
        speed_frames=324,
    ),
    "tiny": Form(
        doses=(1e4,), overlaps=(0.6,), field=24.0, training_s=1.0,
        epochs={"lsqml": (1, 2), "rpie": (1, 2)}, sampled=(8,),
        seeds=1, steps=4, shown_groups=16, block=6, small=32, real_epochs=(1, 1),
        speed_frames=36,
    ),
}  # fmt: skip


class Ledger:
    """Rows by the name of the measurement, in a JSON file that grows with each one."""

    def __init__(self, path: Path, head: dict):
        self.path, self.document = path, {"head": head, "rows": {}}
        if path.exists():
            found = json.loads(path.read_text())
            if all(found["head"].get(key) == head[key] for key in ("form", "threads", "general")):
                self.document["rows"] = found["rows"]

    def measure(self, name: str, call: Callable[[], list[dict]]) -> None:
        """Measure, unless that was done before."""
        if name in self.document["rows"]:
            return
        began = time.perf_counter()
        self.document["rows"][name] = call()
        print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
        half_written = self.path.with_suffix(".part")
        half_written.write_text(json.dumps(self.document, indent=1) + "\n")
        half_written.replace(self.path)


def jobs(part: str, form: Form, work: Path, general: Path, data: Path, peer: bool):
    """Yield name and call of every measurement of a part."""
    if part == "cells":
        return cells.jobs(form, work, general, peer)
    if part == "sampling":
        return sampling.jobs(form, general)
    if part == "real":
        return real.real_jobs(form, work, general, data, peer)
    return real.speed_jobs(form, general)


def save_pictures(objects: Path, path: Path) -> bool:
    """Draw kept objects side by side, a row for each scan; returns whether there were any.

    Phases, of simulated scans in the colours of the truth; of the virus particles the amplitude.
    """
    rows = {name: [objects / name / f"{column}.npy" for column in PICTURED] for name in ROWS}
    for name in ("rotavirus", "siemens"):
        rows[name] = sorted((objects / name).glob("*.npy"))
    rows = {
        name: found for name, paths in rows.items() if (found := [p for p in paths if p.exists()])
    }
    if not rows:
        return False
    figure = new_figure(2.6 * len(PICTURED), 2.7 * len(rows))
    grid = figure.subplots(len(rows), len(PICTURED), squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for (name, paths), line in zip(rows.items(), grid, strict=True):
        limits = None
        for kept, axes in zip(paths, line, strict=False):
            obj = np.load(kept)
            shown = np.abs(obj) if name == "rotavirus" else np.angle(obj * np.conj(obj.sum()))
            low_high = limits or robust_range(shown, obj != 0)
            limits = low_high if kept.stem == "truth" else limits
            axes.imshow(shown, "gray", vmin=low_high[0], vmax=low_high[1])
            axes.set_title(f"{name}\n{kept.stem}", fontsize=7)
    save(figure, path)
    return True


def main() -> None:
    """Measure what is missing and write tables, numbers and pictures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--reduced", action="store_true", help="corners only, small scans")
    parser.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--general", type=Path, default=general_model(), help="a model folder")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="measured scans")
    parser.add_argument("--output", type=Path, help="docs/benchmarks; reduced: the work folder")
    parser.add_argument("--work", type=Path, default=Path("runs/bench-reconstruction"))
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    name = "tiny" if args.tiny else "reduced" if args.reduced else "full"
    form, work = FORMS[name], args.work / name
    output = args.output or (Path("docs/benchmarks") if name == "full" else work)
    for folder in (work, output):
        folder.mkdir(parents=True, exist_ok=True)
    logging.getLogger("ptycho").setLevel(logging.ERROR)
    torch.set_num_threads(args.threads)
    peer = has_ptychi()
    cells.warm_up(args.general, peer)
    head = {
        "form": name, "machine": platform.machine(), "threads": args.threads,
        "torch": torch.__version__, "general": args.general.name, "ptychi": peer,
        "field": form.field, "steps": form.steps, "shown_groups": form.shown_groups,
    }  # fmt: skip
    ledger = Ledger(output / "reconstruction.json", head)
    for part in args.only:
        for job, call in jobs(part, form, work, args.general, args.data, peer):
            ledger.measure(f"{part}/{job}", call)
    text = as_markdown(ledger.document)
    if save_pictures(work / "objects", output / "reconstruction.png"):
        text += "\n![phases side by side](reconstruction.png)\n"
    (output / "reconstruction.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
