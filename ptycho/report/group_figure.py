"""One picture of what groups use of a scan and what is left out.

Way of the data: ... -> object -> metrics -> [report].
Left the whole scan, right its middle enlarged, with the groups joined to their centres.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from ptycho.grouping import Coverage
from ptycho.report.drawing import new_figure, save

_MOST_DOTS = 30_000  # above, dots hide each other and a map of shares tells more
_BINS = 160
_ENLARGED = 300  # positions in the right half
_LEFT_OUT = "C3"


def save_groups(
    path: Path,
    positions: Float[np.ndarray, "position 2"],
    groups: Int[np.ndarray, "group member"],
    coverage: Coverage,
) -> None:
    """Write the figure of `draw_groups` to a PNG file."""
    height, width = np.ptp(positions, axis=0) + 1.0
    figure = new_figure(12.0, 1.2 + 5.0 * float(np.clip(height / width, 0.3, 1.6)))
    draw_groups(figure, positions, groups, coverage)
    save(figure, path)


def draw_groups(
    figure: Figure,
    positions: Float[np.ndarray, "position 2"],
    groups: Int[np.ndarray, "group member"],
    coverage: Coverage,
) -> None:
    """Draw the scan, the groups sampled from it, and the positions that no group uses.

    Args:
        figure: an empty figure.
        positions: probe centres (row, col), object pixels.
        groups: members of each group.
        coverage: the numbers in the titles.
    """
    uses = np.bincount(groups.ravel(), minlength=len(positions))
    whole, part = figure.subplots(1, 2)
    if len(positions) <= _MOST_DOTS:
        dots = _draw_dots(whole, positions, uses, size=4)
        whole.legend(loc="upper right", markerscale=3)
        if dots is not None:
            bar = figure.colorbar(dots, ax=whole, label="groups using the position", shrink=0.85)
            bar.locator = MaxNLocator(integer=True)
            bar.update_ticks()
    else:
        _draw_shares(figure, whole, positions, uses)
    whole.set_title(
        f"{coverage.n_groups:,} groups of {coverage.group_size} use {coverage.n_different:,} of "
        f"{coverage.n_positions:,} positions"
    )
    window = _draw_enlarged(part, positions, groups, uses)
    whole.add_patch(window)
    _as_maps(whole, part)


def _draw_dots(axes: Axes, positions, uses, *, size: float) -> PathCollection | None:
    """Draw the positions, used ones coloured by how often; return those."""
    used = uses > 0
    axes.scatter(
        *positions[~used].T[::-1], s=size, color=_LEFT_OUT, alpha=0.6, linewidths=0,
        label=f"left out ({(~used).sum():,})",
    )  # fmt: skip
    if not used.any():
        return None
    return axes.scatter(
        *positions[used].T[::-1], c=uses[used], s=2 * size, cmap="viridis", linewidths=0,
        vmin=1, vmax=max(2, int(uses.max())), zorder=3,
    )  # fmt: skip


def _draw_shares(figure: Figure, axes: Axes, positions, uses) -> None:
    """Draw the share of the positions of each small square that some group uses."""
    extent = np.ptp(positions, axis=0) + 1e-9
    bins = np.maximum(1, np.round(_BINS * extent / extent.max())).astype(int)
    total, rows, cols = np.histogram2d(*positions.T, bins=bins)
    used, _, _ = np.histogram2d(*positions[uses > 0].T, bins=(rows, cols))
    share = np.divide(100 * used, total, out=np.full(total.shape, np.nan), where=total > 0)
    image = axes.imshow(
        share, cmap="viridis", vmin=0, extent=(cols[0], cols[-1], rows[-1], rows[0]),
        interpolation="nearest",
    )  # fmt: skip
    figure.colorbar(image, ax=axes, label="positions used by some group (%)", shrink=0.85)


def _draw_enlarged(axes: Axes, positions, groups, uses):
    """Draw the middle of the scan with its groups; return its frame for the other picture."""
    middle, extent = np.median(positions, axis=0), np.ptp(positions, axis=0)
    half = 0.5 * min(1.0, np.sqrt(_ENLARGED / len(positions))) * np.maximum(extent, 1.0)
    half[:] = half.max()
    inside = (np.abs(positions - middle) <= half).all(axis=1)
    shown = groups[inside[groups].any(axis=1)]
    members = positions[shown][..., ::-1]
    centres = np.broadcast_to(members.mean(axis=1, keepdims=True), members.shape)
    lines = np.stack([members, centres], axis=2).reshape(-1, 2, 2)
    axes.add_collection(LineCollection(lines, colors="0.5", linewidths=0.8))
    _draw_dots(axes, positions[inside], uses[inside], size=10)
    (bottom, left), (top, right) = middle - half, middle + half
    axes.set(
        xlim=(left, right), ylim=(bottom, top),
        title=f"The middle: {inside.sum():,} positions, {len(shown):,} groups",
    )  # fmt: skip
    frame = Rectangle((left, bottom), right - left, top - bottom)
    frame.set(fill=False, edgecolor="0.2", linewidth=1)
    return frame


def _as_maps(*all_axes: Axes) -> None:
    for axes in all_axes:
        axes.set(xlabel="column (px)", ylabel="row (px)", aspect="equal")
        if not axes.yaxis_inverted():
            axes.invert_yaxis()
