"""Is a wrong scan made right, and if not, is that said? Simulated scans spoiled in known ways.

Each scan is reconstructed three times: `known`, with everything known and given; `spoiled`, as a
file with faults is reconstructed without further settings; `calibrated`, the same with
calibrate="auto", refine="auto". Also parts of two measured scans, whose truth is the
reconstruction of the right scan from another seed. Rows go into rows.jsonl in the work folder as
they are measured, so an interrupted run goes on where it was; --again measures an arm once more.
The full form takes hours on two cores.

    python benchmarks/calibration.py [--reduced] [--scans N] [--first K] [--kinds swap drift none]
        [--arms known spoiled calibrated] [--again calibrated] [--measured N] [--jobs 2]
        [--data ../shared/data] [--work runs/bench-calibration] [--output docs/benchmarks]
"""

import argparse
import functools
import json
import logging
import math
import multiprocessing
import os
import platform
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from calibration_scans import FILES, SPOILINGS, Made, Recipe, make, measured_recipes, recipes
from calibration_scoring import reference_of, score
from calibration_table import SCANS_HEADING, as_markdown, save_pictures

import ptycho
from ptycho.api.result import Result
from ptycho.errors import PtychoError
from ptycho.scan.exclusion import Exclude
from ptycho.scan.raw_data import RawData
from ptycho.scan.screening import screened
from ptycho.settings.base import from_mapping
from ptycho.settings.reconstruct import ReconstructSettings

ARMS = ("known", "spoiled", "calibrated")
FULL, REDUCED = (200, 36), (40, 4)
"""Simulated and measured scans of the two forms."""
AUTOMATIC = {"calibrate": "auto", "refine": "auto"}


class Job(NamedTuple):
    """The arms of one scan that are to be measured."""

    recipe: Recipe
    arms: tuple[str, ...]


def available() -> dict[str, str]:
    """Return the settings of the calibrated arm that this version of ptycho has."""
    found = {}
    for name, value in AUTOMATIC.items():
        try:
            from_mapping(ReconstructSettings, {name: value}, where="calibration benchmark")
        except PtychoError:
            continue
        found[name] = value
    return found


def reconstruct(raw: RawData, **settings: object) -> Result:
    """Reconstruct on one thread."""
    return ptycho.reconstruct(raw, progress=False, cache=False, threads=1, **settings)


def settings_of(arm: str, made: Made) -> tuple[RawData, dict]:
    """Return the scan of an arm and the settings of its reconstruction."""
    if arm == "known":
        refine = ",".join(made.pair.refine)
        return made.pair.right, {"refine": refine} if refine else {}
    return as_read(made.pair.spoiled), available() if arm == "calibrated" else {}


def as_read(raw: RawData) -> RawData:
    """Return a scan without the frames and pixels that are excluded when its file is read."""

    def read(numbers: Sequence[int]) -> RawData:
        return raw.subset(np.setdiff1d(np.arange(raw.n_frames), np.asarray(numbers, int)))

    return screened(read, Exclude())[0]


def measure(made: Made, arm: str) -> tuple[dict, dict[str, np.ndarray]]:
    """Reconstruct one arm of a scan; return its row without the recipe, and pictures."""
    raw, settings = settings_of(arm, made)
    began = time.perf_counter()
    try:
        result = reconstruct(raw, **settings)
    except PtychoError as problem:
        return {"refused": str(problem), "seconds": time.perf_counter() - began}, {}
    seconds = time.perf_counter() - began
    verdict, calibration = (getattr(result, name, None) for name in ("verdict", "calibration"))
    row = {
        "seconds": seconds, "calibration_s": max(0.0, seconds - result.seconds),
        "iterations": result.iterations, "residual": float(np.nanmean(result.residuals)),
        "unexplained_variation": result.unexplained_variation,
        "warnings": list(result.warnings), "verdict": getattr(verdict, "word", ""),
        "reasons": list(getattr(verdict, "reasons", ())),
        "found": str(calibration or ""),
    }  # fmt: skip
    scored, pictures = score(result, made, spoiled=arm != "known")
    return row | scored, pictures


def work_on(job: Job, work: Path, data: Path) -> list[dict]:
    """Measure the arms of one scan; keep their pictures."""
    recipe, rows = job.recipe, []
    reference = None
    if recipe.is_measured:
        reference = np.load(work / f"reference_{recipe.obj}.npy")
    made = make(recipe, data, reference)
    for arm in job.arms:
        known = [row for row in rows if row["arm"] == "known"]
        if arm == "spoiled" and known and not recipe.spoilings and not recipe.is_measured:
            rows.append(known[0] | {"arm": arm})  # nothing is spoiled: the same reconstruction
            continue
        try:
            row, pictures = measure(made, arm)
        except Exception:  # a fault in one scan must not cost the hours of the others
            row, pictures = {"failed": traceback.format_exc(limit=-3)}, {}
        rows.append(recipe._asdict() | {"arm": arm} | row)
        for name, picture in pictures.items():
            kept = f"{recipe.number}_{arm if name == 'phase' else name}.npy"
            if name == "phase" or arm == "known":
                np.save(work / "pictures" / kept, picture)
    return rows


def keep_reference(name: str, work: Path, data: Path) -> None:
    """Reconstruct a measured scan, unspoiled and from another seed, unless that was done."""
    path = work / f"reference_{name}.npy"
    if path.exists():
        return
    recipe = measured_recipes(2)[list(FILES).index(name)]
    made = make(recipe, data)
    found = reconstruct(made.pair.right, refine=",".join(made.pair.refine), seed=1)
    np.save(path, reference_of(found, made.pair.right))


