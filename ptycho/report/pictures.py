"""Bokeh views of images and scan maps: pan and zoom together, colours and range to choose.

Data flow: ... -> images -> [pictures] -> page, viewer.
Bokeh models only: a page embeds them, a server may hold the same ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import matplotlib as mpl
import numpy as np
from bokeh.core.properties import value
from bokeh.models import (
    BoxZoomTool,
    ColumnDataSource,
    CrosshairTool,
    CustomJS,
    HoverTool,
    LinearColorMapper,
    Range1d,
)
from bokeh.models.annotations import ColorBar, Span
from bokeh.models.glyphs import Image as ImageGlyph
from bokeh.models.ui import UIElement
from bokeh.models.widgets import RangeSlider, Select
from bokeh.plotting import figure
from matplotlib.colors import to_hex

from ptycho.report.images import COLORS, Dots, Image
from ptycho.report.opening import control_style
from ptycho.report.quantise import Quantised, block_means, quantise, reduced_shape

TOOLS = "pan,wheel_zoom,box_zoom,zoom_in,zoom_out,reset,save"
MAP_TOOLS = TOOLS.replace("box_zoom,", "")  # maps have one that keeps pixels square
WIDTH = 480
_UNKNOWN = "rgba(0, 0, 0, 0)"
# Axes and bars keep their size when a page narrows, so the frame between them is fitted.
_SQUARE = """
const height = plot.outer_height - plot.inner_height + Math.round(aspect*plot.inner_width)
if (Math.abs(height - plot.height) > 1) plot.height = height
"""


class Linked:
    """Axes and cursor that the maps of one scan share, in object pixels (column, row).

    Args:
        first: (row, col) of one corner of all they hold.
        last: (row, col) of the opposite one.
    """

    def __init__(self, first: tuple[float, float], last: tuple[float, float]) -> None:
        middle, extent = np.add(first, last) / 2, np.abs(np.subtract(last, first)) * 1.04 + 1e-9
        # A line gets room around it, otherwise its map would have no height.
        extent = np.maximum(extent, [0.4 * extent[1], 0.6 * extent[0]])
        self.aspect = float(extent[0] / extent[1])
        top, left = (middle - extent / 2).tolist()
        bottom, right = (middle + extent / 2).tolist()
        self.x_range, self.y_range = Range1d(start=left, end=right), Range1d(start=bottom, end=top)
        self._spans = (
            Span(dimension="width", line_color="#d55e00", line_dash="dotted"),
            Span(dimension="height", line_color="#d55e00", line_dash="dotted"),
        )

    def new_map(self, title: str) -> figure:
        """Return an empty map on these axes."""
        plot = figure(
            title=title, x_range=self.x_range, y_range=self.y_range, tools=MAP_TOOLS,
            width=WIDTH, height=round(90 + (WIDTH - 150) * self.aspect),
            sizing_mode="stretch_width", active_scroll=None, toolbar_location="below",
            x_axis_label="column (px)", y_axis_label="row (px)",
        )  # fmt: skip
        plot.add_tools(BoxZoomTool(match_aspect=True), CrosshairTool(overlay=self._spans))
        fit = CustomJS(args={"plot": plot, "aspect": self.aspect}, code=_SQUARE)
        plot.js_on_change("inner_width", fit)
        plot.toolbar.logo = None
        return plot


def linked_around(corners: Sequence[np.ndarray]) -> Linked:
    """Return axes that hold all points (row, col) given."""
    points = list(corners) or [np.zeros(2), np.ones(2)]
    first, last = (edge(points, axis=0).astype(float).tolist() for edge in (np.min, np.max))
    return Linked((first[0], first[1]), (last[0], last[1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageView:
    """An image with its controls."""

    plot: figure
    source: ColumnDataSource
    """Holds the codes; `image` once they are decoded."""
    mapper: LinearColorMapper
    colors: Select
    limits: RangeSlider
    note: str
    """What was done to the values, and their range: the caption."""


@cache
def palette(name: str) -> tuple[str, ...]:
    """Return the 256 colours of a colour map, darkest or lowest first.

    Args:
        name: a key of `images.COLORS`.
    """
    return tuple(to_hex(color) for color in mpl.colormaps[COLORS[name]](np.linspace(0, 1, 256)))


def color_bar(mapper: LinearColorMapper, title: str) -> ColorBar:
    """Return the bar that goes to the right of a map.

    Args:
        mapper: from values to colours.
        title: unit of the values.
    """
    return ColorBar(color_mapper=mapper, title=title, width=12, margin=4)


def image_view(linked: Linked, image: Image, *, most: int = 1024) -> ImageView:
    """Return an image to zoom into, with menus for its colours and its range.

    Args:
        linked: the axes it shares.
        image: what is drawn.
        most: pixels per side above which it is averaged.
    """
    part = image.cropped()
    shape = (part.values.shape[0], part.values.shape[1])
    values = np.asarray(part.values, np.float64)
    coded = quantise(block_means(values, *reduced_shape(shape, most), known=part.known))
    plot, mapper, source = _drawn(linked, part, coded)
    return ImageView(
        plot=plot, source=source, mapper=mapper, note=_note(part, coded),
        colors=_color_menu(mapper, part), limits=_image_limits(mapper, part, coded),
    )  # fmt: skip


def plain_view(linked: Linked, image: Image) -> tuple[figure, ColumnDataSource]:
    """Return an image without controls, and the source of its codes.

    Args:
        linked: the axes it shares.
        image: what is drawn, all of it.
    """
    values = np.where(image.known, image.values, np.nan).astype(np.float64)
    plot, _, source = _drawn(linked, image, quantise(values))
    return plot, source


def dots_view(linked: Linked, dots: Dots) -> tuple[figure, RangeSlider]:
    """Return a map of one value for each scan position, and the control of its range.

    Args:
        linked: the axes it shares.
        dots: what is drawn.
    """
    low, high = dots.range
    source = ColumnDataSource({
        "x": dots.positions[:, 1].astype(np.float32),
        "y": dots.positions[:, 0].astype(np.float32),
        "value": dots.values.astype(np.float32), "frame": dots.frames.astype(np.int32),
    })  # fmt: skip
    plot = linked.new_map(dots.title)
    mapper = LinearColorMapper(palette=palette("cividis"), low=low, high=high)
    drawn = plot.scatter(
        "x", "y", source=source, size=5, line_color=None, marker=value("circle"),
        fill_color={"field": "value", "transform": mapper},
    )  # fmt: skip
    plot.add_tools(HoverTool(
        renderers=[drawn], tooltips=[("frame", "@frame"), (dots.unit, "@value")]
    ))  # fmt: skip
    plot.add_layout(color_bar(mapper, dots.unit), "right")
    ends = (min(0.0, low), max(float(dots.values.max()), high))
    return plot, _limits(mapper, (low, high), ends, f"{dots.title.lower()} ({dots.unit})")


def roots_of(name: str, view: ImageView) -> dict[str, UIElement]:
    """Return the parts of a view by the names that a page places them under.

    Args:
        name: of the image.
        view: the image and its controls.
    """
    return {name: view.plot, f"{name}_colors": view.colors, f"{name}_limits": view.limits}


def _drawn(
    linked: Linked, image: Image, coded: Quantised
) -> tuple[figure, LinearColorMapper, ColumnDataSource]:
    """Draw an image whose values are stored as codes until the page opens."""
    plot = linked.new_map(image.title)
    low, high = image.range
    mapper = LinearColorMapper(
        palette=palette(image.colors), low=low, high=high, nan_color=_UNKNOWN
    )
    (row, col), (height, width) = image.placement.origin, image.values.shape
    unknown = np.full((1, 1), np.nan, np.float32)
    source = ColumnDataSource({
        "image": [unknown], "codes": [coded.codes], "low": [coded.low], "step": [coded.step],
        "x": [col - 0.5], "y": [row - 0.5], "dw": [width], "dh": [height],
    })  # fmt: skip
    glyph = ImageGlyph(image="image", x="x", y="y", dw="dw", dh="dh", color_mapper=mapper)
    drawn = plot.add_glyph(source, glyph)
    plot.add_tools(HoverTool(
        renderers=[drawn], tooltips=[("column, row", "$x{0.0}, $y{0.0}"), (image.unit, "@image")],
    ))  # fmt: skip
    plot.add_layout(color_bar(mapper, image.unit), "right")
    return plot, mapper, source


def _color_menu(mapper: LinearColorMapper, image: Image) -> Select:
    names: list[str | None] = list(COLORS)
    menu = Select(
        title=f"Colours: {image.title.lower()}", value=image.colors, options=names,
        width=180, stylesheets=[control_style()],
    )  # fmt: skip
    palettes = {name: palette(name) for name in COLORS}
    code = "mapper.palette = palettes[this.value]"
    menu.js_on_change("value", CustomJS(args={"mapper": mapper, "palettes": palettes}, code=code))
    return menu


def _image_limits(mapper: LinearColorMapper, image: Image, coded: Quantised) -> RangeSlider:
    low, high = image.range
    ends = (min(coded.low, low), max(coded.high, high))
    return _limits(mapper, (low, high), ends, f"{image.title.lower()} ({image.unit})")


def _limits(
    mapper: LinearColorMapper, shown: tuple[float, float], ends: tuple[float, float], title: str
) -> RangeSlider:
    """Return the control of the range of a colour mapper."""
    first, last = ends
    slider = RangeSlider(
        title=f"Range: {title}", start=first, end=max(last, first + 1e-6),
        value=shown, step=max(last - first, 1e-6) / 200, format="0[.]000",
        sizing_mode="stretch_width", stylesheets=[control_style()],
    )  # fmt: skip
    slider.js_link("value", mapper, "low", attr_selector=0)
    slider.js_link("value", mapper, "high", attr_selector=1)
    return slider


def _note(image: Image, coded: Quantised) -> str:
    (height, width), small = image.values.shape, coded.codes.shape
    averaged = "" if small == (height, width) else f", averaged to {small[0]} x {small[1]}"
    done = f"{image.note[:1].upper()}{image.note[1:]}. " if image.note else ""
    return (
        f"{done}{height} x {width} pixels{averaged}, in 16 bits, steps of {coded.step:.2g} "
        f"{image.unit}; values from {coded.low:.4g} to {coded.high:.4g} {image.unit}."
    )
