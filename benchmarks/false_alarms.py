"""How often `ptycho inspect` warns of a scan without a fault.

The 200 simulated scans of the calibration benchmark, unspoiled, are written as files and inspected
with everything that the command does by itself, the trial reconstruction included. Objects, probes,
frame sizes, scan patterns, overlaps (40 to 80 %) and doses (1e3 to 1e7 photons) vary; every fourth
file holds no probe. Rows go into rows.jsonl in the work folder as they are measured, so an
interrupted run goes on where it was. At most 2 % of the scans may get a warning.

    python benchmarks/false_alarms.py [--scans 200] [--first 0] [--again]
        [--work runs/false-alarms] [--output docs/benchmarks]
"""

import argparse
import json
import logging
import os
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from calibration_scans import SEED, Recipe, make, recipes

from ptycho.api.inspection import inspect_files
from ptycho.io import Reading
from ptycho.scan.raw_data import RawData

LIMIT = 0.02
"""Share of the scans that may get a warning."""
SCANS = 200
FIELDS = ("obj", "probe", "size", "pattern", "frames", "dose", "overlap")


def has_probe(recipe: Recipe) -> bool:
    """Return whether the file holds the probe."""
    return recipe.number % 4 != 3


def written(raw: RawData, path: Path, *, probe: bool) -> None:
    """Write a scan as a user's file: frames, positions and perhaps the probe."""
    arrays = {"diff3d": np.asarray(raw.frames[:]), "xcoords": raw.xcoords, "ycoords": raw.ycoords}
    np.savez(path, **arrays, **({"probeGuess": raw.probe} if probe else {}))


def measure(recipe: Recipe) -> dict:
    """Return the findings of one scan."""
    raw = make(recipe, Path()).pair.right
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scan.npz"
        written(replace(raw, obj=None, patches=None), path, probe=has_probe(recipe))
        began = time.perf_counter()
        (found,) = inspect_files([path], Reading(), trial=True)
        seconds = time.perf_counter() - began
    findings = [
        {"name": f.name, "severity": f.severity, "text": f.text} for f in found.inspection.findings
    ]
    row = {name: getattr(recipe, name) for name in ("number", *FIELDS)}
    return row | {"has_probe": has_probe(recipe), "seconds": seconds, "findings": findings}


def rows_in(path: Path) -> dict[int, dict]:
    """Return the rows of a file by scan, the last of each."""
    rows = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:  # cut off in the middle
            continue
        rows[row["number"]] = row
    return rows


def as_markdown(rows: list[dict]) -> str:
    """Return the page: rates by name of a finding, and every scan that got a warning."""
    alarmed = [row for row in rows if row["findings"]]
    counts = Counter(
        (f["name"], f["severity"]) for row in rows for f in row["findings"]
    )  # fmt: skip
    seconds = np.median([row["seconds"] for row in rows])
    lines = [
        "# False alarms of `ptycho inspect`",
        "",
        f"{len(rows)} simulated scans without a fault (seed {SEED}), made by",
        f"`benchmarks/false_alarms.py`; every fourth file holds no probe. {len(alarmed)} of them",
        f"({len(alarmed) / len(rows):.1%}) get a finding; at most {LIMIT:.0%} may. Median time "
        f"{seconds:.1f} s on one thread.",
        "",
        "| finding | severity | scans | share |",
        "|---|---|---|---|",
    ]
    for (name, severity), n in counts.most_common():
        lines.append(f"| `{name}` | {severity} | {n} | {n / len(rows):.1%} |")
    if alarmed:
        names = ("scan", *FIELDS, "findings")
        lines += ["", f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    for row in alarmed:
        probe = row["probe"] if row["has_probe"] else f"{row['probe']}, not in the file"
        lines.append(
            f"| {row['number']} | {row['obj']} | {probe} | {row['size']} | {row['pattern']} | "
            f"{row['frames']} | {row['dose']:.2g} | {row['overlap']:.0%} | "
            f"{'; '.join(f['text'] for f in row['findings'])} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    """Inspect what is missing; print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scans", type=int, default=SCANS, help="so many scans")
    parser.add_argument("--first", type=int, default=0, help="from this scan on")
    parser.add_argument("--again", action="store_true", help="inspect all once more")
    parser.add_argument("--work", type=Path, default=Path("runs/false-alarms"))
    parser.add_argument("--output", type=Path, help="docs/benchmarks; of a part: the work folder")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    logging.getLogger("ptycho").setLevel(logging.CRITICAL)
    args.work.mkdir(parents=True, exist_ok=True)
    path = args.work / "rows.jsonl"
    if args.again:
        path.unlink(missing_ok=True)
    chosen = recipes(args.first + args.scans)[args.first :]
    rows = rows_in(path)
    for recipe in chosen:
        if recipe.number in rows:
            continue
        row = rows[recipe.number] = measure(recipe._replace(spoilings=()))
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        names = ", ".join(f["name"] for f in row["findings"]) or "nothing"
        print(f"{recipe.number:4} {row['seconds']:5.1f} s  {names}", flush=True)
    page = as_markdown([rows[recipe.number] for recipe in chosen])
    output = args.output or (args.work if len(chosen) < SCANS else Path("docs/benchmarks"))
    (output / "false_alarms.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
