"""The uncertainty of a reconstruction on one page: maps, half-data correlation, residuals.

Data flow: ... -> uncertainty -> [figure]. Knows arrays only.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from ptycho.engines.uncertainty import HalfData, Uncertainty
from ptycho.report.drawing import (
    aspect_of,
    draw_dots,
    draw_image,
    draw_rings,
    draw_table,
    new_figure,
    save,
)
from ptycho.report.images import (
    AT_ORIGIN,
    Placement,
    coverage_image,
    residual_dots,
    uncertainty_image,
)


class PositionResiduals(NamedTuple):
    """The residual of each frame at its position."""

    positions: Float[np.ndarray, "position 2"]
    """Probe centres (row, col) in scan coordinates, object pixels."""

    residuals: Float[np.ndarray, " position"]
    """Share of the power of each frame that is not explained; NaN for a dark frame."""


class Quality(NamedTuple):
    """What is known of the quality of an object without a ground truth."""

    uncertainty: Uncertainty
    """Standard deviation of each pixel; NaN where the object is not known."""

    halves: HalfData
    """Comparison of the objects from two halves of the positions."""

    coverage: Float[np.ndarray, "row col"]
    """Sum of the weights on each pixel, any unit."""

    frames: PositionResiduals
    """Residuals over the scan."""


def save_uncertainty(
    path: Path,
    quality: Quality,
    *,
    table: Sequence[tuple[str, str]] = (),
    placement: Placement = AT_ORIGIN,
) -> None:
    """Write the figure of `draw_uncertainty` as PNG.

    Args:
        path: the PNG file to write.
        quality: what is drawn.
        table: rows of name and value.
        placement: where the object lies.
    """
    figure = new_figure(15.0, 1.5 + 7.6 * aspect_of(quality.coverage))
    draw_uncertainty(figure, quality, table=table, placement=placement)
    save(figure, path)


def draw_uncertainty(
    figure: Figure,
    quality: Quality,
    *,
    table: Sequence[tuple[str, str]] = (),
    placement: Placement = AT_ORIGIN,
) -> None:
    """Draw uncertainty, coverage, residuals over the scan and the half-data correlation.

    Args:
        figure: an empty figure.
        quality: what is drawn.
        table: rows of name and value.
        placement: where the object lies.
    """
    axes = figure.subplots(2, 3)
    images = (
        uncertainty_image(quality.uncertainty.phase_std, "phase", placement),
        uncertainty_image(quality.uncertainty.amplitude_std, "amplitude", placement),
        coverage_image(quality.coverage, placement),
    )
    for place, image in zip(axes[0], images, strict=True):
        draw_image(figure, place, image)
    draw_dots(figure, axes[1, 0], residual_dots(*quality.frames))
    draw_rings(axes[1, 1], "Half-data Fourier ring correlation", quality.halves.rings)
    draw_table(figure, axes[1, 2], table)
