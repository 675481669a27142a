"""Grouping, timed and counted: neighbours, all groups, samples, cache, and what samples cover.

Every row runs in a process of its own, which also tells its peak memory; the same work in plain
SciPy and `np.unique` is timed in the same process, so that ratios hold on any machine. Medians of
up to seven calls. Writes a Markdown table and a JSON file. About six minutes on two cores.

    python benchmarks/grouping.py [--quick] [--output docs/benchmarks]
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np

ROW_LIMIT_S = 60
PLAIN_LIMIT = 6_000_000  # raw combinations; beyond, rows of np.unique take minutes and GB
TABLE_LIMIT = 60_000_000  # groups
BALANCED_LIMIT = {"raster": 10**6, "lattice": 10**6, "fermat": 10**6}
BALANCED_ALL_SIZES = 200_000  # positions; beyond, K = 4 takes minutes, and any n as long as M/C
SHAPES = ("raster", "fermat", "uniform", "clustered", "lattice")
COLUMNS = {
    "first_call": "first call",
    "knn": "kNN", "count": "count", "all": "all groups", "knn_all": "kNN + all",
    "plain": "SciPy + unique", "ratio": "ratio",
    "uniform_512": "uniform 512", "uniform_2576": "uniform 2,576",
    "balanced_512": "balanced 512", "balanced_2576": "balanced 2,576",
    "balanced_all": "balanced M/C", "sequential_512": "seq. 512",
    "sequential_2576": "seq. 2,576", "cache_write": "cache write", "cache_open": "cache open",
}  # fmt: skip


def positions(shape: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return x, y of about n positions of mean spacing 1, seeded."""
    rng = np.random.default_rng(7)
    rows = round((n / 1.217) ** 0.5)  # 92 x 112 = 10,304
    cols = n // rows
    if shape in ("raster", "lattice"):
        y, x = (a.ravel().astype(float) for a in np.mgrid[:rows, :cols])
        jitter = 0.05 * rng.normal(size=(2, x.size)) if shape == "raster" else np.zeros((2, 1))
        return x + jitter[0], y + jitter[1]
    if shape == "fermat":
        turn = np.arange(n)
        radius = np.sqrt(turn / np.pi)
        return radius * np.cos(2.399963229728653 * turn), radius * np.sin(2.399963229728653 * turn)
    if shape == "uniform":
        return tuple(rng.random((2, n)) * n**0.5)
    centres = rng.random((2, 30)) * n**0.5
    return tuple(centres[:, rng.integers(0, 30, n)] + 0.05 * n**0.5 * rng.normal(size=(2, n)))


def median_seconds(action, budget: float = 1.0, most: int = 7) -> float:
    """Return the median time of a call, of as many calls as the budget allows, at least one."""
    times = []
    while len(times) < most and (not times or sum(times) + times[-1] < budget):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def plain_groups(x, y, size: int, k: int) -> np.ndarray:
    """Return all groups the obvious way: kd-tree, every combination, rows made unique."""
    from scipy.spatial import cKDTree

    points = np.stack([x, y], axis=1)
    _, near = cKDTree(points).query(points, k=k + 1)
    chosen = np.array(list(combinations(range(1, k + 1), size - 1)))
    seeds = np.broadcast_to(near[:, :1, None], (len(x), len(chosen), 1))
    rows = np.concatenate([seeds, near[:, chosen]], axis=2)
    return np.unique(np.sort(rows.reshape(-1, size), axis=1), axis=0)


