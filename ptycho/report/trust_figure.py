"""How far a reconstruction may be trusted, on one page.

Way of the data: ... -> uncertainty -> [report]. Knows arrays only.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ptycho.engines.resampling import HalfData, Uncertainty
from ptycho.report.drawing import Picture, draw_picture, draw_rings, draw_table, new_figure, save


class PositionResiduals(NamedTuple):
    """How badly each frame is explained."""

    positions: Float[np.ndarray, "position 2"]
    """Probe centres (row, col) in scan coordinates, object pixels."""

    residuals: Float[np.ndarray, " position"]
    """Share of the light of each frame left unexplained; NaN for a dark frame."""


def save_trust(
    path: Path,
    uncertainty: Uncertainty,
    halves: HalfData,
    coverage: Float[np.ndarray, "row col"],
    frames: PositionResiduals,
    *,
    table: Sequence[tuple[str, str]] = (),
    **place: Any,
) -> None:
    """Draw uncertainty, coverage, residuals over the scan and what two halves agree on.

    Args:
        path: the PNG file to write.
        uncertainty: of the object; grey where it is NaN.
        halves: of the positions.
        coverage: sum of the weights on each pixel, any unit.
        frames: the positions and their residuals.
        table: rows of name and value.
        **place: `origin` and `pixel_size_m` of the pictures.
    """
    height, width = coverage.shape
    figure = new_figure(15.0, 1.5 + 7.6 * float(np.clip(height / width, 0.3, 2.5)))
    axes = figure.subplots(2, 3)
    draw_picture(figure, axes[0, 0], _std(uncertainty.phase_std, "Phase", "rad", place))
    draw_picture(
        figure, axes[0, 1], _std(uncertainty.amplitude_std, "Amplitude", "transmission", place)
    )
    share = coverage / max(float(coverage.max()), np.finfo(np.float32).tiny)
    draw_picture(figure, axes[0, 2], Picture(
        values=share, mask=coverage > 0, title="Coverage", unit="share of the maximum",
        colors="magma", limits=(0.0, 1.0), **place,
    ))  # fmt: skip
    _draw_residuals(figure, axes[1, 0], frames)
    axes[1, 0].set(xlim=axes[0, 0].get_xlim(), ylim=axes[0, 0].get_ylim())
    draw_rings(axes[1, 1], halves.rings)
    axes[1, 1].set_title("Half-data Fourier ring correlation")
    draw_table(axes[1, 2], table)
    save(figure, path)


def _std(values: np.ndarray, name: str, unit: str, place: dict[str, Any]) -> Picture:
    """Return a picture of a standard deviation, its colours from zero on."""
    known = np.isfinite(values)
    largest = float(np.percentile(values[known], 99)) if known.any() else 0.0
    return Picture(
        values=np.where(known, values, 0), mask=known, title=f"{name}, standard deviation",
        unit=unit, colors="magma", limits=(0.0, largest or 1.0), **place,
    )  # fmt: skip


def _draw_residuals(figure: Figure, axes: Axes, frames: PositionResiduals) -> None:
    """Draw the residual of each frame where it was taken."""
    lit = np.isfinite(frames.residuals)
    rows, cols = frames.positions[lit].T
    percent = 100 * frames.residuals[lit]
    low, high = np.percentile(percent, (1, 99)) if percent.size else (0.0, 1.0)
    size = float(np.clip(4e3 / max(1, len(percent)), 2, 40))
    dots = axes.scatter(cols, rows, c=percent, s=size, cmap="viridis", vmin=low, vmax=high)
    figure.colorbar(dots, ax=axes, label="% of the light", extend="both", shrink=0.85)
    axes.set(title="Residual per position", xlabel="column (px)", ylabel="row (px)", aspect="equal")
