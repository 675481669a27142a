"""Figures as PNG files: objects, comparisons, scans, training curves.

Way of the data: ... -> object -> metrics -> [report].
Rows run down and columns to the right in every picture, as in the arrays; what is poorly covered
is grey. Each figure is an object of its own: no pyplot, nothing shared.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Complex, Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ptycho.metrics import Comparison, flatten_phase, well_covered
from ptycho.report.drawing import (
    Picture,
    draw_picture,
    draw_rings,
    draw_table,
    new_figure,
    robust_range,
    save,
)
from ptycho.report.numbers import metrics_table

_MOST_GROUPS_DRAWN = 3000


def save_amplitude(
    path: Path,
    obj: Complex[np.ndarray, "row col"],
    mask: Bool[np.ndarray, "row col"],
    *,
    origin: tuple[int, int] = (0, 0),
    pixel_size_m: float | None = None,
) -> None:
    """Draw the amplitude of an object.

    Args:
        path: the PNG file to write.
        obj: complex transmission.
        mask: where it is known; the rest is grey.
        origin: (row, col) of its first pixel in scan coordinates.
        pixel_size_m: for the scale bar; None draws it in pixels.
    """
    _save_picture(path, _amplitude(obj, mask, origin=origin, pixel_size_m=pixel_size_m))


def save_phase(
    path: Path,
    obj: Complex[np.ndarray, "row col"],
    mask: Bool[np.ndarray, "row col"],
    *,
    origin: tuple[int, int] = (0, 0),
    pixel_size_m: float | None = None,
    ramp: bool = True,
) -> None:
    """Draw the phase of an object, freed of its mean and its linear ramp; the title says so.

    Args:
        path: the PNG file to write.
        obj: complex transmission.
        mask: where it is known; the rest is grey.
        origin: (row, col) of its first pixel in scan coordinates.
        pixel_size_m: for the scale bar; None draws it in pixels.
        ramp: whether to remove the ramp.
    """
    place = {"origin": origin, "pixel_size_m": pixel_size_m}
    _save_picture(path, _flat_phase(obj, mask, ramp=ramp, **place))


def save_comparison(
    path: Path,
    comparison: Comparison,
    document: Mapping[str, Any],
    *,
    pixel_size_m: float | None = None,
) -> None:
    """Write the figure of `draw_comparison` to a PNG file."""
    figure = new_figure(15.0, 1.5 + 7.6 * _aspect(comparison.truth))
    draw_comparison(figure, comparison, document, pixel_size_m=pixel_size_m)
    save(figure, path)


def draw_comparison(
    figure: Figure,
    comparison: Comparison,
    document: Mapping[str, Any],
    *,
    pixel_size_m: float | None = None,
) -> None:
    """Draw a reconstruction, the ground truth, their ring correlation and the metrics.

    Both share colours and the mean phase of the ground truth, after the alignment that the metrics
    are computed with.

    Args:
        figure: an empty figure.
        comparison: the aligned pair.
        document: the numbers, as `numbers.metrics_document` returns them.
        pixel_size_m: for the scale bars; None draws them in pixels.
    """
    estimate, truth, mask = comparison.aligned.obj, comparison.truth, comparison.aligned.mask
    turn = np.exp(-1j * np.angle(truth[mask].sum()))
    place = {"origin": comparison.origin, "pixel_size_m": pixel_size_m, "mask": mask}
    axes = figure.subplots(2, 3, width_ratios=(1, 1, 1.1))
    rows = (("Amplitude", "transmission", "gray", np.abs), ("Phase", "rad", "viridis", np.angle))
    for row, (name, unit, colors, part) in enumerate(rows):
        limits = robust_range(part(truth * turn), mask)
        for col, (kind, obj) in enumerate((("reconstruction", estimate), ("truth", truth))):
            picture = Picture(
                values=part(obj * turn), title=f"{name}, {kind}", unit=unit, colors=colors,
                limits=limits, **place,
            )  # fmt: skip
            draw_picture(figure, axes[row, col], picture)
    draw_rings(axes[0, 2], comparison.rings)
    draw_table(axes[1, 2], metrics_table(document))


def save_overview(
    path: Path,
    obj: Complex[np.ndarray, "row col"],
    coverage: Float[np.ndarray, "row col"],
    positions: Float[np.ndarray, "position 2"],
    *,
    origin: tuple[int, int] = (0, 0),
    pixel_size_m: float | None = None,
) -> None:
    """Draw a reconstruction without a truth: amplitude, phase, coverage and scan positions.

    Args:
        path: the PNG file to write.
        obj: complex transmission.
        coverage: sum of the weights on each pixel, any unit.
        positions: probe centres (row, col) in scan coordinates.
        origin: (row, col) of the object's first pixel in scan coordinates.
        pixel_size_m: for the scale bars; None draws them in pixels.
    """
    mask = well_covered(coverage)
    place = {"origin": origin, "pixel_size_m": pixel_size_m}
    share = coverage / max(float(coverage.max()), np.finfo(np.float32).tiny)
    figure = new_figure(11.0, 1.5 + 8.6 * _aspect(obj))
    axes = figure.subplots(2, 2)
    draw_picture(figure, axes[0, 0], _amplitude(obj, mask, **place))
    draw_picture(figure, axes[0, 1], _flat_phase(obj, mask, ramp=True, **place))
    picture = Picture(
        values=share, mask=coverage > 0, title="Coverage", unit="share of the maximum",
        colors="magma", limits=(0.0, 1.0), **place,
    )  # fmt: skip
    draw_picture(figure, axes[1, 0], picture)
    axes[1, 1].plot(positions[:, 1], positions[:, 0], ".", ms=1.5)
    _as_map(axes[1, 1], f"Scan, {len(positions):,} positions")
    axes[1, 1].set(xlim=axes[0, 0].get_xlim(), ylim=axes[0, 0].get_ylim())
    save(figure, path)


def save_training_curves(
    path: Path,
    curves: Mapping[str, Sequence[float]],
    *,
    unit: str = "loss",
    floor: float | None = None,
) -> None:
    """Write the figure of `draw_training_curves` to a PNG file."""
    figure = new_figure(6.0, 4.0)
    draw_training_curves(figure, curves, unit=unit, floor=floor)
    save(figure, path)


def draw_training_curves(
    figure: Figure,
    curves: Mapping[str, Sequence[float]],
    *,
    unit: str = "loss",
    floor: float | None = None,
) -> None:
    """Draw losses over the epochs.

    Args:
        figure: an empty figure.
        curves: name -> one value per epoch; NaN where none was measured.
        unit: what the values are.
        floor: what counting noise alone would leave, where it is known.
    """
    axes = figure.subplots()
    positive = True
    for name, values in curves.items():
        numbers = np.asarray(values, dtype=np.float64)
        seen = np.isfinite(numbers)
        positive &= bool((numbers[seen] > 0).all())
        epochs = np.arange(1, len(numbers) + 1)
        axes.plot(epochs[seen], numbers[seen], marker="." if seen.sum() < 30 else "", label=name)
    if floor is not None:
        axes.axhline(floor, color="0.4", ls="--", label="counting noise")
    axes.set(title="Training", xlabel="epoch", ylabel=unit, yscale="log" if positive else "linear")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)


def save_scan(
    path: Path,
    positions: Float[np.ndarray, "position 2"],
    groups: Int[np.ndarray, "group member"] | None = None,
) -> None:
    """Draw the scan and which of its positions the sampled groups use, and how often.

    Args:
        path: the PNG file to write.
        positions: probe centres (row, col), object pixels.
        groups: members of each group; lines join them to their centre.
    """
    figure = new_figure(7.0, 0.8 + 5.4 * _spread_aspect(positions))
    axes = figure.subplots()
    if groups is None:
        axes.plot(positions[:, 1], positions[:, 0], ".", ms=3)
        title = f"Scan, {len(positions):,} positions"
    else:
        uses = np.bincount(groups.ravel(), minlength=len(positions))
        axes.plot(*positions[uses == 0].T[::-1], ".", color="0.8", ms=3)
        _draw_groups(axes, positions, groups)
        used = uses > 0
        dots = axes.scatter(*positions[used].T[::-1], c=uses[used], s=6, cmap="viridis", zorder=3)
        figure.colorbar(
            dots,
            ax=axes,
            label="groups using the position",
            ticks=MaxNLocator(integer=True),
            shrink=0.85,
        )
        title = (
            f"{len(groups):,} groups of {groups.shape[1]} use {used.sum():,} "
            f"of {len(positions):,} positions"
        )
    _as_map(axes, title)
    axes.invert_yaxis()
    save(figure, path)


def _draw_groups(axes: Axes, positions: np.ndarray, groups: np.ndarray) -> None:
    """Join the members of each group with its centre; thinned when they would hide all else."""
    shown = groups[:: -(-len(groups) // _MOST_GROUPS_DRAWN)] if len(groups) else groups
    members = positions[shown][..., ::-1]
    centres = np.broadcast_to(members.mean(axis=1, keepdims=True), members.shape)
    lines = np.stack([members, centres], axis=2).reshape(-1, 2, 2)
    axes.add_collection(LineCollection(lines, colors="0.5", linewidths=0.6))


def _save_picture(path: Path, picture: Picture) -> None:
    figure = new_figure(6.5, 0.5 + 5.0 * _aspect(picture.values))
    draw_picture(figure, figure.subplots(), picture)
    save(figure, path)


def _amplitude(obj: np.ndarray, mask: np.ndarray, **place: Any) -> Picture:
    return Picture(
        values=np.abs(obj), mask=mask, title="Amplitude", unit="transmission", colors="gray",
        **place,
    )  # fmt: skip


def _flat_phase(obj: np.ndarray, mask: np.ndarray, *, ramp: bool, **place: Any) -> Picture:
    flat, slope = flatten_phase(obj, mask, ramp=ramp)
    title = "Phase, mean removed"
    if ramp:
        title = "Phase, mean removed,\nramp ({:.2g}, {:.2g}) rad/px removed".format(*slope)
    return Picture(
        values=np.angle(flat), mask=mask, title=title, unit="rad", colors="viridis", **place
    )


def _as_map(axes: Axes, title: str) -> None:
    axes.set(title=title, xlabel="column (px)", ylabel="row (px)", aspect="equal")


def _aspect(values: np.ndarray) -> float:
    """Return height / width of an image, kept within what fits a page."""
    return float(np.clip(values.shape[0] / values.shape[1], 0.3, 2.5))


def _spread_aspect(positions: np.ndarray) -> float:
    height, width = np.ptp(positions, axis=0) + 1.0
    return float(np.clip(height / width, 0.3, 2.5))
