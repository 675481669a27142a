"""The figure of benchmarks/trust.py: what the uncertainty says against what is true."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.lines import Line2D

from ptycho.report.drawing import new_figure, save

MARKERS = {0.8: "o", 0.6: "s", 0.4: "^"}


def draw(path: Path, rows: list[dict]) -> None:
    """Draw bins of every scan as lines and its mean as a mark, phase and amplitude, both ways."""
    figure = new_figure(11.0, 10.0)
    all_axes = figure.subplots(2, 2)
    sound = [row for row in rows if not row["wrong"]]
    doses = sorted({row["dose"] for row in sound})
    colors = dict(
        zip(doses, mpl.colormaps["viridis"](np.linspace(0, 0.9, len(doses))), strict=True)
    )
    ways = (("default", "default engine"), (0, "one-shot"))
    for line, (part, unit, ends) in zip(
        all_axes, (("phase", " (rad)", (5e-3, 1)), ("amplitude", "", (3e-3, 0.4))), strict=True
    ):
        for axes, (sweeps, way) in zip(line, ways, strict=True):
            for factor, style in ((1, "-"), (2, ":"), (0.5, ":")):
                axes.plot(ends, factor * np.array(ends), style, color="0.5", lw=1)
            for row in (row for row in sound if row["sweeps"] == sweeps):
                said, true = np.array(row[part]["bins"]).T
                axes.plot(said, true, "-", color=colors[row["dose"]], lw=0.7, alpha=0.5)
                axes.plot(
                    row[part]["said"], row[part]["true"], MARKERS[row["overlap"]],
                    color=colors[row["dose"]], mec="black", mew=0.5,
                )  # fmt: skip
            axes.set(
                title=f"{part.capitalize()}, {way}", xscale="log", yscale="log", xlim=ends,
                ylim=ends, xlabel=f"standard deviation said{unit}", aspect="equal",
                ylabel=f"error from the truth, RMS{unit}",
            )  # fmt: skip
    known = [Line2D([], [], color=c, lw=2, label=f"{d:.0e} photons") for d, c in colors.items()]
    known += [
        Line2D([], [], color="0.4", marker=m, ls="", label=f"overlap {o:g}")
        for o, m in MARKERS.items()
    ]
    all_axes[0, 0].legend(handles=known, frameon=False, fontsize=8)
    save(figure, path)
