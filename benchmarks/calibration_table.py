"""Table and contact sheet of the calibration benchmark, from its rows."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from reconstruction_table import table

from ptycho.report.drawing import new_figure, save

TOLERANCE_DB, TOLERANCE_AT_FEW_DB, FEW_PHOTONS = 1.0, 1.5, 3e3
"""Phase PSNR that a calibrated picture may be below the known one, also at a low dose."""
GOOD_DB = 3.0
"""The same for a picture that is right, though not as good as it could be."""
SPOILED, CALIBRATED = "spoiled", "calibrated"
PICTURED = 24
"""Scans on the contact sheet."""
SCANS_HEADING = "## Scans"

READING = (
    "`known`: everything known and given. `spoiled`: the scan with its faults, default settings. "
    "`calibrated`: the same with calibrate=auto, refine=auto. Decibels are phase / amplitude PSNR "
    "after global phase, ramp, scale and shift are removed; no other change of the positions is. "
    "The same pixels count for all: those that the right scan covers. A picture is `wrong` below "
    "15 dB of phase or where the phase error is above 0.7 of the phase contrast (RMS), `right` "
    "within 3 dB of the known one, otherwise `poor`. A mirrored, turned or conjugate picture "
    "counts as it is where orientation or probe were spoiled and the given probe cannot tell it "
    "from the right one; the column `turn` names it, in brackets where it does not count. "
    "Measured scans are compared with the reconstruction of the right scan from another seed, the "
    "probe refined; their `spoiled` arm refines nothing."
)


class Case(NamedTuple):
    """One scan with the rows of its arms."""

    scan: dict
    """The recipe: any row of it."""
    arms: dict[str, dict]

    def phase_db(self, arm: str) -> float:
        """Return the phase PSNR of an arm; NaN where there is none."""
        value = self.arms.get(arm, {}).get("phase_db")
        return math.nan if value is None else value

    def loss(self, arm: str) -> float:
        """Return by how much the phase PSNR of an arm is below that of the known scan."""
        return self.phase_db("known") - self.phase_db(arm)

    def is_within(self, arm: str) -> bool:
        """Return whether an arm is about as good as the known scan; False if it has no picture."""
        few = 0 < self.scan["dose"] < FEW_PHOTONS
        return self.loss(arm) <= (TOLERANCE_AT_FEW_DB if few else TOLERANCE_DB)

    def state(self, arm: str) -> str:
        """Return what the picture of an arm is in truth: right, poor or wrong; or why none is."""
        row = self.arms.get(arm)
        if row is None:
            return ""
        if "phase_db" not in row:
            return "refused" if "refused" in row else "failed"
        if row["wrong"]:
            return "wrong"
        return "right" if arm == "known" or self.loss(arm) <= GOOD_DB else "poor"

    def passes_wrong(self, arm: str) -> bool:
        """Return whether a wrong picture is called consistent."""
        return self.state(arm) == "wrong" and self.arms[arm]["verdict"] == "consistent"

    def blames_right(self, arm: str) -> bool:
        """Return whether a right picture is called doubtful or wrong."""
        return self.state(arm) == "right" and self.arms[arm]["verdict"] in ("doubtful", "wrong")


def cases_of(rows: list[dict]) -> list[Case]:
    """Return the rows by scan, in the order of their numbers."""
    found: dict[int, Case] = {}
    for row in sorted(rows, key=lambda row: row["number"]):
        found.setdefault(row["number"], Case(row, {})).arms[row["arm"]] = row
    return list(found.values())


def share(cases: list[Case], arm: str) -> str:
    """Return how many of the scans with an arm are within tolerance, as text."""
    some = [case for case in cases if arm in case.arms and not math.isnan(case.phase_db("known"))]
    if not some:
        return ""
    within = sum(case.is_within(arm) for case in some)
    return f"{within / len(some):.0%} ({within} of {len(some)})"


def count(cases: list[Case], arm: str, test: str, state: str) -> str:
    """Return how often a verdict is false, of how many pictures in that state it was given for."""
    judged = [c for c in cases if c.state(arm) == state and c.arms[arm]["verdict"]]
    if not judged:
        return ""
    return f"{sum(getattr(case, test)(arm) for case in judged)} of {len(judged)}"


def summary(cases: list[Case]) -> str:
    """Return the table of the arms."""
    spoiled = [case for case in cases if case.scan["spoilings"]]
    rows = []
    for arm in ("known", SPOILED, CALIBRATED):
        here = [case for case in cases if arm in case.arms]
        if not here:
            continue
        states = [case.state(arm) for case in here]
        seconds = [row["seconds"] for case in here if "seconds" in (row := case.arms[arm])]
        within = ["", ""] if arm == "known" else [share(cases, arm), share(spoiled, arm)]
        rows.append(
            [arm, *within, *(str(states.count(s)) for s in ("right", "poor", "wrong")),
             f"{states.count('refused')} / {states.count('failed')}",
             count(here, arm, "passes_wrong", "wrong"), count(here, arm, "blames_right", "right"),
             f"{np.median(seconds):.0f} / {max(seconds):.0f}" if seconds else ""]
        )  # fmt: skip
    titles = ["arm", "as good as known", "of those spoiled", "right", "poor", "wrong",
              "refused / failed", "wrong ones passed as consistent",
              "right ones called doubtful or wrong", "s, median / most"]  # fmt: skip
    return table(titles, rows)


def median(values: list[float], spec: str = ".1f") -> str:
    """Return the median of the numbers among values."""
    known = [value for value in values if not math.isnan(value)]
    return format(float(np.median(known)), spec) if known else ""


def by_kind(cases: list[Case]) -> str:
    """Return the table of the spoilings; a scan with two of them counts for both."""
    kinds = {kind: None for case in cases for kind in case.scan["spoilings"] or ("none",)}
    rows = []
    for kind in sorted(kinds, key=lambda kind: (kind != "none", kind)):
        some = [case for case in cases if kind in (case.scan["spoilings"] or ("none",))]
        single = [case for case in some if len(case.scan["spoilings"]) < 2]
        rows.append(
            [kind, f"{len(some)} ({len(single)})",
             *(median([case.phase_db(arm) for case in some])
               for arm in ("known", SPOILED, CALIBRATED)),
             median([-case.loss(CALIBRATED) for case in some], "+.1f"),
             share(some, SPOILED), share(some, CALIBRATED),
             *(" / ".join(count(some, arm, test, state) or "-" for arm in (SPOILED, CALIBRATED))
               for test, state in (("passes_wrong", "wrong"), ("blames_right", "right")))]
        )  # fmt: skip
    titles = ["spoiling", "scans (alone)", "known, dB", "spoiled, dB", "calibrated, dB",
              "calibrated - known, dB", "spoiled: as good as known", "calibrated: the same",
              "wrong ones passed, spoiled / calibrated", "right ones blamed, the same"]  # fmt: skip
    return table(titles, rows)


def decibels(row: dict | None) -> str:
    """Return phase / amplitude PSNR of a row."""
    if row is None:
        return ""
    if "phase_db" not in row:
        return "refused" if "refused" in row else "failed"
    return " / ".join(
        "" if row[key] is None else f"{row[key]:.1f}" for key in ("phase_db", "amplitude_db")
    )


def turn_of(row: dict | None) -> str:
    """Return the turn of a picture, in brackets where it does not count."""
    turn = (row or {}).get("turn") or ""
    return turn if not turn or row["turn_allowed"] else f"({turn})"


def scan_row(case: Case) -> list[str]:
    """Return the row of one scan."""
    scan, arms = case.scan, case.arms
    last = CALIBRATED if CALIBRATED in arms else SPOILED
    row = arms.get(last)
    difference = -case.loss(CALIBRATED)
    seconds = "" if row is None or "seconds" not in row else f"{row['seconds']:.0f}"
    if row is not None and last == CALIBRATED and "calibration_s" in row:
        seconds = f"{row['calibration_s']:.0f} + {row['seconds'] - row['calibration_s']:.0f}"
    return [
        str(scan["number"]), " + ".join(scan["spoilings"]) or "none",
        f"{scan['obj']}, {scan['probe']}", str(scan["size"]),
        f"{scan['frames']} {scan['pattern']}", f"{scan['dose']:.1e}" if scan["dose"] else "",
        f"{scan['overlap']:.2f}" if scan["dose"] else "",
        *(decibels(arms.get(arm)) for arm in ("known", SPOILED, CALIBRATED)),
        "" if math.isnan(difference) else f"{difference:+.1f}",
        *(" / ".join(text(arm) or "-" for arm in ("known", SPOILED, CALIBRATED))
          for text in (lambda arm: arms.get(arm, {}).get("verdict", ""), case.state)),
        turn_of(row), seconds,
    ]  # fmt: skip


def as_markdown(rows: list[dict], head: dict) -> str:
    """Return the page."""
    cases = cases_of(rows)
    titles = ["scan", "spoiled by", "object, probe", "frame, px", "frames", "dose", "overlap",
              "known, dB", "spoiled, dB", "calibrated, dB", "calibrated - known", "verdicts",
              "in truth", "turn", "s: calibration and verdict + reconstruction"]  # fmt: skip
    parts = [
        "# Calibration, measured",
        f"Made by `benchmarks/calibration.py`, {head['form']} form: {head['scans']} scans; "
        f"{head['machine']}, {head['jobs']} processes of one thread.",
        READING,
    ]
    if not head["automatic"]:
        parts.append("This version has no automatic calibration: its columns are empty.")
    parts += [
        "## Summary", summary(cases), "## By spoiling", by_kind(cases),
        SCANS_HEADING, table(titles, [scan_row(case) for case in cases]),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def pictured(cases: list[Case]) -> list[Case]:
    """Return scans for the contact sheet: each spoiling once before any comes again."""
    spoiled = [case for case in cases if case.scan["spoilings"] and case.arms]
    alone = sorted(spoiled, key=lambda case: len(case.scan["spoilings"]))
    seen: dict[str, int] = {}
    rank = []
    for case in alone:
        times = min(seen.get(kind, 0) for kind in case.scan["spoilings"])
        rank.append((times, len(rank), case))
        seen |= {kind: seen.get(kind, 0) + 1 for kind in case.scan["spoilings"]}
    return [case for _, _, case in sorted(rank, key=lambda entry: entry[:2])[:PICTURED]]


def _lit(grey: np.ndarray) -> np.ndarray:
    """Return the smallest part of a picture that holds all that is known."""
    rows, cols = np.nonzero(grey)
    return grey[rows.min() : rows.max() + 1, cols.min() : cols.max() + 1] if len(rows) else grey


def save_pictures(rows: list[dict], folder: Path, path: Path) -> bool:
    """Draw true, known, spoiled and calibrated phases; returns whether there were any.

    Args:
        rows: of the benchmark.
        folder: of the pictures.
        path: of the PNG.
    """
    chosen = pictured(cases_of(rows))
    arms = [
        arm
        for arm in ("truth", "known", SPOILED, CALIBRATED)
        if any((folder / f"{case.scan['number']}_{arm}.npy").exists() for case in chosen)
    ]
    if not arms:
        return False
    per_line = 2 if len(chosen) > 1 else 1
    n_lines, n_columns = math.ceil(len(chosen) / per_line), per_line * len(arms)
    figure = new_figure(1.5 * n_columns, 1.75 * n_lines)
    grid = figure.subplots(n_lines, n_columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for i, case in enumerate(chosen):
        for j, arm in enumerate(arms):
            axes = grid[i // per_line, len(arms) * (i % per_line) + j]
            kept = folder / f"{case.scan['number']}_{arm}.npy"
            decibel = case.phase_db(arm)
            title = " + ".join(case.scan["spoilings"]) if j == 0 else ""
            under = arm if math.isnan(decibel) else f"{arm}, {decibel:.1f} dB"
            axes.set_title(f"{title}\n{under}", fontsize=6, loc="left")
            if (arm == "truth" or arm in case.arms) and kept.exists():
                axes.imshow(_lit(np.load(kept)), "gray", vmin=0, vmax=255)
    save(figure, path)
    return True
