"""The parts figures are made of: a picture with colour and scale bar, a curve, a table.

Way of the data: ... -> object -> metrics -> [report].
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from jaxtyping import Bool, Shaped
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from ptycho.metrics import RingCorrelation
from ptycho.report.numbers import with_unit

_UNKNOWN = "0.75"
"""Grey of pixels outside the mask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An image with what is needed to read it."""

    values: Shaped[np.ndarray, "row col"]
    """What is drawn."""

    mask: Bool[np.ndarray, "row col"]
    """Where it is known; grey elsewhere."""

    title: str
    """What it is; units belong to `unit`."""

    unit: str
    """Label of the colour bar."""

    colors: str
    """Name of the colour map."""

    limits: tuple[float, float] | None = None
    """Ends of the colour bar; None takes those of `robust_range`."""

    origin: tuple[int, int] = (0, 0)
    """(row, col) of the first pixel in scan coordinates."""

    pixel_size_m: float | None = None
    """Object pixel, for the scale bar."""


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, inches, that draws to files only."""
    figure = Figure(figsize=(width, height), layout="compressed")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write the figure as PNG."""
    figure.savefig(path, dpi=150, format="png")


def robust_range(
    values: Shaped[np.ndarray, "row col"], mask: Bool[np.ndarray, "row col"]
) -> tuple[float, float]:
    """Return the 1st and 99th percentile inside the mask: outliers do not set the colours."""
    inside = values[mask & np.isfinite(values)]
    if len(inside) == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(inside, (1, 99)))
    # A constant picture still needs a range to be drawn in.
    margin = 1e-6 * max(1.0, abs(low))
    return (low, high) if high - low > margin else (low - 0.5, high + 0.5)


def draw_picture(figure: Figure, axes: Axes, picture: Picture) -> None:
    """Draw one picture with its colour bar and scale bar; row 0 is at the top."""
    height, width = picture.values.shape
    row, col = picture.origin
    low, high = picture.limits or robust_range(picture.values, picture.mask)
    image = axes.imshow(
        np.ma.masked_where(~picture.mask, picture.values),
        cmap=mpl.colormaps[picture.colors].with_extremes(bad=_UNKNOWN),
        vmin=low,
        vmax=high,
        extent=(col - 0.5, col + width - 0.5, row + height - 0.5, row - 0.5),
        interpolation="nearest",
    )
    axes.set(title=picture.title, xlabel="column (px)", ylabel="row (px)")
    figure.colorbar(image, ax=axes, label=picture.unit, extend="both", shrink=0.85)
    _draw_scale_bar(axes, width, picture.pixel_size_m)


def draw_rings(axes: Axes, rings: RingCorrelation) -> None:
    """Draw a Fourier ring correlation with its thresholds and where it crosses them."""
    axes.plot(rings.frequency[1:], rings.correlation[1:], color="C0", label="FRC")
    axes.plot(rings.frequency[1:], rings.half_bit[1:], color="0.4", ls="--", label="half-bit")
    axes.plot(rings.frequency[1:], rings.one_bit[1:], color="0.4", ls="-.", label="1-bit")
    axes.axhline(0.5, color="0.4", ls=":", label="0.5")
    for threshold, marker in zip(rings.thresholds.values(), "os^", strict=True):
        crossing = rings.crossing(threshold)
        level = np.interp(
            crossing, rings.frequency, np.broadcast_to(threshold, rings.frequency.shape)
        )
        axes.plot(crossing, level, marker, color="C3", ms=5)
    axes.set(
        title="Fourier ring correlation",
        box_aspect=1,
        xlabel="spatial frequency (cycles/px)",
        xlim=(0, 0.5),
        ylim=(min(-0.05, float(np.nanmin(rings.correlation[1:], initial=0))), 1.05),
    )
    axes.legend(frameon=False)


def draw_table(axes: Axes, rows: Sequence[tuple[str, str]]) -> None:
    """Write rows of name and value."""
    axes.set_axis_off()
    width = max((len(name) for name, _ in rows), default=0)
    text = "\n".join(f"{name:<{width}}  {value}" for name, value in rows)
    axes.text(0, 1, text, va="top", family="monospace", fontsize=8, transform=axes.transAxes)


def _draw_scale_bar(axes: Axes, width: int, pixel_size_m: float | None) -> None:
    """Draw a bar of a round length, about a fifth of the picture."""
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
    # A whisker of tolerance: 5 x 1e-9 is not quite 5e-9 in binary.
    return max(step for step in (1, 2, 5) if step * power <= length * (1 + 1e-9)) * power
