"""Bokeh views of curves.

Data flow: ... -> curves -> [plots] -> page, viewer. Bokeh models only.
"""

from itertools import cycle

from bokeh.models import BasicTicker, HoverTool
from bokeh.models.annotations import Span
from bokeh.plotting import figure

from ptycho.report.curves import COLORS, Curves
from ptycho.report.pictures import TOOLS, WIDTH

_DASHES = ("solid", "dashed", "dotdash", "dotted")
_FEW = 40  # values of a curve up to which each is marked
_GREY = "#767676"


def curve_plot(curves: Curves) -> figure:
    """Return curves over a common axis, distinguished by colour and by dash.

    Args:
        curves: what is drawn.
    """
    x = [float(number) for number in curves.x]
    plot = figure(
        title=curves.title, width=WIDTH, height=360, sizing_mode="scale_width", tools=TOOLS,
        toolbar_location="below", active_scroll=None, x_axis_label=curves.labels[0],
        y_axis_label=curves.labels[1], y_axis_type=curves.scale,
    )  # fmt: skip
    plot.toolbar.logo = None
    styles = zip(cycle(COLORS), cycle(_DASHES), strict=False)
    for (name, values), (color, dash) in zip(curves.arrays().items(), styles, strict=False):
        line = plot.line(x, values, line_width=2, line_dash=dash, color=color, legend_label=name)
        if len(x) < _FEW:
            plot.scatter(x, values, size=6, color=color, legend_label=name)
        tips = [(curves.labels[0], "@x"), (name, "@y")]
        plot.add_tools(HoverTool(renderers=[line], mode="vline", tooltips=tips))
    for name, level in curves.levels.items():
        plot.line(
            [min(x, default=0), max(x, default=1)], [level] * 2, color=_GREY,
            line_dash="dotted", line_width=2, legend_label=name,
        )  # fmt: skip
    if curves.marked is not None:
        plot.add_layout(Span(location=curves.marked, dimension="height", line_color=_GREY))
    if curves.points:
        across, up = (list(ends) for ends in zip(*curves.points, strict=True))
        plot.scatter(across, up, size=7, color=_GREY, marker="diamond")
    plot.legend.click_policy = "hide"
    plot.legend.orientation = "horizontal"
    plot.add_layout(plot.legend[0], "above")
    if x and curves.has_whole_x:
        plot.xaxis.ticker = BasicTicker(min_interval=1)
    return plot