def as_json(row: dict) -> str:
    """Return a row as one line; what is not finite is null."""
    plain = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in row.items()
    }
    return json.dumps(plain, default=lambda value: value.item())


def rows_in(path: Path, chosen: list[Recipe]) -> dict[tuple[int, str], dict]:
    """Return the rows of a file by scan and arm, the last of each; those of other recipes drop."""
    recipe_of = {recipe.number: json.loads(as_json(recipe._asdict())) for recipe in chosen}
    found = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:  # cut off in the middle
            continue
        recipe = recipe_of.get(row["number"])
        if recipe is not None and all(row[key] == value for key, value in recipe.items()):
            found[row["number"], row["arm"]] = row
    return found


def chosen_recipes(args: argparse.Namespace) -> list[Recipe]:
    """Return the recipes that the arguments ask for; without those whose file is missing."""
    form = REDUCED if args.reduced else FULL
    n_simulated = form[0] if args.scans is None else args.scans
    partly = args.scans is not None or args.first
    n_measured = (0 if partly else form[1]) if args.measured is None else args.measured
    found = recipes(args.first + n_simulated)[args.first :]
    measured = measured_recipes(n_measured)
    for name, file in FILES.items() if measured else ():
        if not (args.data / file).exists():
            print(f"{name}: skipped, there is no {args.data / file}")
            measured = [recipe for recipe in measured if recipe.obj != name]
    wanted = set(args.kinds or ())
    return [r for r in (*found, *measured) if not wanted or wanted & set(r.spoilings or ("none",))]


def quietly() -> None:
    """Compute on one thread and log errors only."""
    torch.set_num_threads(1)
    logging.getLogger("ptycho").setLevel(logging.CRITICAL)


def progress(row: dict) -> str:
    """Return a row in one line of the terminal."""
    told = "+".join(row["spoilings"]) or "none"
    head = f"{row['number']:4} {row['arm']:10} {told:28}"
    if "phase_db" not in row:
        return f"{head} {row.get('refused') or row['failed']}"
    decibels = (f"{row[key] or math.nan:5.1f}" for key in ("phase_db", "amplitude_db"))
    return (
        f"{head} {' / '.join(decibels)} dB, {row['seconds']:.0f} s {row['verdict']} {row['turn']}"
    )


def measure_all(args: argparse.Namespace, chosen: list[Recipe]) -> dict[tuple[int, str], dict]:
    """Measure what is missing; return all rows."""
    path = args.work / "rows.jsonl"
    rows = rows_in(path, chosen)
    arms = [arm for arm in args.arms if arm != "calibrated" or "calibrate" in available()]
    if len(arms) < len(args.arms):
        print("calibrated: skipped, this version has no setting `calibrate`")
    jobs = [
        Job(recipe, missing)
        for recipe in chosen
        if (missing := tuple(
            arm for arm in arms if arm in args.again or (recipe.number, arm) not in rows
        ))
    ]  # fmt: skip
    for name in {job.recipe.obj for job in jobs if job.recipe.is_measured}:
        keep_reference(name, args.work, args.data)
    work = functools.partial(work_on, work=args.work, data=args.data)
    with multiprocessing.get_context("spawn").Pool(args.jobs, quietly) as pool:
        for new in pool.imap_unordered(work, jobs):
            with path.open("a") as file:
                file.writelines(as_json(row) + "\n" for row in new)
            for row in new:
                print(progress(row), flush=True)
        pool.close()
        pool.join()
    return rows_in(path, chosen)


def main() -> None:
    """Measure what is missing and write table, rows and pictures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    kinds = ("none", *SPOILINGS)
    parser.add_argument("--reduced", action="store_true", help="the first 40 scans, 4 measured")
    parser.add_argument("--scans", type=int, help="so many simulated scans; no measured ones")
    parser.add_argument("--first", type=int, default=0, help="from this simulated scan on")
    parser.add_argument("--measured", type=int, help="so many measured scans")
    parser.add_argument("--kinds", nargs="+", choices=kinds, metavar="KIND", help=", ".join(kinds))
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=ARMS)
    parser.add_argument("--again", nargs="+", choices=ARMS, default=(), help="measure once more")
    parser.add_argument("--jobs", type=int, default=2, help="processes, of one thread each")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="measured scans")
    parser.add_argument("--work", type=Path, default=Path("runs/bench-calibration"))
    parser.add_argument("--output", type=Path, help="docs/benchmarks; of a part: the work folder")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes
    quietly()
    (args.work / "pictures").mkdir(parents=True, exist_ok=True)
    chosen = chosen_recipes(args)
    rows = list(measure_all(args, chosen).values())
    partly = args.reduced or args.kinds or args.first or args.scans not in (None, FULL[0])
    output = args.output or (args.work if partly else Path("docs/benchmarks"))
    output.mkdir(parents=True, exist_ok=True)
    head = {
        "form": "part" if partly else "full", "scans": len(chosen), "jobs": args.jobs,
        "machine": f"{platform.machine()}, PyTorch {torch.__version__}",
        "automatic": available(),
    }  # fmt: skip
    text = as_markdown(rows, head)
    if save_pictures(rows, args.work / "pictures", output / "calibration.png"):
        text += "\n![phases side by side](calibration.png)\n"
    (output / "calibration.md").write_text(text)
    lines = ",\n".join(as_json(row) for row in rows)
    (output / "calibration.json").write_text(
        f'{{"head": {as_json(head)}, "rows": [\n{lines}\n]}}\n'
    )
    print(text.partition(SCANS_HEADING)[0])


if __name__ == "__main__":
    main()