def measure(row: dict) -> dict:
    """Return the figures of one row; runs in a process of its own."""
    shape, n, gridsize, k = row["scan"], row["M"], row["gridsize"], row["K"]
    x, y = positions(shape, n)
    from ptycho.grouping import GroupRule, compiled, count_groups, sample_groups
    from ptycho.grouping.cache import find_groups
    from ptycho.grouping.enumerate import count, tabulate
    from ptycho.grouping.neighbours import find_neighbourhood
    from ptycho.grouping.sample import draw

    if row["way"] == "compiled" and not compiled.pays(len(x)):
        compiled.load()
    size, found = gridsize**2, {"M": len(x)}
    rule = GroupRule(gridsize=gridsize, K=k)
    if row.get("only_uniform"):
        for wanted in (512, 2576):
            found[f"uniform_{wanted}"] = median_seconds(
                lambda wanted=wanted: sample_groups(x, y, rule, n=wanted)
            )
        return found | _memory()
    listed = comb(k, size - 1) * len(x) < TABLE_LIMIT * 2
    start = time.perf_counter()
    neighbourhood = find_neighbourhood(x, y, rule)
    if listed:
        table = tabulate(neighbourhood)
    found["first_call"] = time.perf_counter() - start
    found["knn"] = median_seconds(lambda: find_neighbourhood(x, y, rule))
    found["count"] = median_seconds(lambda: count(neighbourhood))
    if listed:
        found["n_groups"] = len(table)
        found["all"] = median_seconds(lambda: tabulate(neighbourhood))
        found["knn_all"] = found["knn"] + found["all"]
        found |= _memory("listed_mb")
    else:
        found["n_groups"] = count_groups(x, y, rule)
    for wanted in (512, 2576):
        found[f"uniform_{wanted}"] = median_seconds(
            lambda wanted=wanted: draw(neighbourhood, n=wanted)
        )
        found[f"sequential_{wanted}"] = median_seconds(
            lambda wanted=wanted: draw(neighbourhood, n=wanted, method="sequential")
        )
    if gridsize == 2 and len(x) <= BALANCED_LIMIT.get(shape, 10**5):
        sizes = {"512": 512, "2576": 2576, "all": len(x) // size}
        if len(x) > BALANCED_ALL_SIZES:
            sizes = {"all": len(x) // size} if k > 4 else {}
        for name, wanted in sizes.items():
            found[f"balanced_{name}"] = median_seconds(
                lambda wanted=wanted: draw(neighbourhood, n=wanted, method="balanced")
            )
        if sizes:
            found |= _balance(x, y, neighbourhood, find_neighbourhood(x, y, GroupRule(K=4)))
    if listed and table.nbytes < 4e8:
        found |= _cache(x, y, rule, find_groups)
    if comb(k, size - 1) * len(x) <= PLAIN_LIMIT:
        found["plain"] = median_seconds(lambda: plain_groups(x, y, size, k), most=3)
        found["ratio"] = found["plain"] / found["knn_all"]
    return found | _memory()


def _balance(x, y, neighbourhood, of_four) -> dict:
    """Return what a balanced sample of M/C groups leaves out, and how compact its groups are."""
    from ptycho.grouping import summarise
    from ptycho.grouping.sample import draw

    balanced = summarise(x, y, draw(neighbourhood, n=len(x) // 4, method="balanced"))
    uniform = summarise(x, y, draw(of_four, n=len(x) // 4))
    return {
        "balanced_unused": 1 - balanced.share,
        "balanced_pair_ratio": balanced.mean_pair_distance / uniform.mean_pair_distance,
    }


def _cache(x, y, rule, find_groups) -> dict:
    from ptycho.grouping.cache import CachePlace

    with tempfile.TemporaryDirectory() as folder:
        place = CachePlace(dataset=Path(folder) / "scan.npz")
        start = time.perf_counter()
        table = find_groups(x, y, rule, cache=place)
        created = time.perf_counter() - start
        n_bytes = table.path.stat().st_size
        rows = np.random.default_rng(0).integers(0, len(table.groups), 2576)
        opened = median_seconds(lambda: find_groups(x, y, rule, cache=place).groups[np.sort(rows)])
    return {"cache_write": created, "cache_open": opened, "cache_mb": n_bytes / 1e6}


def _memory(name: str = "peak_mb") -> dict:
    return {name: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}


def rules() -> list[dict]:
    """Return the three rules of the grouping plan, measured on 10,304 frames of 64 x 64."""
    from ptycho.grouping import GroupRule
    from ptycho.grouping.cache import CachePlace, find_groups
    from ptycho.scan.raw_data import RawData

    x, y = positions("raster", 10_304)
    frames = np.random.default_rng(0).poisson(3.0, (len(x), 64, 64)).astype(np.float32)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scan.npz"
        probe = np.ones((64, 64), np.complex64)
        RawData(
            frames=frames, measurement="counts", xcoords=x, ycoords=y, probe=probe
        ).save(path)  # fmt: skip
        load = median_seconds(lambda: np.array(RawData.from_file(path).frames), budget=3)
        for k in (4, 6, 8):
            rule, place = GroupRule(K=k), CachePlace(dataset=path)
            compute = median_seconds(lambda rule=rule: find_groups(x, y, rule))
            start = time.perf_counter()
            path_of = find_groups(x, y, rule, cache=place).path
            first = time.perf_counter() - start
            opened = median_seconds(
                lambda rule=rule, place=place: find_groups(x, y, rule, cache=place)
            )
            found.append({
                "K": k, "neighbours": compute, "first_run": first, "opened": opened,
                "opened_share": opened / first, "file_mb": path_of.stat().st_size / 1e6,
                "data_loading": load, "first_run_over_loading": (load + first) / load,
            })  # fmt: skip
    return found


def spatial() -> list[dict]:
    """Return what samples of the exact raster of 10,304 positions cover, lengths in its step."""
    from scipy.spatial import cKDTree

    from ptycho.grouping import GroupRule, sample_groups, summarise

    x, y = positions("lattice", 10_304)
    area = np.stack(
        [a.ravel() for a in np.meshgrid(*(np.linspace(0, v.max(), 400) for v in (x, y)))], axis=1
    )
    found = []
    for method, k in (("sequential", 8), ("uniform", 4), ("uniform", 8), ("balanced", 8)):
        for n in (64, 256, 512, 2576):
            groups = sample_groups(x, y, GroupRule(K=k), n=n, method=method)
            covered = summarise(x, y, groups)
            used = np.unique(groups)
            far, _ = cKDTree(np.stack([x[used], y[used]], axis=1)).query(area)
            found.append({
                "sampler": method, "K": k, "n": n, "unused": 1 - covered.share,
                "within_1a": float((far <= 1).mean()), "within_2a": float((far <= 2).mean()),
                "empty_circle": float(far.max()), "pair": covered.mean_pair_distance,
                "discrepancy": covered.discrepancy,
            })  # fmt: skip
    return found


def cases(quick: bool) -> list[dict]:
    """Return the rows to measure, small ones first."""
    sizes = [1_087, 10_304] if quick else [1_087, 10_304, 100_000, 1_000_000]
    rows = []
    for n in sizes:
        shapes = SHAPES if n < 10**6 else ("raster", "fermat", "uniform")
        for shape in SHAPES if not quick else ("raster", "uniform"):
            for k in (4, 8) if quick or n >= 10**5 else (4, 6, 8):
                row = {"scan": shape, "M": n, "gridsize": 2, "K": k, "way": "as it comes"}
                if shape in shapes:
                    rows.append(row)
                if n == 10_304:
                    rows.append(row | {"way": "compiled"})
    for gridsize, k in ((3, 10), (3, 24), (4, 18), (4, 24)):
        rows.append({"scan": "lattice", "M": 10_304, "gridsize": gridsize, "K": k,
                     "way": "as it comes"})  # fmt: skip
    if not quick:
        rows += [
            {"scan": shape, "M": 10**7, "gridsize": 2, "K": k, "way": "as it comes",
             "only_uniform": True}
            for shape in ("raster", "uniform") for k in (4, 8)
        ]  # fmt: skip
    return rows


def run_row(row: dict) -> dict:
    """Measure one row in a fresh process; a reason takes the place of figures it cannot give."""
    command = [sys.executable, __file__, "--row", json.dumps(row)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ROW_LIMIT_S)
    except subprocess.TimeoutExpired:
        return row | {"skipped": f"took more than {ROW_LIMIT_S} s"}
    if done.returncode:
        return row | {"skipped": (done.stderr.strip().splitlines() or ["failed"])[-1][:90]}
    return row | json.loads(done.stdout)


def main() -> None:
    """Measure everything and write the table and the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small scans only, half a minute")
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--row", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        print(json.dumps(measure(json.loads(options.row))))
        return
    from grouping_table import as_markdown

    rows = []
    for case in cases(options.quick):
        rows.append(run_row(case))
        print(*(rows[-1].get(name, "") for name in ("scan", "M", "K", "way", "knn_all", "skipped")))
    document = {
        "machine": {"processor": platform.machine(), "python": platform.python_version(),
                    "numpy": np.__version__},
        "rows": rows, "rules": rules(), "spatial": spatial(),
    }  # fmt: skip
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "grouping.json").write_text(json.dumps(document, indent=1) + "\n")
    (options.output / "grouping.md").write_text(as_markdown(document, COLUMNS))
    print(f"written to {options.output}")


if __name__ == "__main__":
    main()
