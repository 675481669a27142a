"""The evidence of a calibration as a figure: scores of readings and of nuisance parameters."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ptycho.report.drawing import new_figure, save

_MOST = 24
_LEAST = 0.01
"""Percent drawn where less is unexplained: the axis is logarithmic."""
_PER_INCH = 110  # pixels, on a page


def save_calibration(
    path: Path, readings: Sequence[Mapping[str, Any]], rounds: Sequence[Mapping[str, Any]]
) -> None:
    """Draw the unexplained share of each reading and each nuisance parameter.

    Args:
        path: PNG to write.
        readings: `words`, `unexplained`.
        rounds: `round`, `name`, `unexplained`, `kept`.
    """
    save(_figure(readings, rounds), path)


def calibration_png(
    readings: Sequence[Mapping[str, Any]], rounds: Sequence[Mapping[str, Any]]
) -> bytes:
    """Return the figure of `save_calibration` as a PNG for a page."""
    buffer = io.BytesIO()
    _figure(readings, rounds).savefig(buffer, dpi=_PER_INCH, format="png")
    return buffer.getvalue()


def _figure(readings: Sequence[Mapping[str, Any]], rounds: Sequence[Mapping[str, Any]]) -> Figure:
    known = [each for each in readings if each["unexplained"] == each["unexplained"]]  # no NaN
    tried = sorted(known, key=lambda each: each["unexplained"])[:_MOST]
    best = "" if len(tried) == len(readings) else f", the best {len(tried)} of {len(readings)}"
    panels = [
        (f"readings of the scan{best}", [(each["words"], each, False) for each in tried]),
        ("nuisance parameters (dark: kept)",
         [(f"round {each['round']}: {each['name']}", each, each["kept"]) for each in rounds]),
    ]  # fmt: skip
    drawn = [panel for panel in panels if panel[1]]
    longest = max((len(rows) for _, rows in drawn), default=4)
    figure = new_figure(12.0, 1.5 + 0.22 * max(longest, 4))
    axes = figure.subplots(1, max(1, len(drawn)), squeeze=False)[0]
    for each, (title, rows) in zip(axes, drawn, strict=False):
        _dots(each, title, rows)
        each.set_ylim(longest - 0.5, -0.5)
    return figure


def _dots(axes: Axes, title: str, rows: Sequence[tuple[str, Mapping[str, Any], bool]]) -> None:
    names = [name if len(name) < 60 else name[:57] + "..." for name, _, _ in rows]
    values = [max(_LEAST, 100 * each["unexplained"]) for _, each, _ in rows]
    faces = ["0.1" if kept else "0.75" for _, _, kept in rows]
    axes.scatter(values, range(len(rows)), c=faces, edgecolors="0.1", zorder=2)
    axes.set_xscale("log")
    axes.set_yticks(range(len(rows)), names, fontsize=7)
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.set_title(title)
    axes.set_xlabel("held-out frames: % of what varies predicted wrongly")
