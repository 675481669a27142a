"""The evidence of a calibration as a figure: scores of readings and of nuisance parameters."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from ptycho.report.drawing import new_figure, save

_MOST = 24


def save_calibration(
    path: Path, readings: Sequence[Mapping[str, Any]], rounds: Sequence[Mapping[str, Any]]
) -> None:
    """Draw the unexplained share of each reading and each nuisance parameter.

    Args:
        path: PNG to write.
        readings: `words`, `unexplained`.
        rounds: `round`, `name`, `unexplained`, `kept`.
    """
    tried = sorted(readings, key=lambda each: each["unexplained"])[:_MOST]
    figure = new_figure(12.0, 2.0 + 0.25 * max(len(tried), len(rounds), 4))
    left, right = figure.subplots(1, 2)
    _bars(left, "readings of the scan", [(each["words"], each, False) for each in tried])
    named = [(f"round {each['round']}: {each['name']}", each, each["kept"]) for each in rounds]
    _bars(right, "nuisance parameters (dark: kept)", named)
    save(figure, path)


def _bars(axes: Axes, title: str, rows: Sequence[tuple[str, Mapping[str, Any], bool]]) -> None:
    names = [name if len(name) < 60 else name[:57] + "..." for name, _, _ in rows]
    values = [100 * each["unexplained"] for _, each, _ in rows]
    colours = ["0.2" if kept else "0.7" for _, _, kept in rows]
    axes.barh(range(len(rows)), values, color=colours)
    axes.set_yticks(range(len(rows)), names, fontsize=7)
    axes.invert_yaxis()
    axes.set_title(title)
    axes.set_xlabel("held-out frames: % of what varies predicted wrongly")
