"""The scan with the groups sampled from it, and the positions that no group uses.

Data flow: positions, groups -> [figure].
On the left the whole scan, on the right its centre enlarged, with the groups joined to their
centres.
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
from ptycho.report.drawing import as_map, new_figure, save, spread_aspect

_MOST_DOTS = 30_000  # above, dots hide each other and a map of shares is clearer
_BINS = 160
_ENLARGED = 300  # positions in the right half
_UNUSED = "C3"

Positions = Float[np.ndarray, "position 2"]
Uses = Int[np.ndarray, " position"]


def save_groups(
    path: Path,
    positions: Positions,
    groups: Int[np.ndarray, "group member"],
    coverage: Coverage,
) -> None:
    """Write the figure of `draw_groups` as PNG.

    Args:
        path: the PNG file to write.
        positions: probe centres (row, col), object pixels.
        groups: members of each group.
        coverage: the numbers in the titles.
    """
    figure = new_figure(12.0, 1.2 + 5.0 * spread_aspect(positions, most=1.6))
    draw_groups(figure, positions, groups, coverage)
    save(figure, path)


def draw_groups(
    figure: Figure,
    positions: Positions,
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
    as_map(
        whole,
        f"{coverage.n_groups:,} groups of {coverage.group_size} use {coverage.n_different:,} of "
        f"{coverage.n_positions:,} positions",
    )
    whole.add_patch(_draw_enlarged(part, positions, groups, uses))


def _draw_dots(axes: Axes, positions: Positions, uses: Uses, *, size: float
               ) -> PathCollection | None:  # fmt: skip
    """Draw the positions, used ones coloured by how often; return those."""
    used = uses > 0
    unused_rows, unused_cols = positions[~used].T
    axes.scatter(
        unused_cols, unused_rows, s=size, color=_UNUSED, alpha=0.6, linewidths=0,
        label=f"unused ({(~used).sum():,})",
    )  # fmt: skip
    if not used.any():
        return None
    rows, cols = positions[used].T
    return axes.scatter(
        cols, rows, c=uses[used], s=2 * size, cmap="viridis", linewidths=0,
        vmin=1, vmax=max(2, int(uses.max())), zorder=3,
    )  # fmt: skip


def _draw_shares(figure: Figure, axes: Axes, positions: Positions, uses: Uses) -> None:
    """Draw the share of the positions of each small square that some group uses."""
    extent = np.ptp(positions, axis=0) + 1e-9
    n_rows, n_cols = np.maximum(1, np.round(_BINS * extent / extent.max())).astype(int)
    total, rows, cols = np.histogram2d(positions[:, 0], positions[:, 1], bins=(n_rows, n_cols))
    inside = positions[uses > 0]
    used, _, _ = np.histogram2d(inside[:, 0], inside[:, 1], bins=(rows, cols))
    share = np.divide(100 * used, total, out=np.full(total.shape, np.nan), where=total > 0)
    image = axes.imshow(
        share, cmap="viridis", vmin=0,
        extent=(float(cols[0]), float(cols[-1]), float(rows[-1]), float(rows[0])),
        interpolation="nearest",
    )  # fmt: skip
    figure.colorbar(image, ax=axes, label="positions used by a group (%)", shrink=0.85)


def _draw_enlarged(
    axes: Axes, positions: Positions, groups: Int[np.ndarray, "group member"], uses: Uses
) -> Rectangle:
    """Draw the centre of the scan with its groups; return its frame for the other map."""
    middle, extent = np.median(positions, axis=0), np.ptp(positions, axis=0)
    half = float(np.max(
        0.5 * min(1.0, np.sqrt(_ENLARGED / len(positions))) * np.maximum(extent, 1.0)
    ))  # fmt: skip
    inside = (np.abs(positions - middle) <= half).all(axis=1)
    shown = groups[inside[groups].any(axis=1)]
    members = positions[shown][..., ::-1]
    centres = np.broadcast_to(members.mean(axis=1, keepdims=True), members.shape)
    lines = np.stack([members, centres], axis=2).reshape(-1, 2, 2)
    axes.add_collection(LineCollection(list(lines), colors="0.5", linewidths=0.8))
    _draw_dots(axes, positions[inside], uses[inside], size=10)
    (bottom, left), (top, right) = (middle - half).tolist(), (middle + half).tolist()
    axes.set(xlim=(left, right), ylim=(bottom, top))
    as_map(axes, f"Centre: {inside.sum():,} positions, {len(shown):,} groups")
    frame = Rectangle((left, bottom), right - left, top - bottom)
    frame.set(fill=False, edgecolor="0.2", linewidth=1)
    return frame
