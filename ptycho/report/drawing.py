"""Matplotlib parts of a figure: an image with colour bar and scale bar, dots, curves, a table.

Data flow: ... -> images, curves -> [drawing] -> figures.
"""

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, Shaped
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar  # type: ignore[import-untyped]

from ptycho.metrics import RingCorrelation
from ptycho.report.curves import COLORS as CURVE_COLORS
from ptycho.report.curves import Curves, ring_curves
from ptycho.report.images import COLORS, Dots, Image
from ptycho.report.numbers import with_unit
from ptycho.report.quantise import block_means, reduced_shape

_MOST_DRAWN = 2000
"""Pixels of an image's longer side; larger ones are averaged: a picture has fewer."""

_UNKNOWN = "0.75"
"""Grey of unknown pixels."""

_DASHES = ("-", "--", "-.", ":")
_FEW = 30  # values of a curve up to which each is marked
_FONT_SIZE, _SMALLEST_FONT = 8.0, 5.0  # points, of a table


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure that is drawn to files only.

    Args:
        width: inches.
        height: inches.
    """
    figure = Figure(figsize=(width, height), layout="compressed")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write the figure as PNG."""
    figure.savefig(path, dpi=150, format="png")


def aspect_of(values: Shaped[np.ndarray, "row col"]) -> float:
    """Return height / width of an image, limited to what fits a page."""
    return float(np.clip(values.shape[0] / values.shape[1], 0.3, 2.5))


def spread_aspect(positions: Float[np.ndarray, "position 2"], *, most: float = 2.5) -> float:
    """Return height / width of a scan, limited to what fits a page.

    Args:
        positions: probe centres (row, col).
        most: upper limit.
    """
    height, width = np.ptp(positions, axis=0) + 1.0
    return float(np.clip(height / width, 0.3, most))


def draw_image(figure: Figure, axes: Axes, image: Image) -> None:
    """Draw the known part of an image with colour bar and scale bar; row 0 is at the top.

    Args:
        figure: holds the axes.
        axes: to draw into.
        image: what is drawn.
    """
    part = image.cropped()
    height, width = part.values.shape
    (row, col), (low, high) = part.placement.origin, part.range
    shown = np.ma.masked_where(~part.known, part.values)
    if max(height, width) > _MOST_DRAWN:
        means = block_means(
            part.values, *reduced_shape((height, width), _MOST_DRAWN), known=part.known
        )
        shown = np.ma.masked_invalid(means)
    drawn = axes.imshow(
        shown,
        cmap=mpl.colormaps[COLORS[part.colors]].with_extremes(bad=_UNKNOWN),
        vmin=low,
        vmax=high,
        extent=(col - 0.5, col + width - 0.5, row + height - 0.5, row - 0.5),
        interpolation="nearest",
    )
    title = f"{part.title}\n{part.note}" if part.note else part.title
    axes.set(xlabel="column (px)", ylabel="row (px)")
    axes.set_title(title, fontsize="medium")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6, integer=True))
    figure.colorbar(drawn, ax=axes, label=part.unit, extend=_extend(part), shrink=0.85)
    _draw_scale_bar(axes, width, part.placement.pixel_size_m)


def _extend(image: Image) -> Literal["neither", "both", "min", "max"]:
    """Return which ends of the colour bar have values beyond them."""
    known, (low, high) = image.values[image.known], image.range
    below, above = bool((known < low).any()), bool((known > high).any())
    if below and above:
        return "both"
    return "min" if below else "max" if above else "neither"


def draw_dots(figure: Figure, axes: Axes, dots: Dots) -> None:
    """Draw one value for each scan position as a coloured dot; row 0 is at the top.

    Args:
        figure: holds the axes.
        axes: to draw into.
        dots: what is drawn.
    """
    rows, cols = dots.positions.T
    low, high = dots.range
    size = float(np.clip(4e3 / max(1, len(rows)), 2, 40))
    drawn = axes.scatter(
        cols, rows, c=dots.values, s=size, cmap=COLORS["cividis"], vmin=low, vmax=high
    )
    figure.colorbar(drawn, ax=axes, label=dots.unit, extend="both", shrink=0.85)
    as_map(axes, dots.title)


def as_map(axes: Axes, title: str) -> None:
    """Label axes as a map of the scan: equal scales, rows downwards.

    Args:
        axes: a map.
        title: what it shows.
    """
    axes.set(xlabel="column (px)", ylabel="row (px)", aspect="equal")
    axes.set_title(title, fontsize="medium")
    if not axes.yaxis_inverted():
        axes.invert_yaxis()


