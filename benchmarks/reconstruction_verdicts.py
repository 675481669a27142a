"""Verdicts of the reconstruction benchmark, from its rows; pure functions of numbers.

A verdict is one line: the goal, met or missed, by how much, where.
"""

import numpy as np

Rows = list[dict]
ENGINES = ("lsqml", "rpie")
SAMPLERS = ("sequential", "uniform", "balanced")
AT_N = 512


def verdict(goal: str, met: list[bool], details: str) -> str:
    """Return the line of a goal that is to be reached everywhere."""
    if not met:
        return f"* {goal}: not measured"
    word = "**met**" if all(met) else f"**missed** in {len(met) - sum(met)} of {len(met)}"
    return f"* {goal}: {word}. {details}"


def cells_of(rows: dict[str, Rows]) -> dict[tuple[float, float], Rows]:
    """Return the rows of each cell, by (dose, overlap); the names are cells/dose/overlap/method."""
    found: dict[tuple[float, float], Rows] = {}
    for name, some in rows.items():
        part, *rest = name.split("/")
        if part == "cells":
            found.setdefault((float(rest[0]), float(rest[1])), []).extend(some)
    return found


def pick(rows: Rows, method: str, **wanted) -> dict | None:
    """Return the first row of a method with these entries."""
    fits = (r for r in rows if r["method"] == method and wanted.items() <= r.items())
    return next(fits, None)


def value_at(curve: list[tuple[float, float]], seconds: float) -> float:
    """Return the best value that a method had reached after some time.

    Args:
        curve: (seconds, value) of each look; between two looks values lie on a straight line.
        seconds: when.
    """
    times, values = np.array(sorted(curve)).T
    return float(np.interp(seconds, times, np.maximum.accumulate(values)))


def peer_at(rows: Rows, seconds: float) -> float | None:
    """Return the phase PSNR of the better engine of pty-chi after some time."""
    curves = [[(r["seconds"], r["phase_psnr"]) for r in rows if r["method"] == e] for e in ENGINES]
    return max((value_at(curve, seconds) for curve in curves if curve), default=None)


def peer_end(rows: Rows) -> dict | None:
    """Return the row of the better engine after the most epochs."""
    runs = [r for r in rows if r["method"] in ENGINES]
    most = max((r["epochs"] for r in runs), default=None)
    return max(
        (r for r in runs if r["epochs"] == most), key=lambda r: r["phase_psnr"], default=None
    )


def named(cell: tuple[float, float]) -> str:
    """Return dose and overlap as they are shown."""
    return f"{cell[0]:.0e} / {cell[1]:g}"


def one_shot_verdict(cells: dict) -> str:
    """Return whether lifted beats unet by 5 dB and twice the resolution after equal training."""
    met, parts = [], []
    for cell, rows in cells.items():
        lifted, unet = (pick(rows, f"{n}, other scan", sweeps=0) for n in ("lifted", "unet"))
        if lifted and unet:
            gain = lifted["phase_psnr"] - unet["phase_psnr"]
            met.append(gain >= 5 and lifted["frc"] >= max(2 * unet["frc"], 1e-3))
            rings = f"FRC {lifted['frc']:.2f} over {unet['frc']:.2f}"
            parts.append(f"{named(cell)}: {gain:+.1f} dB, {rings}")
    goal = "one-shot, lifted over unet at equal training time, +5 dB of phase and 2x FRC"
    return verdict(goal, met, "; ".join(parts))


def is_hard(cell: tuple[float, float]) -> bool:
    """Return whether a cell has few photons or little overlap."""
    return cell[0] <= 1e4 or cell[1] <= 0.4


