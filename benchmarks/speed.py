"""How fast is the main loop, and how far from what the processor allows?

Every row runs in a process of its own. Times per frame are CPU microseconds of one iteration on one
thread, and ratios are to the two Fourier transforms (MKL, the same run) that a frame needs at
least, to tensors instead of compiled loops, to the version before, if it is given, and to pty-chi,
if it is installed. Whole runs are seconds on all cores. Writes speed.md, speed.json and speed.png;
about half an hour on two cores.

    python benchmarks/speed.py [--quick] [--before CHECKOUT] [--output docs/benchmarks]
"""

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
SIZES = {64: 1600, 128: 600, 256: 200, 512: 60}
"""Frame size and number of frames."""
REFINED = ("", "probe", "positions", "probe,positions", "probe,positions,intensity,background")
MODES = (1, 2, 4, 8)
FRAMES = (1_000, 10_000, 100_000, 1_000_000)
PEERS = ("lsqml", "rpie")
GOALS_US = {(64, ""): 40, (128, ""): 140, (256, ""): 700, (64, "probe,positions"): 90}
GOALS_S = {"default": 8, "one-shot": 5, "training epoch": 8}


class Bench:
    """Measures rows in processes of their own.

    Args:
        before: a checkout of another version; None for none.
    """

    def __init__(self, before: Path | None):
        self.before = before

    def row(
        self, name: str, *, before: bool = False, threads: int | None = 1, **arguments: object
    ) -> dict | None:
        """Return a row, or None if it cannot be measured."""
        if before and self.before is None:
            return None
        path = str(self.before if before else HERE.parent)
        environment = os.environ | {"PYTHONPATH": path}
        if threads is not None:
            environment["OMP_NUM_THREADS"] = str(threads)
        else:
            environment.pop("OMP_NUM_THREADS", None)
            environment["OMP_NUM_THREADS"] = str(os.cpu_count())
        command = [sys.executable, str(HERE / "speed_rows.py"), name, json.dumps(arguments)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        version = "before" if before else ""
        if done.returncode:
            print(f"{name} {arguments} {version}: {done.stderr.strip().splitlines()[-1]}")
            return None
        found = json.loads(done.stdout.splitlines()[-1])
        print(name, arguments, version, {k: round(v, 1) for k, v in found.items()}, flush=True)
        return found


def sweeps(bench: Bench, quick: bool) -> list[dict]:
    """Return rows of single iterations: by size and what is refined, by modes."""
    sizes = [64, 128] if quick else list(SIZES)
    refined = ("", "probe,positions") if quick else REFINED
    modes = (1, 2) if quick else MODES
    floors = {size: bench.row("floor", size=size)["us"] for size in sizes}
    cases = [(size, refine, 1) for size in sizes for refine in refined]
    cases += [(size, "", n) for size in sizes for n in modes[1:] if size * n < 4096]
    found = []
    for size, refine, n_modes in cases:
        what = {"size": size, "frames": SIZES[size], "refine": refine, "modes": n_modes}
        row = bench.row("sweep", **what)
        goal = GOALS_US.get((size, refine)) if n_modes == 1 else None
        row |= what | {"floor_us": n_modes * floors[size], "goal_us": goal}
        if n_modes == 1:
            row["tensors_us"] = us(bench.row("sweep", **what, fused=False))
            row["before_us"] = us(bench.row("sweep", **what, before=True))
        if not refine and n_modes == 1 and importlib.util.find_spec("ptychi") and size < 512:
            for engine in PEERS:
                row[engine] = us(bench.row("peer", size=size, frames=SIZES[size], engine=engine))
        found.append(row)
    return found


def us(row: dict | None) -> float | None:
    """Return the microseconds of a row that may be missing."""
    return None if row is None else row["us"]


def growth(bench: Bench, quick: bool) -> list[dict]:
    """Return rows of iterations by number of frames: time per frame, memory."""
    return [
        {"frames": frames} | (bench.row("sweep", size=64, frames=frames, iterations=3) or {})
        for frames in FRAMES[: 2 if quick else None]
    ]


def runs(bench: Bench, quick: bool) -> list[dict]:
    """Return rows of whole runs on all cores."""
    frames = 2_000 if quick else 10_304
    found = []
    for name, settings in (("default", {}), ("one-shot", {"sweeps": 0})):
        row = bench.row("run", threads=None, frames=frames, **settings)
        before = bench.row("run", threads=None, frames=frames, before=True, **settings)
        found.append({"run": name, "frames": frames, "before_s": before and before["s"]} | row)
    row = bench.row("epoch", threads=None, frames=frames)
    before = bench.row("epoch", threads=None, frames=frames, before=True)
    found.append({"run": "training epoch", "frames": frames, "before_s": before and before["s"]})
    found[-1] |= row or {}
    return found


def ratio(above: float | None, below: float | None) -> str:
    """Return a ratio in words."""
    return "" if not (above and below) else f"{above / below:.1f}x"


def number(value: float | None, form: str = ",.0f") -> str:
    """Return a number that may be missing."""
    return "" if value is None else format(value, form)


def as_markdown(found: dict) -> str:
    """Return the tables of all rows."""
    lines = [
        "# Speed of the main loop",
        "",
        f"Made by `benchmarks/speed.py` on {found['machine']}. Times per frame are CPU",
        "microseconds of one iteration over all frames, on one thread; the floor is that of the",
        "forward and inverse Fourier transform of each mode (MKL, in the same run). *Tensors*:",
        "the iteration without compiled loops. *Before*: the version compared with.",
        "",
        "| frame | modes | refined | us per frame | goal | floor | / floor | tensors / "
        "| before / | LSQML / | rPIE / |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in found["sweeps"]:
        ratios = (ratio(row.get(name), row["us"]) for name in ("tensors_us", "before_us", *PEERS))
        lines.append(
            f"| {row['size']} | {row['modes']} | {row['refine'].replace(',', ', ') or 'nothing'} | "
            f"{number(row['us'])} | {number(row['goal_us'])} | {number(row['floor_us'])} | "
            f"{ratio(row['us'], row['floor_us'])} | {' | '.join(ratios)} |"
        )
    lines += [
        "", "## Number of frames", "",
        "Frames of 64 x 64 in an iteration without further parameters; a field is repeated side",
        "by side. Memory is the most that the process held, and its growth in the iterations.",
        "",
        "| frames | us per frame | memory | grown |", "|---|---|---|---|",
    ]  # fmt: skip
    for row in found["growth"]:
        lines.append(
            f"| {row['frames']:,} | {number(row.get('us'))} | {number(row.get('peak_mb'))} MB | "
            f"{number(row.get('grown_mb'))} MB |"
        )
    lines += [
        "", "## Whole runs", "",
        "From a file of 64 x 64 pixels to the object, all cores; imports not counted.", "",
        "| run | frames | seconds | goal | CPU seconds | memory | before / |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in found["runs"]:
        lines.append(
            f"| {row['run']} | {row['frames']:,} | {number(row.get('s'), '.1f')} | "
            f"{GOALS_S[row['run']]} | {number(row.get('cpu_s'), '.1f')} | "
            f"{number(row.get('peak_mb'))} MB | {ratio(row['before_s'], row.get('s'))} |"
        )
    lines += ["", "![Time per frame by size, modes and number of frames](speed.png)", ""]
    return "\n".join(lines)


def draw(found: dict, path: Path) -> None:
    """Draw time per frame by frame size, by modes and by number of frames."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (by_size, by_modes, by_frames) = pyplot.subplots(1, 3, figsize=(12, 3.6))
    single = [row for row in found["sweeps"] if row["modes"] == 1]
    for refine in dict.fromkeys(row["refine"] for row in single):
        rows = [row for row in single if row["refine"] == refine]
        label = refine.replace(",", ", ") or "object alone"
        sizes = [row["size"] for row in rows]
        by_size.plot(sizes, [row["us"] / row["size"] ** 2 * 1e3 for row in rows], "o-", label=label)
    plain = [row for row in single if not row["refine"]]
    floors = [row["floor_us"] / row["size"] ** 2 * 1e3 for row in plain]
    by_size.plot([row["size"] for row in plain], floors, "k--", label="two transforms")
    by_size.set(xscale="log", xlabel="frame size, pixels", ylabel="ns per detector pixel")
    by_size.set(ylim=(0, 1.5 * by_size.get_ylim()[1]))  # room for the legend
    by_size.set_xticks([row["size"] for row in plain], [str(row["size"]) for row in plain])
    by_size.minorticks_off()
    by_size.legend(fontsize=7)
    for size in dict.fromkeys(row["size"] for row in found["sweeps"]):
        rows = [row for row in found["sweeps"] if row["size"] == size and not row["refine"]]
        each = [row["us"] / row["modes"] / size**2 * 1e3 for row in rows]
        by_modes.plot([row["modes"] for row in rows], each, "o-", label=f"{size} pixels")
    by_modes.set(xlabel="modes", ylabel="ns per detector pixel and mode", ylim=0)
    by_modes.legend(fontsize=7)
    rows = [row for row in found["growth"] if "us" in row]
    by_frames.plot([row["frames"] for row in rows], [row["us"] for row in rows], "o-")
    by_frames.set(xscale="log", xlabel="frames", ylabel="us per frame, 64 pixels", ylim=0)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure everything; print the tables and write them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small frames and scans only")
    parser.add_argument("--before", type=Path, help="a checkout of the version to compare with")
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"))
    args = parser.parse_args()
    bench = Bench(args.before and args.before.resolve())
    machine = f"{os.cpu_count()} cores, {platform.machine()}, PyTorch {torch.__version__}"
    found = {"machine": machine}
    for name, measure in (("sweeps", sweeps), ("growth", growth), ("runs", runs)):
        found[name] = measure(bench, args.quick)
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / "speed.json").write_text(json.dumps(found, indent=1))
    draw(found, args.output / "speed.png")
    page = as_markdown(found)
    (args.output / "speed.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
