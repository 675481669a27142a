"""Tables of the reconstruction benchmark, from its rows."""

import math

import numpy as np
from reconstruction_verdicts import (
    SAMPLERS,
    Rows,
    by,
    cells_of,
    easy_verdict,
    hard_verdicts,
    named,
    one_shot_verdict,
    sampling_verdict,
    unseen_verdicts,
)

COLUMNS = {
    "phase_psnr": ("phase PSNR, dB", ".1f"), "amplitude_psnr": ("amplitude PSNR, dB", ".1f"),
    "phase_over_bound": ("phase error / bound", ".2f"),
    "amplitude_over_bound": ("amplitude error / bound", ".2f"),
    "phase_ssim": ("phase SSIM", ".3f"), "frc": ("FRC 0.5, of Nyquist", ".2f"),
    "residual": ("detector residual", ".4f"), "seconds": ("s", ".2f"),
    "peak_mb": ("peak, MB", ".0f"),
}  # fmt: skip

PEER_RATES = {1: 10.9, 2: 41.0}
"""Training frames per CPU second of PtychoPINN on one thread, by gridsize."""


def table(titles: list[str], rows: list[list[str]]) -> str:
    """Return Markdown."""
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def number(row: dict, key: str, spec: str) -> str:
    """Return a figure of a row, or nothing where it has none."""
    value = row.get(key)
    return "" if value is None or not math.isfinite(value) else format(value, spec)


def label(row: dict) -> str:
    """Return the method with its sweeps or epochs."""
    if "epochs" in row:
        return f"pty-chi {row['method']}, {row['epochs']} epochs"
    if row["sweeps"] == "auto":
        return f"{row['method']}, default ({row['kept']} iterations)"
    return f"{row['method']}, " + ("one-shot" if not row["sweeps"] else f"{row['sweeps']} sweeps")


def cells_section(cells: dict) -> str:
    """Return verdicts and rows of the part `cells`."""
    lines = [one_shot_verdict(cells), *hard_verdicts(cells), easy_verdict(cells)]
    lines += unseen_verdicts(cells)
    titles = ["dose / overlap", "method", *(t for t, _ in COLUMNS.values()), "training, s"]
    shown = [
        [named(cell), label(row), *(number(row, k, s) for k, (_, s) in COLUMNS.items()),
         number(row, "training_s", ".0f")]
        for cell, rows in cells.items() for row in rows
    ]  # fmt: skip
    return "\n".join(lines) + "\n\n" + table(titles, shown)


def part_of(rows: dict[str, Rows], start: str) -> Rows:
    """Return the rows whose name begins so."""
    return [row for name, some in rows.items() if name.startswith(start) for row in some]


def spread(rows: Rows, key: str, spec: str, factor: float = 1.0) -> str:
    """Return mean +- standard deviation over the seeds; the mean alone of a single one."""
    values = [factor * row[key] for row in rows if math.isfinite(row[key])]
    if not values:
        return ""
    mean = format(float(np.mean(values)), spec)
    return mean if len(values) == 1 else f"{mean} +- {np.std(values, ddof=1):{spec}}"


