"""Figures drawn with Matplotlib: objects, comparisons, uncertainty, probes, training.

Data flow: ... -> object -> metrics -> [figures] -> PNG files, notebooks.
Each `draw_` function fills an empty figure, each `save_` function writes one as PNG. Rows run down
and columns to the right, as in the arrays; unknown pixels are grey. No pyplot, no shared state.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Complex, Float, UInt8
from matplotlib.figure import Figure
from matplotlib.image import imsave

from ptycho.metrics import Comparison, well_covered
from ptycho.report.curves import loss_curves
from ptycho.report.drawing import (
    as_map,
    aspect_of,
    draw_curves,
    draw_dots,
    draw_image,
    draw_rings,
    draw_table,
    new_figure,
    save,
)
from ptycho.report.images import (
    AT_ORIGIN,
    COLORS,
    Image,
    Placement,
    amplitude_image,
    comparison_images,
    coverage_image,
    phase_image,
    probe_images,
    residual_dots,
)
from ptycho.report.numbers import metrics_table
from ptycho.report.quantise import block_means, reduced_shape


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ObjectView:
    """An object and what is known of its quality, as far as it is; the input of `draw_result`."""

    obj: Complex[np.ndarray, "row col"]
    """Complex transmission."""

    coverage: Float[np.ndarray, "row col"]
    """Sum of the weights on each pixel, any unit; poorly covered pixels are grey."""

    placement: Placement = AT_ORIGIN
    """Where the object lies."""

    positions: Float[np.ndarray, "position 2"] | None = None
    """Probe centres (row, col) in scan coordinates, object pixels."""

    residuals: Float[np.ndarray, " position"] | None = None
    """Share of the power of each frame that is not explained; NaN for a dark frame."""

    probe: Complex[np.ndarray, "mode probe_row probe_col"] | None = None
    """Probe modes, sqrt(photons) per object pixel."""

    @property
    def images(self) -> tuple[Image, Image]:
        """Amplitude and phase."""
        known = well_covered(self.coverage)
        return (
            amplitude_image(self.obj, known, self.placement),
            phase_image(self.obj, known, self.placement),
        )


def save_image(path: Path, image: Image) -> None:
    """Write one image as PNG, with colour bar and scale bar.

    Args:
        path: the PNG file to write.
        image: what is drawn.
    """
    figure = new_figure(6.5, 0.6 + 5.0 * aspect_of(image.cropped().values))
    draw_image(figure, figure.subplots(), image)
    save(figure, path)


def draw_result(figure: Figure, view: ObjectView) -> None:
    """Draw a reconstruction: amplitude, phase, coverage, residuals or positions, probe.

    Args:
        figure: an empty figure.
        view: what is known of the reconstruction; the rest is not drawn.
    """
    n_rows = 1 if view.positions is None and view.probe is None else 2
    axes = figure.subplots(n_rows, 3, squeeze=False)
    amplitude, phase = view.images
    images = [amplitude, phase, coverage_image(view.coverage, view.placement)]
    for place, image in zip(axes[0], images, strict=True):
        draw_image(figure, place, image)
    below = list(axes[1:].flat)
    if view.positions is not None:
        place = below.pop(0)
        if view.residuals is None:
            place.plot(view.positions[:, 1], view.positions[:, 0], ".", ms=1.5)
            as_map(place, f"Scan, {len(view.positions):,} positions")
        else:
            draw_dots(figure, place, residual_dots(view.positions, view.residuals))
    for image in [] if view.probe is None else probe_images(view.probe)[:2]:
        draw_image(figure, below.pop(0), image)
    for place in below:
        place.set_axis_off()


def result_size(view: ObjectView) -> tuple[float, float]:
    """Return width and height of the figure of `draw_result`, inches.

    Args:
        view: what is drawn.
    """
    n_rows = 1 if view.positions is None and view.probe is None else 2
    return 14.0, n_rows * (0.8 + 3.6 * aspect_of(view.images[0].cropped().values))


def save_result(path: Path, view: ObjectView) -> None:
    """Write the figure of `draw_result` as PNG.

    Args:
        path: the PNG file to write.
        view: what is drawn.
    """
    figure = new_figure(*result_size(view))
    draw_result(figure, view)
    save(figure, path)


def thumbnail(view: ObjectView, *, side: int = 192) -> bytes:
    """Return amplitude and phase of an object side by side, as a small PNG without axes.

    Args:
        view: the object.
        side: pixels of the longer side of each image.
    """
    tiles = [_tile(image, side) for image in view.images]
    gap = np.zeros((tiles[0].shape[0], 8, 4), np.uint8)
    written = io.BytesIO()
    imsave(written, np.concatenate([tiles[0], gap, tiles[1]], axis=1), format="png")
    return written.getvalue()


def _tile(image: Image, side: int) -> UInt8[np.ndarray, "row col 4"]:
    """Return the known part of an image in colours, transparent where unknown."""
    part = image.cropped()
    height, width = part.values.shape
    values = block_means(
        part.values.astype(np.float64), *reduced_shape((height, width), side), known=part.known
    )
    larger = max(1, side // max(values.shape))
    low, high = part.range
    shown = ((values - low) / (high - low)).repeat(larger, axis=0).repeat(larger, axis=1)
    colors = mpl.colormaps[COLORS[part.colors]].with_extremes(bad=(0, 0, 0, 0))
    return np.asarray(colors(np.ma.masked_invalid(shown), bytes=True))


def draw_comparison(
    figure: Figure,
    comparison: Comparison,
    document: Mapping[str, Any],
    *,
    pixel_size_m: float | None = None,
) -> None:
    """Draw a reconstruction, the ground truth, their ring correlation and the metrics.

    Both objects share the range of colours and the mean phase of the ground truth, after the
    alignment that the metrics are computed with.

    Args:
        figure: an empty figure.
        comparison: the aligned pair.
        document: the metrics, as `numbers.metrics_document` returns them.
        pixel_size_m: for the scale bars; None draws them in pixels.
    """
    axes = figure.subplots(2, 3, width_ratios=(1, 1, 1.2))
    images = comparison_images(comparison, pixel_size_m)
    for row, pair in enumerate(images.values()):
        for col, image in enumerate(pair):
            draw_image(figure, axes[row, col], image)
    draw_rings(axes[0, 2], "Fourier ring correlation", comparison.rings)
    draw_table(figure, axes[1, 2], metrics_table(document))


def save_comparison(
    path: Path,
    comparison: Comparison,
    document: Mapping[str, Any],
    *,
    pixel_size_m: float | None = None,
) -> None:
    """Write the figure of `draw_comparison` as PNG.

    Args:
        path: the PNG file to write.
        comparison: the aligned pair.
        document: the metrics, as `numbers.metrics_document` returns them.
        pixel_size_m: for the scale bars; None draws them in pixels.
    """
    figure = new_figure(*comparison_size(comparison))
    draw_comparison(figure, comparison, document, pixel_size_m=pixel_size_m)
    save(figure, path)


def comparison_size(comparison: Comparison) -> tuple[float, float]:
    """Return width and height of the figure of `draw_comparison`, inches.

    Args:
        comparison: what is drawn.
    """
    amplitude, _ = comparison_images(comparison)["amplitude"]
    height = 1.5 + 7.6 * aspect_of(amplitude.cropped().values)
    return 15.0, max(height, 6.5)  # the table of metrics needs some


def draw_training_curves(
    figure: Figure,
    curves: Mapping[str, Sequence[float]],
    *,
    unit: str = "loss",
    floor: float | None = None,
) -> None:
    """Draw the losses over the epochs.

    Args:
        figure: an empty figure.
        curves: name -> one value for each epoch; NaN where none was measured.
        unit: what the values are.
        floor: loss expected from counting statistics alone, if known.
    """
    n_epochs = max((len(values) for values in curves.values()), default=0)
    known: dict[str, list[float | None]] = {
        name: [*values, *[None] * (n_epochs - len(values))]
        for name, values in curves.items()
        if len(values)
    }
    x = list(range(1, n_epochs + 1))
    draw_curves(figure.subplots(), loss_curves(x, known, unit=unit, floor=floor))


def save_training_curves(
    path: Path,
    curves: Mapping[str, Sequence[float]],
    *,
    unit: str = "loss",
    floor: float | None = None,
) -> None:
    """Write the figure of `draw_training_curves` as PNG.

    Args:
        path: the PNG file to write.
        curves: name -> one value for each epoch; NaN where none was measured.
        unit: what the values are.
        floor: loss expected from counting statistics alone, if known.
    """
    figure = new_figure(6.0, 4.0)
    draw_training_curves(figure, curves, unit=unit, floor=floor)
    save(figure, path)
