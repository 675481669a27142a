"""Two runs side by side: their objects, the difference, and the settings that differ.

Data flow: folders of two runs -> [panel] -> viewer. Bokeh models only.
"""

import html
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from bokeh.models import Column

from ptycho.metrics import Comparison, compare, well_covered
from ptycho.report.images import corners_of, difference_images, object_images
from ptycho.report.pictures import Linked, linked_around
from ptycho.report.side_by_side import side_by_side
from ptycho.runs.folder import RunFolder
from ptycho.view.layout import column, grid, table, text
from ptycho.view.panels import Views, decoded_views, framed, shown_arrays


def pair_panel(first: RunFolder, second: RunFolder) -> Column:
    """Return two runs side by side: their objects, the difference, and what differs in the tables.

    The second object is aligned to the first (phase, ramp, scale, shift) before the subtraction;
    the panel states what was removed.

    Args:
        first: with its arrays.
        second: with its arrays.
    """
    arrays = [shown_arrays(run) for run in (first, second)]
    linked = linked_around([corner for each in arrays for corner in corners_of(each)])
    shown = [_named(linked, run) for run in (first, second)]
    summary, difference = "", Views()
    if all(shown):
        summary, difference = _difference(linked, *arrays)
    maps = [
        framed(views[name])
        for name in ("amplitude", "phase")
        for views in (*shown, difference)
        if name in views
    ]
    tables = _pair_tables(side_by_side([first, second]), (first, second))
    return column(text(summary), grid(maps, least="21rem"), text(tables))


def _named(linked: Linked, run: RunFolder) -> Views:
    """Return amplitude and phase of a run with its name in the titles; nothing without them."""
    images = object_images(shown_arrays(run))
    return decoded_views(linked, {
        name: replace(images[name], title=f"{images[name].title}, {run.path.name}")
        for name in ("amplitude", "phase")
        if name in images
    })  # fmt: skip


def _pair_tables(document: Mapping[str, Any], runs: Sequence[RunFolder]) -> str:
    heads = ["", *(run.path.name for run in runs)]
    parts = []
    for title, name in (("Runs", "run"), ("Settings that differ", "settings"),
                        ("Results", "results")):  # fmt: skip
        rows = [(key, *values) for key, values in document[name].items()]
        markup = table(rows, heads) if rows else "<p>none</p>"
        parts.append(f"<h3>{title}</h3>{markup}")
    return "".join(parts)


def _difference(
    linked: Linked, first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]
) -> tuple[str, Views]:
    """Return a summary of how the second object differs from the first, and the maps."""
    masks = [well_covered(np.asarray(each["coverage"])) for each in (first, second)]
    try:
        found = compare(
            np.asarray(second["object"]), np.asarray(first["object"]), masks[1],
            estimate_origin=_origin(second), truth_origin=_origin(first), truth_mask=masks[0],
        )  # fmt: skip
    except ValueError as problem:
        return f"<p>No difference is shown: {html.escape(str(problem))}.</p>", {}
    return _summary(found), decoded_views(linked, difference_images(found))


def _origin(arrays: Mapping[str, np.ndarray]) -> tuple[float, float]:
    row, col = arrays["origin"]
    return float(row), float(col)


def _summary(found: Comparison) -> str:
    """Return how far the two objects agree, and what the alignment removed."""
    aligned, numbers = found.aligned, found.numbers
    return (
        "<p>All maps share zoom and cursor; the difference is the second run minus the first. The "
        "Fourier ring correlation of the two objects is above 0.5 up to "
        f"{100 * numbers['frc_05_share_of_nyquist']:.0f} % of Nyquist; their phases differ by "
        f"{numbers['phase_rmse_rad']:.3g} rad (RMS). Removed before the subtraction: a phase of "
        f"{aligned.phase:.3g} rad, a ramp of ({aligned.ramp[0]:.2g}, {aligned.ramp[1]:.2g}) "
        f"rad/px, a factor {aligned.scale:.4g}, a shift of ({aligned.shift[0]:.2f}, "
        f"{aligned.shift[1]:.2f}) px.</p>"
    )