def sampling_section(rows: dict[str, Rows], head: dict) -> str:
    """Return verdict and tables of the part `sampling`."""
    learning, looking = part_of(rows, "sampling/learning"), part_of(rows, "sampling/looking")
    learned = [
        [network, str(gridsize), f"{n:,}", *(spread(by(some, "sampler").get((s,), []), key, spec)
         for key, spec in (("phase_psnr", ".1f"), ("frc", ".2f")) for s in SAMPLERS)]
        for (network, gridsize, n), some in by(learning, "network", "gridsize", "n").items()
    ]  # fmt: skip
    seen = [
        [str(gridsize), f"{n:,}", str(sweeps), *(spread(by(some, "sampler").get((s,), []), *what)
         for what in (("phase_psnr", ".1f"), ("covered", ".0f", 100)) for s in SAMPLERS)]
        for (gridsize, n, sweeps), some in by(looking, "gridsize", "n", "sweeps").items()
    ]  # fmt: skip
    titles = {
        what: [f"{s}: {what}" for s in SAMPLERS]
        for what in ("phase PSNR, dB", "FRC 0.5, of Nyquist", "covered, %")
    }
    return "\n\n".join([
        sampling_verdict(learning),
        f"Learning from n samples (groups of four, or single frames), {head['steps']} optimiser "
        f"steps of 32 frames for every n, whole scan reconstructed one-shot from the same "
        f"{head['shown_groups']:,} balanced groups all over it; mean +- standard deviation over "
        "seeds. At gridsize 1 a balanced choice takes one member from each of n balanced groups.",
        table(["network", "gridsize", "n", *titles["phase PSNR, dB"],
               *titles["FRC 0.5, of Nyquist"]], learned),
        "Looking at n samples only, by the general model; what was not reconstructed counts as 1.",
        table(["gridsize", "n", "sweeps", *titles["phase PSNR, dB"], *titles["covered, %"]], seen),
    ])  # fmt: skip


def real_section(rows: Rows) -> str:
    """Return the table of the part `real`."""
    titles = ["scan", "frames", "method", "half-data FRC 0.5, of Nyquist",
              "FRC 0.5 against pty-chi", "detector residual", "s"]  # fmt: skip
    return table(titles, [
        [r["scan"], f"{r['frames']:,}", r["method"], number(r, "frc", ".2f"),
         number(r, "frc_peer", ".2f"), number(r, "residual", ".4f"), number(r, "seconds", ".1f")]
        for r in rows
    ])  # fmt: skip


def speed_section(rows: dict[str, Rows]) -> str:
    """Return the tables of the part `speed`."""
    rates = [
        [str(sweeps), *(number(r, "rate", ".0f") for r in sorted(some, key=lambda r: r["threads"]))]
        for (sweeps,), some in by(part_of(rows, "speed/inference"), "sweeps").items()
    ]
    learned = part_of(rows, "speed/training")
    lines = [
        [r["network"], str(r["gridsize"]), number(r, "rate", ".0f"),
         f"{PEER_RATES[r['gridsize']]:g}", f"{r['rate'] / PEER_RATES[r['gridsize']]:.1f}x"]
        for r in learned
    ]  # fmt: skip
    return "\n\n".join([
        "Inference, frames/s from the file to the stitched object, by threads:",
        table(["sweeps", "1 thread", "2 threads"], rates),
        "Training, frames per CPU second on one thread:",
        table(["network", "gridsize", "frames per CPU s", "PtychoPINN", "ratio"], lines),
    ])  # fmt: skip


def as_markdown(document: dict) -> str:
    """Return the page."""
    head, rows = document["head"], document["rows"]
    peer = "" if head["ptychi"] else " pty-chi was not installed; its rows are left out."
    parts = [
        "# Reconstruction, measured",
        f"Made by `benchmarks/reconstruction.py`, {head['form']} form; {head['machine']}, "
        f"{head['threads']} thread(s), torch {head['torch']}, pty-chi from a flat object. Seconds "
        "are those of inference: grouping, computing, stitching (ours with the detector residual "
        f"of every frame), pictures not counted; peak is the memory of the process.{peer}",
    ]
    if cells := cells_of(rows):
        parts += [
            "## Cells: dose and overlap, an unseen object",
            f"{head['field']:g} px wide fields of 64 x 64 frames, disc probe 16 px wide and known, "
            "well-lit pixels only, the same for all.",
            cells_section(cells),
        ]
    if part_of(rows, "sampling/"):
        parts += ["## Sampling: the production scan of 10,304 frames", sampling_section(rows, head)]
    if measured := part_of(rows, "real/"):
        parts += ["## Measured scans, the probe refined along", real_section(measured)]
    if part_of(rows, "speed/"):
        parts += ["## Speed", speed_section(rows)]
    return "\n\n".join(parts) + "\n"