def draw_curves(axes: Axes, curves: Curves) -> None:
    """Draw curves over a common axis.

    Args:
        axes: to draw into.
        curves: what is drawn.
    """
    x = np.asarray(curves.x, np.float64)
    for index, (name, values) in enumerate(curves.arrays().items()):
        known = np.isfinite(values)
        axes.plot(
            x[known], values[known], _DASHES[index % len(_DASHES)], label=name,
            color=CURVE_COLORS[index % len(CURVE_COLORS)],
            marker="." if known.sum() < _FEW else "",
        )  # fmt: skip
    for index, (name, level) in enumerate(curves.levels.items()):
        axes.axhline(level, color="0.4", ls=(":", "--")[index % 2], label=name)
    if curves.marked is not None:
        axes.axvline(curves.marked, color="0.4", lw=1)
    for point in curves.points:
        axes.plot(*point, "o", color="C3", ms=5)
    axes.set(
        title=curves.title, xlabel=curves.labels[0], ylabel=curves.labels[1], yscale=curves.scale
    )
    if curves.has_whole_x:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)


def draw_rings(axes: Axes, title: str, rings: RingCorrelation) -> None:
    """Draw a Fourier ring correlation from zero frequency to Nyquist, in a square.

    Args:
        axes: to draw into.
        title: which objects are correlated.
        rings: the correlation.
    """
    draw_curves(axes, ring_curves(title, rings))
    lowest = float(np.nanmin(rings.correlation[1:], initial=0))
    axes.set(box_aspect=1, xlim=(0, 0.5), ylim=(min(-0.05, lowest), 1.05))


def draw_table(figure: Figure, axes: Axes, rows: Sequence[tuple[str, str]]) -> None:
    """Write rows of name and value; long values are wrapped, and the text shrinks until it fits.

    To be called when the rest of the figure is drawn: the width of the axes depends on it.

    Args:
        figure: holds the axes.
        axes: to write into.
        rows: name and value.
    """
    axes.set_axis_off()
    label = axes.text(0, 1, "", va="top", family="monospace", transform=axes.transAxes)
    label.set_in_layout(False)
    figure.draw_without_rendering()  # lays the axes out
    left, top = axes.transAxes.transform((0, 1))
    room = 0.98 * (figure.bbox.width - left)
    longest = max((len(name) for name, _ in rows), default=0)
    for size in np.arange(_FONT_SIZE, _SMALLEST_FONT - 0.1, -0.5):
        label.set(fontsize=float(size), text="0" * 100)
        characters = int(100 * room / label.get_window_extent().width)
        label.set_text(_table_text(rows, longest, max(8, characters - longest - 2)))
        if label.get_window_extent().height < top:
            break


def _table_text(rows: Sequence[tuple[str, str]], longest: int, characters: int) -> str:
    """Return the lines of a table whose values have at most so many characters in a line."""
    lines = []
    for name, value in rows:
        first, *more = textwrap.wrap(value, characters) or [""]
        lines.append(f"{name:<{longest}}  {first}")
        lines += [" " * (longest + 4) + part for part in more]
    return "\n".join(lines)


def _draw_scale_bar(axes: Axes, width: int, pixel_size_m: float | None) -> None:
    """Draw a bar of a round length, about a fifth of the image."""
    pixel = pixel_size_m or 1.0
    length = round_length(width * pixel / 5)
    label = with_unit(length) if pixel_size_m else f"{length:g} px"
    bar = AnchoredSizeBar(
        axes.transData, length / pixel, label, "lower left", pad=0.4, sep=3, frameon=False,
        color="white", size_vertical=width / 100,
    )  # fmt: skip
    dark_edge = [patheffects.withStroke(linewidth=2, foreground="black")]
    for artist in (*bar.size_bar.get_children(), *bar.txt_label.get_children()):
        artist.set_path_effects(dark_edge)
    axes.add_artist(bar)


def round_length(length: float) -> float:
    """Return the largest of 1, 2, 5 x 10^k that is not above a length."""
    power = 10.0 ** math.floor(math.log10(length))
    # A small tolerance: 5 x 1e-9 is not exactly 5e-9 in binary.
    return max(step for step in (1, 2, 5) if step * power <= length * (1 + 1e-9)) * power
