"""Is an object wrong by as much as `--trust` says? Simulated scans, where the truth is known.

Doses times overlaps times objects that the general model has never seen, with the default engine
and one-shot; then scans with wrong positions or a wrong probe. No number is fitted.
Writes trust.md, trust.json and trust.png. Some minutes on one core.

    python benchmarks/trust.py [--quick] [--output docs/benchmarks]
"""

import argparse
import functools
import json
import logging
import multiprocessing
import platform
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from reconstruction_cells import FRAME, FWHM, Cell
from reconstruction_table import table
from trust_figure import draw

from ptycho.api.reconstruction import prepare, run
from ptycho.api.result import Result
from ptycho.engines.uncertainty import same_gauge
from ptycho.metrics import well_covered
from ptycho.scan.raw_data import RawData
from ptycho.settings.reconstruct import ReconstructSettings
from ptycho.simulation.probes import make_probe

OBJECTS = (("camera", "coins"), ("clock", "text"), ("rocket", "clock"))
DOSES, OVERLAPS = (1e3, 1e4, 1e5, 1e6), (0.8, 0.6, 0.4)
FIELDS = {0.8: 32.0, 0.6: 64.0, 0.4: 64.0}
"""Width of the field of positions, object pixels; fewer where they lie dense, for the time."""
SAMPLES, BINS = 4, 8
PARTS = ("phase", "amplitude")


READING = (
    "Marks are scans, lines the bins of their pixels by what is said of them; dotted: a factor of "
    "two. Error and uncertainty are free of global phase, ramp and scale. `By halves` is the "
    "difference of two disjoint halves over two: standard deviation alone, so too small where the "
    "error is bias, too large where half of the positions is too sparse. Wrong positions "
    "are in pixels (standard deviation), a wrong probe is a tenth too wide.",
)
"""What stands above the table."""


class Case(NamedTuple):
    """A scan and how it is reconstructed."""

    cell: Cell
    pictures: tuple[str, str]
    sweeps: int | None
    wrong: str = ""
    """What of the scan is told wrong; nothing where empty."""

    def scan(self) -> RawData:
        """Return the simulated scan, as it is told."""
        raw = self.cell.scan(self.pictures, FIELDS[self.cell.overlap], seed=5)
        if self.wrong.startswith("positions"):
            off = float(self.wrong.split()[1]) * np.random.default_rng(3).normal(
                size=(2, raw.n_frames)
            )
            return replace(raw, xcoords=raw.xcoords + off[0], ycoords=raw.ycoords + off[1])
        if self.wrong.startswith("probe"):
            wide = make_probe("disc", FRAME, fwhm=1.1 * FWHM, photons=self.cell.dose)
            return replace(raw, probe=wide)
        return raw


def with_uncertainty(raw: RawData, sweeps: int | None, samples: int) -> Result:
    """Reconstruct by the general model, from single frames, with the uncertainty."""
    settings = ReconstructSettings(
        sweeps=sweeps,
        progress=False,
        cache=False,
        uncertainty=samples,
        gridsize=1,
        calibrate="off",
    )
    return run(prepare(raw, None, settings))


def measure(case: Case, samples: int) -> dict | None:
    """Return what was said and what is true of one case; None where it was withheld."""
    raw = case.scan()
    began = time.perf_counter()
    result = with_uncertainty(raw, case.sweeps, samples)
    std = result.uncertainty
    if std is None:
        return None
    seconds = time.perf_counter() - began
    row, col = result.origin
    height, width = result.obj.shape
    truth = same_gauge(
        raw.obj[row : row + height, col : col + width], result.obj, well_covered(result.coverage),
        shift=False,
    )  # fmt: skip
    errors = {
        "phase": np.angle(truth * result.obj.conj()),
        "amplitude": np.abs(truth) - np.abs(result.obj),
    }
    said = {"phase": std.pixels.phase_std, "amplitude": std.pixels.amplitude_std}
    found = {
        "dose": case.cell.dose, "overlap": case.cell.overlap, "object": "/".join(case.pictures),
        "sweeps": "default" if case.sweeps is None else case.sweeps, "wrong": case.wrong,
        "frames": raw.n_frames, "seconds": seconds, "unexplained": result.unexplained[1],
        "misfit_ratio": std.misfit_ratio,
        "half_data_half_bit": 2 * std.halves.crossing(std.halves.rings.half_bit),
        "phase_halves": std.halves.phase_std, "amplitude_halves": std.halves.amplitude_std,
    }  # fmt: skip
    for part in PARTS:
        found[part] = compared(said[part], errors[part])
    return found


def compared(said: np.ndarray, error: np.ndarray) -> dict:
    """Return root mean squares of what was said and of what is true, of all pixels and by bins."""
    known = np.isfinite(said) & np.isfinite(error)
    said, error = said[known].astype(np.float64), error[known].astype(np.float64)
    of_bin = np.digitize(said, np.quantile(said, np.linspace(0, 1, BINS + 1)[1:-1]))

    def rms(values: np.ndarray) -> float:
        return float(np.sqrt(np.mean(values**2)))

    parts = [of_bin == number for number in range(BINS)]
    return {
        "said": rms(said), "true": rms(error), "ratio": rms(error) / rms(said),
        "bins": [[rms(said[p]), rms(error[p])] for p in parts if p.any()],
        "within": float(np.mean(np.abs(error) < said)),
    }  # fmt: skip