def hard_verdicts(cells: dict) -> list[str]:
    """Return whether the best network result beats pty-chi at equal time, and its 100 epochs."""
    equal_time, at_end = ([], []), ([], [])
    for cell, rows in cells.items():
        networks, end = [r for r in rows if r["method"] == "general"], peer_end(rows)
        if not (is_hard(cell) and networks and end):
            continue
        best = max(networks, key=lambda r: r["phase_psnr"])
        then = best["phase_psnr"] - peer_at(rows, best["seconds"])
        last = best["phase_psnr"] - end["phase_psnr"]
        equal_time[0].append(then > 0)
        equal_time[1].append(f"{named(cell)}: {then:+.1f} dB at {best['seconds']:.1f} s")
        at_end[0].append(last >= 0)
        at_end[1].append(f"{named(cell)}: {last:+.1f} dB")
    where = "dose <= 1e4 or overlap <= 0.4"
    return [
        verdict(f"{where}: better than pty-chi at equal time", equal_time[0],
                "; ".join(equal_time[1])),
        verdict(f"{where}: at least equal to pty-chi's most epochs", at_end[0],
                "; ".join(at_end[1])),
    ]  # fmt: skip


def easy_verdict(cells: dict) -> str:
    """Return whether a network result comes near 100 epochs of pty-chi in a fifth of the time."""
    met, parts = [], []
    for cell, rows in cells.items():
        networks, end = [r for r in rows if r["method"] == "general"], peer_end(rows)
        if is_hard(cell) or not (networks and end):
            continue
        quick = [r for r in networks if r["seconds"] <= end["seconds"] / 5]
        best = max(quick, key=lambda r: r["phase_psnr"], default=None)
        if best is None:
            met.append(False)
            parts.append(f"{named(cell)}: no result within {end['seconds'] / 5:.1f} s")
            continue
        gap = best["phase_psnr"] - end["phase_psnr"]
        met.append(gap >= -0.5)
        share = best["seconds"] / end["seconds"]
        parts.append(f"{named(cell)}: {gap:+.1f} dB in {100 * share:.0f} % of the time")
    goal = "other cells: within 0.5 dB of pty-chi's most epochs in 1/5 of its time"
    return verdict(goal, met, "; ".join(parts))


def unseen_verdicts(cells: dict) -> list[str]:
    """Return whether the general model comes near one trained on the very scan."""
    lines = []
    for sweeps, title in ((0, "one-shot"), ("auto", "default sweeps")):
        met, parts = [], []
        for cell, rows in cells.items():
            general = pick(rows, "general", sweeps=sweeps)
            own = pick(rows, "lifted, this scan", sweeps=sweeps)
            if general and own:
                gap = general["phase_psnr"] - own["phase_psnr"]
                met.append(gap >= -1.5)
                parts.append(f"{named(cell)}: {gap:+.1f} dB")
        goal = f"unseen object, {title}: general model within 1.5 dB of one trained on the scan"
        lines.append(verdict(goal, met, "; ".join(parts)))
    return lines


def by(rows: Rows, *keys: str) -> dict[tuple, Rows]:
    """Return rows by the values of some entries, in the order met."""
    found: dict[tuple, Rows] = {}
    for row in rows:
        found.setdefault(tuple(row[key] for key in keys), []).append(row)
    return found


def sampling_verdict(learning: Rows) -> str:
    """Return whether spread groups beat the first ones by 6 dB, and whether seeds agree."""
    met, parts = [], []
    at_n = [row for row in learning if row["n"] == AT_N]
    for (network, gridsize), rows in by(at_n, "network", "gridsize").items():
        found = {s: {r["seed"]: r["phase_psnr"] for r in rows if r["sampler"] == s}
                 for s in SAMPLERS}  # fmt: skip
        seeds = set.intersection(*(set(some) for some in found.values()))
        if not seeds:
            continue
        best = max(SAMPLERS[1:], key=lambda s: np.mean([found[s][seed] for seed in seeds]))
        gains = [found[best][seed] - found["sequential"][seed] for seed in sorted(seeds)]
        met.append(float(np.mean(gains)) >= 6)
        agree = len({gain >= 6 for gain in gains}) == 1
        seeds_say = "one seed" if len(gains) == 1 else "seeds agree" if agree else "seeds differ"
        parts.append(
            f"{network}, gridsize {gridsize}: {best} {np.mean(gains):+.1f} dB ({seeds_say}: "
            + ", ".join(f"{gain:+.1f}" for gain in gains) + ")"
        )  # fmt: skip
    goal = f"n = {AT_N}: balanced or uniform over sequential, +6 dB of whole-scan phase"
    return verdict(goal, met, "; ".join(parts))
