"""Pictures for looking around in: pan and zoom together, colours and range to choose.

Way of the data: ... -> object -> metrics -> [report].
Bokeh models only: a page embeds them, a server may hold the same ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from bokeh.core.properties import value
from bokeh.models import (
    BoxZoomTool,
    ColorBar,
    ColumnDataSource,
    CrosshairTool,
    CustomJS,
    HoverTool,
    LinearColorMapper,
    Range1d,
    RangeSlider,
    Select,
    Span,
)
from bokeh.models.plots import Plot
from bokeh.palettes import all_palettes
from bokeh.plotting import figure
from jaxtyping import Bool, Float

from ptycho.report.opening import control_style
from ptycho.report.quantise import Quantised, block_means, quantise, reduced_shape

PALETTES = {
    "grey": all_palettes["Greys"][256],
    "viridis": all_palettes["Viridis"][256],
    "magma": all_palettes["Magma"][256],
    "cividis": all_palettes["Cividis"][256],
    "red and blue": all_palettes["RdBu"][11],
}
TOOLS = "pan,wheel_zoom,box_zoom,zoom_in,zoom_out,reset,save"
MAP_TOOLS = TOOLS.replace("box_zoom,", "")  # maps have one that keeps pixels square
WIDTH = 480
# Axes and bars keep their size when a page narrows, so the frame between them is fitted.
_SQUARE = """
const height = plot.outer_height - plot.inner_height + Math.round(aspect*plot.inner_width)
if (Math.abs(height - plot.height) > 1) plot.height = height
"""


class Linked:
    """Axes and cursor that pictures of one scan share, in object pixels (column, row).

    Args:
        first: (row, col) of one corner of all they hold.
        last: of the opposite one.
    """

    def __init__(self, first: tuple[float, float], last: tuple[float, float]) -> None:
        middle, extent = np.add(first, last) / 2, np.abs(np.subtract(last, first)) * 1.04 + 1e-9
        # A line has room around it, lest its picture be one too.
        extent = np.maximum(extent, [0.4 * extent[1], 0.6 * extent[0]])
        self.aspect = float(extent[0] / extent[1])
        (top, left), (bottom, right) = middle - extent / 2, middle + extent / 2
        self.x_range, self.y_range = Range1d(left, right), Range1d(bottom, top)
        self._spans = [
            Span(dimension=dimension, line_color="#d55e00", line_dash="dotted")
            for dimension in ("width", "height")
        ]

    def new_map(self, title: str) -> figure:
        """Return an empty map on these axes."""
        drawn = figure(
            title=title, x_range=self.x_range, y_range=self.y_range, tools=MAP_TOOLS,
            width=WIDTH, height=round(90 + (WIDTH - 150) * self.aspect),
            sizing_mode="stretch_width", active_scroll=None, toolbar_location="below",
            x_axis_label="column (px)", y_axis_label="row (px)",
        )  # fmt: skip
        drawn.add_tools(BoxZoomTool(match_aspect=True), CrosshairTool(overlay=self._spans))
        fit = CustomJS(args={"plot": drawn, "aspect": self.aspect}, code=_SQUARE)
        drawn.js_on_change("inner_width", fit)
        drawn.toolbar.logo = None
        return drawn


def linked_around(corners: Sequence[np.ndarray]) -> Linked:
    """Return axes that hold all points (row, col) given."""
    points = list(corners) or [np.zeros(2), np.ones(2)]
    first, last = (edge(points, axis=0).astype(float).tolist() for edge in (np.min, np.max))
    return Linked((first[0], first[1]), (last[0], last[1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureView:
    """A picture with its controls."""

    plot: Plot
    source: ColumnDataSource
    """Holds the codes; `image` once they are decoded."""
    colors: Select
    limits: RangeSlider
    note: str
    """What was done to the values, and their range: the caption."""


def picture_view(
    linked: Linked,
    values: Float[np.ndarray, "row col"],
    known: Bool[np.ndarray, "row col"],
    *,
    title: str,
    unit: str,
    palette: str,
    origin: tuple[int, int] = (0, 0),
    most: int = 1024,
) -> PictureView:
    """Return a picture to be looked around in.

    Args:
        linked: the axes it shares.
        values: what is drawn.
        known: where it is known; nothing is drawn elsewhere.
        title: what it is.
        unit: of the values.
        palette: name in `PALETTES` to begin with.
        origin: (row, col) of the first pixel in scan coordinates.
        most: pixels per side above which it is averaged.
    """
    top, left, height, width = _bounds(known)
    part = np.s_[top : top + height, left : left + width]
    shape = reduced_shape((height, width), most)
    small = block_means(np.asarray(values[part], np.float64), *shape, known=known[part])
    coded = quantise(small)
    plot = linked.new_map(title)
    source = _source(coded, (origin[0] + top, origin[1] + left), (height, width))
    low, high = _middle_range(small)
    mapper = LinearColorMapper(
        palette=PALETTES[palette], low=low, high=high, nan_color="rgba(0, 0, 0, 0)"
    )
    image = plot.image("image", "x", "y", "dw", "dh", source=source, color_mapper=mapper)
    plot.add_tools(HoverTool(
        renderers=[image], tooltips=[("column, row", "$x{0.0}, $y{0.0}"), (unit, "@image")],
    ))  # fmt: skip
    plot.add_layout(ColorBar(color_mapper=mapper, title=unit, width=12, margin=4), "right")
    return PictureView(
        plot=plot, source=source, note=_note(coded, (height, width), unit),
        colors=_colour_menu(mapper, palette, title),
        limits=_limits(mapper, coded, title, unit),
    )  # fmt: skip


def _source(coded: Quantised, corner: tuple[int, int], extent: tuple[int, int]) -> ColumnDataSource:
    unknown = np.full((1, 1), np.nan, np.float32)
    return ColumnDataSource({
        "image": [unknown], "codes": [coded.codes], "low": [coded.low], "step": [coded.step],
        "x": [corner[1] - 0.5], "y": [corner[0] - 0.5], "dw": [extent[1]], "dh": [extent[0]],
    })  # fmt: skip


def _colour_menu(mapper: LinearColorMapper, chosen: str, title: str) -> Select:
    menu = Select(
        title=f"Colours of {title.lower()}", value=chosen, options=list(PALETTES), width=180,
        stylesheets=[control_style()],
    )  # fmt: skip
    code = "mapper.palette = palettes[this.value]"
    menu.js_on_change("value", CustomJS(args={"mapper": mapper, "palettes": PALETTES}, code=code))
    return menu


def _limits(mapper: LinearColorMapper, coded: Quantised, title: str, unit: str) -> RangeSlider:
    slider = RangeSlider(
        title=f"Range of {title.lower()} ({unit})", start=coded.low,
        end=max(coded.high, coded.low + 1e-6), value=(mapper.low, mapper.high),
        step=max(coded.high - coded.low, 1e-6) / 200, format="0[.]000", sizing_mode="stretch_width",
        stylesheets=[control_style()],
    )  # fmt: skip
    slider.js_link("value", mapper, "low", attr_selector=0)
    slider.js_link("value", mapper, "high", attr_selector=1)
    return slider


def _bounds(known: Bool[np.ndarray, "row col"]) -> tuple[int, int, int, int]:
    """Return top, left, height and width of what is known; the whole when nothing is."""
    if not known.any():
        return 0, 0, *known.shape
    rows, cols = (np.flatnonzero(known.any(axis=axis)) for axis in (1, 0))
    return int(rows[0]), int(cols[0]), int(np.ptp(rows)) + 1, int(np.ptp(cols)) + 1


def _middle_range(values: Float[np.ndarray, "row col"]) -> tuple[float, float]:
    """Return the 1st and 99th percentile, apart from each other."""
    inside = values[np.isfinite(values)]
    if not len(inside):
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(inside, (1, 99)))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _note(coded: Quantised, extent: tuple[int, int], unit: str) -> str:
    height, width = coded.codes.shape
    smaller = "" if (height, width) == extent else f", averaged to {height} x {width}"
    return (
        f"{extent[0]} x {extent[1]} pixels{smaller}, in 16 bits, steps of "
        f"{coded.step:.2g} {unit}; "
        f"values from {coded.low:.4g} to {coded.high:.4g} {unit}."
    )


def probe_view(
    probe: np.ndarray, title: str, *, phase: bool, linked: Linked
) -> tuple[Plot, ColumnDataSource]:
    """Return one mode of a probe without controls.

    Args:
        probe: (row, col), sqrt(photons) per object pixel.
        title: which one.
        phase: its phase where it is bright, instead of its amplitude.
        linked: axes that the modes share.
    """
    light = np.abs(probe)
    values = np.where(light > 0.05 * light.max(), np.angle(probe), np.nan) if phase else light
    coded = quantise(values.astype(np.float64))
    plot = linked.new_map(title)
    palette = all_palettes["Turbo"][256] if phase else PALETTES["magma"]
    limits = {"low": -np.pi, "high": np.pi} if phase else {"low": 0.0, "high": float(light.max())}
    mapper = LinearColorMapper(palette=palette, nan_color="rgba(0, 0, 0, 0)", **limits)
    source = _source(coded, (0, 0), probe.shape)
    plot.image("image", "x", "y", "dw", "dh", source=source, color_mapper=mapper)
    unit = "rad" if phase else "√photons"
    plot.add_layout(ColorBar(color_mapper=mapper, title=unit, width=12, margin=4), "right")
    return plot, source


def dotted(plot: figure, source: ColumnDataSource, field: str, mapper: LinearColorMapper) -> None:
    """Draw positions as dots coloured by one of their columns."""
    plot.scatter(
        "x", "y", source=source, size=5, line_color=None, marker=value("circle"),
        fill_color={"field": field, "transform": mapper},
    )  # fmt: skip