def cases(quick: bool) -> list[Case]:
    """Return all that is measured."""
    doses, overlaps = (DOSES[1:3], (0.4,)) if quick else (DOSES, OVERLAPS)
    found = [
        Case(Cell(dose, overlap), pictures, sweeps)
        for sweeps in (None, 0)
        for pictures in (OBJECTS if sweeps is None else OBJECTS[:1])
        for overlap in overlaps
        for dose in doses
    ]
    wrong = ("positions 0.5", "positions 1.5", "probe")
    return found + [Case(Cell(1e5, 0.6), OBJECTS[0], None, name) for name in wrong]


def page(rows: list[dict], head: dict) -> str:
    """Return the table as Markdown, with what it shows."""
    sound = [row for row in rows if not row["wrong"]]
    swept = [r for r in sound if r["sweeps"] == "default"]
    one_shot = [r for r in sound if r["sweeps"] == 0]
    lines = [
        "# Trust without a truth, measured", "",
        f"`{head['command']}`, {head['machine']}, {head['seconds'] / 60:.0f} min, "
        f"processes of one thread: {head['jobs']}.", "", "![said and true](trust.png)", "",
    ]  # fmt: skip
    for name, some in (("Default engine", swept), ("One-shot", one_shot)):
        for part in PARTS:
            ratios = np.array([row[part]["ratio"] for row in some])
            low, middle, high = np.quantile(ratios, (0, 0.5, 1))
            lines.append(
                f"* {name}, {part}: the error is {middle:.2f} times what the map says (median; "
                f"{low:.2f} to {high:.2f}); {np.mean((ratios > 0.8) & (ratios < 1.25)):.0%} of the "
                f"cells between 0.8 and 1.25. {np.mean([r[part]['within'] for r in some]):.0%} "
                "of the pixels are off by less than their standard deviation."
            )
    lines += ["", *READING]
    if head["withheld"]:
        names = "; ".join(head["withheld"])
        lines += ["", f"No uncertainty was said where the verdict was wrong: {names}."]
    titles = ["dose", "overlap", "object", "sweeps", "wrong"]
    titles += ["phase: said, rad", "true", "true / said", "by halves"]
    titles += ["amplitude: said", "true", "true / said", "by halves", "misfit ratio"]
    body = []
    for row in rows:
        cells = [f"{row['dose']:.0e}", f"{row['overlap']:g}", row["object"], str(row["sweeps"]),
                 row["wrong"]]  # fmt: skip
        for part in PARTS:
            got = row[part]
            cells += [f"{got[key]:.3g}" for key in ("said", "true")] + [f"{got['ratio']:.2f}"]
            cells.append(f"{row[f'{part}_halves']:.3g}")
        body.append([*cells, f"{row['misfit_ratio']:.2f}"])
    return "\n".join([*lines, "", table(titles, body), ""])


def quietly() -> None:
    """Compute on one thread and say errors only."""
    torch.set_num_threads(1)
    logging.getLogger("ptycho").setLevel(logging.ERROR)


def main() -> None:
    """Measure all cases and write table, numbers and figure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few cells, two samples")
    parser.add_argument("--jobs", type=int, default=1, help="processes, of one thread each")
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"))
    arguments = parser.parse_args()
    began, rows, withheld = time.perf_counter(), [], []
    job = functools.partial(measure, samples=2 if arguments.quick else SAMPLES)
    with multiprocessing.get_context("spawn").Pool(arguments.jobs, quietly) as pool:
        for case, row in zip(
            cases(arguments.quick), pool.imap(job, cases(arguments.quick)), strict=True
        ):
            if row is None:
                withheld.append(f"{case.cell} {'/'.join(case.pictures)} {case.wrong}".strip())
                continue
            rows.append(row)
            print(
                row["sweeps"], row["object"], row["overlap"], f"{row['dose']:.0e}", row["wrong"],
                *(f"{part} {row[part]['true']:.3g} / {row[part]['said']:.3g}" for part in PARTS),
                f"{row['seconds']:.0f} s", flush=True,
            )  # fmt: skip
        pool.close()
        pool.join()
    head = {
        "command": "python benchmarks/trust.py" + (" --quick" if arguments.quick else ""),
        "machine": f"{platform.processor() or platform.machine()}, PyTorch {torch.__version__}",
        "samples": SAMPLES, "jobs": arguments.jobs,
        "seconds": time.perf_counter() - began, "withheld": withheld,
    }  # fmt: skip
    arguments.output.mkdir(parents=True, exist_ok=True)
    document = head | {"rows": rows}
    (arguments.output / "trust.json").write_text(json.dumps(document, indent=1) + "\n")
    (arguments.output / "trust.md").write_text(page(rows, head))
    draw(arguments.output / "trust.png", rows)


if __name__ == "__main__":
    main()
