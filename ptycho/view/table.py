"""The list of runs as a table: its columns, and the filter of its rows.

Data flow: catalogue -> [rows] -> viewer. Plain Python: no browser, no figures.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ptycho.view.catalogue import Entry

METRICS = {
    "phase PSNR (dB)": "phase_psnr_db",
    "amplitude PSNR (dB)": "amplitude_psnr_db",
    "FRC 0.5 (of Nyquist)": "frc_05_share_of_nyquist",
    "detector residual": "detector_residual",
    "phase uncertainty (rad)": "phase_std_rad",
    "best loss": "best_loss",
    "epochs": "epochs",
}
"""Columns of numbers: heading -> name in the results of a run."""

TEXTS = ("run", "kind", "state", "verdict", "written", "network", "gridsize", "data")
"""Columns of text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which runs are listed."""

    text: str = ""
    """Words that all occur in the row, in upper or lower case."""

    kind: str = ""
    """Kind of run; empty lists all."""

    metric: str = ""
    """A key of `METRICS`; empty for none."""

    least: float | None = None
    """Smallest value of the metric; None sets no limit."""

    most: float | None = None
    """Largest value of the metric; None sets no limit."""

    def fits(self, row: dict[str, Any]) -> bool:
        """Return whether a row is listed; a limit excludes the rows without the metric."""
        words = " ".join(str(row[name]) for name in TEXTS).lower()
        if not all(word in words for word in self.text.lower().split()):
            return False
        if self.kind and row["kind"] != self.kind:
            return False
        if not self.metric or (self.least is None and self.most is None):
            return True
        value = row[self.metric]
        if value is None:
            return False
        above = self.least is None or value >= self.least
        return above and (self.most is None or value <= self.most)


def rows_of(entries: Iterable[Entry], chosen: Filter) -> list[dict[str, Any]]:
    """Return the rows of the runs that fit, newest first.

    Args:
        entries: of the catalogue.
        chosen: which of them.
    """
    newest = sorted(entries, key=lambda entry: entry.changed_s, reverse=True)
    return [row for entry in newest if chosen.fits(row := _row(entry))]


def as_columns(rows: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return rows as columns; unknown numbers are NaN."""
    texts = {name: [row[name] for row in rows] for name in TEXTS}
    numbers = {
        name: [float("nan") if row[name] is None else row[name] for row in rows] for name in METRICS
    }
    return texts | numbers


def _row(entry: Entry) -> dict[str, Any]:
    run = entry.run
    settings = {} if run is None else run.settings
    data = settings.get("train_data_file") or settings.get("test_data") or settings.get("data")
    model = {} if run is None else run.model or {}
    numbers = entry.numbers()
    return {
        "run": entry.name,
        "kind": "" if run is None else run.kind,
        "state": entry.state(),
        "verdict": str(numbers.get("verdict") or ""),
        "written": datetime.fromtimestamp(entry.changed_s).strftime("%Y-%m-%d %H:%M:%S"),
        "network": str(settings.get("network") or model.get("network") or ""),
        "gridsize": str(settings.get("gridsize") or ""),
        "data": "" if data is None else Path(str(data)).name,
    } | {name: _number(numbers.get(key)) for name, key in METRICS.items()}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
