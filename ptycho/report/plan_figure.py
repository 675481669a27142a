"""Errors and resolution of scans that could be made, against their photons.

Data flow: numbers -> [figure].
"""

from collections.abc import Sequence
from pathlib import Path

from ptycho.report.drawing import new_figure, save


def save_plan(path: Path, table: Sequence[dict[str, float]]) -> None:
    """Write a figure with a curve per overlap as PNG.

    Args:
        path: the PNG file to write.
        table: from `ScanPlan.table`.
    """
    figure = new_figure(11.0, 4.0)
    shown = (
        ("phase", "smallest phase error / rad"),
        ("log_amplitude", "smallest relative amplitude error"),
        ("resolution_px", "half period resolved / px"),
    )
    for axes, (name, label) in zip(figure.subplots(1, 3), shown, strict=True):
        for overlap in sorted({row["overlap"] for row in table}, reverse=True):
            rows = [row for row in table if row["overlap"] == overlap]
            axes.plot(
                [row["photons"] for row in rows], [row[name] for row in rows], "o-", ms=3,
                label=f"overlap {overlap:.0%}",
            )  # fmt: skip
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("photons per frame")
        axes.set_ylabel(label)
        axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend(fontsize=8)
    save(figure, path)
