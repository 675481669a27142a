"""Curves for looking at closely: training, sweeps, Fourier ring correlation.

Way of the data: ... -> object -> metrics -> [report]. Bokeh models only.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from bokeh.models import HoverTool, Span
from bokeh.models.plots import Plot
from bokeh.plotting import figure

from ptycho.report.pictures import TOOLS, WIDTH
from ptycho.runs.folder import RunFolder

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")  # Okabe and Ito: told apart by all eyes
DASHES = ("solid", "dashed", "dotdash", "dotted")


def curves_of(run: RunFolder) -> dict[str, Plot]:
    """Return what a run has to show as curves, by name: training, sweeps, ring correlations.

    Args:
        run: finished or not.
    """
    plots: dict[str, Plot] = {}
    if run.epochs:
        loss = str(run.settings.get("loss", "training"))
        floor = ((run.model or {}).get("training") or {}).get("noise_floor")
        plots |= training_plots(run.epochs, loss=loss, floor=floor)
    metrics = run.metrics or {}
    if metrics.get("free_residual"):
        kept, first = int(metrics.get("sweeps") or 0), run.first_sweep
        plots["sweeps"] = sweep_plot(metrics["free_residual"], kept, first=first)
    if metrics.get("frc"):
        plots["rings"] = ring_plot("Fourier ring correlation", metrics["frc"])
    if metrics.get("uncertainty"):
        half = metrics["uncertainty"]["half_data"]
        plots["halves"] = ring_plot("Two halves of the positions, ring by ring", half)
    return plots


def curve_plot(
    title: str,
    x: Sequence[float],
    curves: Mapping[str, Sequence[float | None]],
    *,
    labels: tuple[str, str],
    levels: Mapping[str, float] | None = None,
    logarithmic: bool = False,
) -> Plot:
    """Return curves over a common axis, told apart by colour and by dash.

    Args:
        title: what they are.
        x: the common axis.
        curves: name -> values; None leaves a gap.
        labels: of the axes.
        levels: name -> a horizontal line to compare with.
        logarithmic: the vertical axis, where all values are above 0.
    """
    arrays = {name: np.array(list(values), np.float64) for name, values in curves.items()}
    levels = dict(levels or {})
    finite = [a[np.isfinite(a)] for a in arrays.values()]
    positive = all((a > 0).all() for a in finite)
    plot = figure(
        title=title, width=WIDTH, height=360, sizing_mode="scale_width", tools=TOOLS,
        toolbar_location="below", active_scroll=None, x_axis_label=labels[0],
        y_axis_label=labels[1], y_axis_type="log" if logarithmic and positive else "linear",
    )  # fmt: skip
    plot.toolbar.logo = None
    few = len(x) < 40
    for (name, values), color, dash in zip(arrays.items(), COLORS, DASHES, strict=False):
        style = {"color": color, "legend_label": name}
        line = plot.line(list(x), values, line_width=2, line_dash=dash, **style)
        if few:
            plot.scatter(list(x), values, size=6, **style)
        plot.add_tools(HoverTool(
            renderers=[line], mode="vline", tooltips=[(labels[0], "@x"), (name, "@y")]
        ))  # fmt: skip
    for name, level in levels.items():
        plot.line(
            [min(x, default=0), max(x, default=1)], [level] * 2, color="#767676",
            line_dash="dotted", line_width=2, legend_label=name,
        )  # fmt: skip
    plot.legend.click_policy = "hide"
    plot.legend.orientation = "horizontal"
    plot.add_layout(plot.legend[0], "above")
    if all(float(number).is_integer() for number in x):
        plot.xaxis.ticker.min_interval = 1
    return plot


def training_plots(
    epochs: Sequence[Mapping[str, Any]], *, loss: str, floor: float | None
) -> dict[str, Plot]:
    """Return losses and health over the epochs, by name.

    Args:
        epochs: as `RunFolder.epochs`.
        loss: name of the loss.
        floor: what counting noise alone would leave, where it is known.
    """
    x = [entry["epoch"] for entry in epochs]

    def known(*names: str) -> dict[str, list[float | None]]:
        return {n: [e.get(n) for e in epochs] for n in names if any(n in e for e in epochs)}

    plots = {
        "loss": curve_plot(
            "Loss over time", x, known("train_loss", "val_loss"),
            labels=("epoch", f"{loss} loss"), logarithmic=True,
            levels={} if floor is None else {"counting noise": floor},
        ),
    }  # fmt: skip
    if power := known("power_ratio"):
        plots["power"] = curve_plot(
            "Health: photons predicted / measured", x, power, labels=("epoch", "ratio"),
            levels={"as measured": 1.0},
        )  # fmt: skip
    if spread := known("patch_spread"):
        plots["spread"] = curve_plot(
            "Health: how patches differ from each other", x, spread,
            labels=("epoch", "standard deviation"), logarithmic=True,
            levels={"collapsed below": 1e-3},
        )  # fmt: skip
    return plots


def sweep_plot(free_residual: Sequence[float], kept: int, *, first: int = 1) -> Plot:
    """Return the misfit of the held-out detector pixels in each sweep, and which was kept.

    Args:
        free_residual: the misfits.
        kept: number of the sweep whose object was taken.
        first: number of the first; 0 where that is what the sweeps started from.
    """
    x = list(range(first, first + len(free_residual)))
    plot = curve_plot(
        "Pixels held out of the correction", x, {"missed by": free_residual},
        labels=("sweep", "residual"),
    )  # fmt: skip
    if kept in x:
        plot.add_layout(Span(location=kept, dimension="height", line_color="#767676"))
    return plot


def ring_plot(title: str, frc: Mapping[str, Any]) -> Plot:
    """Return a Fourier ring correlation of `metrics.json`, with its thresholds."""
    levels = {"half-bit": "half_bit", "1-bit": "one_bit"}
    curves = {name: frc[key][1:] for name, key in levels.items() if key in frc}
    return curve_plot(
        title, frc["frequency_cycles_per_px"][1:],
        {"FRC": frc["correlation"][1:]} | curves,
        labels=("spatial frequency (cycles/px)", "correlation"), levels={"0.5": 0.5},
    )  # fmt: skip
