"""Tables and verdicts of the reconstruction benchmark, from its rows; pure functions of numbers.

A verdict is one line: the goal, met or missed, by how much, where.
"""

import math

import numpy as np

Rows = list[dict]
ENGINES = ("lsqml", "rpie")
COLUMNS = {
    "phase_psnr": ("phase PSNR, dB", ".1f"), "amplitude_psnr": ("amplitude PSNR, dB", ".1f"),
    "phase_ssim": ("phase SSIM", ".3f"), "frc": ("FRC 0.5, of Nyquist", ".2f"),
    "residual": ("detector residual", ".4f"), "seconds": ("s", ".2f"),
    "peak_mb": ("peak, MB", ".0f"),
}  # fmt: skip


def table(titles: list[str], rows: list[list[str]]) -> str:
    """Return Markdown."""
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def number(row: dict, key: str, spec: str) -> str:
    """Return a figure of a row, or nothing where it has none."""
    value = row.get(key)
    return "" if value is None or not math.isfinite(value) else format(value, spec)


def verdict(goal: str, met: list[bool], details: str) -> str:
    """Return the line of a goal that is to be reached everywhere."""
    if not met:
        return f"* {goal}: not measured"
    word = "**met**" if all(met) else f"**missed** in {len(met) - sum(met)} of {len(met)}"
    return f"* {goal}: {word}. {details}"


def label(row: dict) -> str:
    """Return the method with its sweeps or epochs."""
    if "epochs" in row:
        return f"pty-chi {row['method']}, {row['epochs']} epochs"
    if row["sweeps"] == "auto":
        return f"{row['method']}, default sweeps ({row['kept']} kept)"
    return f"{row['method']}, " + ("one-shot" if not row["sweeps"] else f"{row['sweeps']} sweeps")


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


def _cell(cell: tuple[float, float]) -> str:
    return f"{cell[0]:.0e} / {cell[1]:g}"


def one_shot_verdict(cells: dict) -> str:
    """Return whether lifted beats unet by 5 dB and twice the resolution after equal training."""
    met, parts = [], []
    for cell, rows in cells.items():
        lifted, unet = (pick(rows, f"{n}, other scan", sweeps=0) for n in ("lifted", "unet"))
        if lifted and unet:
            gain = lifted["phase_psnr"] - unet["phase_psnr"]
            met.append(gain >= 5 and lifted["frc"] >= 2 * unet["frc"])
            rings = f"FRC {lifted['frc']:.2f} over {unet['frc']:.2f}"
            parts.append(f"{_cell(cell)}: {gain:+.1f} dB, {rings}")
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
        equal_time[1].append(f"{_cell(cell)}: {then:+.1f} dB at {best['seconds']:.1f} s")
        at_end[0].append(last >= 0)
        at_end[1].append(f"{_cell(cell)}: {last:+.1f} dB")
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
            parts.append(f"{_cell(cell)}: no result within {end['seconds'] / 5:.1f} s")
            continue
        gap = best["phase_psnr"] - end["phase_psnr"]
        met.append(gap >= -0.5)
        share = best["seconds"] / end["seconds"]
        parts.append(f"{_cell(cell)}: {gap:+.1f} dB in {100 * share:.0f} % of the time")
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
                parts.append(f"{_cell(cell)}: {gap:+.1f} dB")
        goal = f"unseen object, {title}: general model within 1.5 dB of one trained on the scan"
        lines.append(verdict(goal, met, "; ".join(parts)))
    return lines


def cells_section(cells: dict) -> str:
    """Return verdicts and rows of the part `cells`."""
    lines = [one_shot_verdict(cells), *hard_verdicts(cells), easy_verdict(cells)]
    lines += unseen_verdicts(cells)
    titles = ["dose / overlap", "method", *(t for t, _ in COLUMNS.values()), "training, s"]
    shown = [
        [_cell(cell), label(row), *(number(row, k, s) for k, (_, s) in COLUMNS.items()),
         number(row, "training_s", ".0f")]
        for cell, rows in cells.items() for row in rows
    ]  # fmt: skip
    return "\n".join(lines) + "\n\n" + table(titles, shown)


def as_markdown(document: dict) -> str:
    """Return the page."""
    head, rows = document["head"], document["rows"]
    parts = [
        "# Reconstruction, measured",
        f"Made by `benchmarks/reconstruction.py`, {head['form']} form; {head['machine']}, "
        f"{head['threads']} thread(s), torch {head['torch']}.",
    ]
    if cells := cells_of(rows):
        parts += ["## Cells: dose and overlap, an unseen object", cells_section(cells)]
    return "\n\n".join(parts) + "\n"
