"""Two runs side by side: their objects, what differs between them, and where.

Way of the data: [folders of two runs -> report in a browser]. Bokeh models only.
"""

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from bokeh.models import Column
from bokeh.models.ui import UIElement

from ptycho.metrics import Comparison, compare, well_covered
from ptycho.report.object_view import corners_of
from ptycho.report.pictures import Linked, linked_around, picture_view
from ptycho.report.side_by_side import side_by_side
from ptycho.runs.folder import RunFolder
from ptycho.view.panels import MOST, WIDE, Views, decode, decoded_views, drawn_from, framed, grid
from ptycho.view.words import table, text


def pair_panel(first: RunFolder, second: RunFolder) -> UIElement:
    """Return two runs side by side: what tells them apart, their objects and the difference.

    The second object is brought onto the first (phase, ramp, scale, shift) before they are
    subtracted; what was removed is told.

    Args:
        first: with its arrays.
        second: likewise.
    """
    arrays = [drawn_from(run) for run in (first, second)]
    linked = linked_around([corner for each in arrays for corner in corners_of(each)])
    shown = [_named(linked, run) for run in (first, second)]
    words, difference = "", {}
    if all(shown):
        words, difference = _difference(linked, *arrays)
    maps = [
        framed(views[name])
        for name in ("amplitude", "phase")
        for views in (*shown, difference)
        if name in views
    ]
    tables = _pair_tables(side_by_side([first, second]), (first, second))
    return Column(text(words), grid(maps, least="21rem"), text(tables), **WIDE)


def _named(linked: Linked, run: RunFolder) -> Views:
    """Return amplitude and phase of a run with its name in the titles; nothing without them."""
    views = decoded_views(linked, drawn_from(run))
    for view in views.values():
        view.plot.title.text += f", {run.path.name}"
    return views


def _pair_tables(document: Mapping[str, Any], runs: Sequence[RunFolder]) -> str:
    heads = ["", *(run.path.name for run in runs)]
    parts = []
    for title, name in (("Runs", "run"), ("Settings that differ", "settings"),
                        ("Results", "results")):  # fmt: skip
        rows = [(key, *values) for key, values in document[name].items()]
        words = table(rows, heads) if rows else "<p>none</p>"
        parts.append(f"<h3>{title}</h3>{words}")
    return "".join(parts)


def _difference(
    linked: Linked, first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]
) -> tuple[str, Views]:
    """Return what tells how the second object differs from the first, and where."""
    masks = [well_covered(np.asarray(each["coverage"])) for each in (first, second)]
    try:
        found = compare(
            np.asarray(second["object"]), np.asarray(first["object"]), masks[1],
            estimate_origin=tuple(second["origin"]), truth_origin=tuple(first["origin"]),
            truth_mask=masks[0],
        )  # fmt: skip
    except ValueError as problem:
        return f"<p>No difference is shown: {html.escape(str(problem))}.</p>", {}
    place = {"linked": linked, "known": found.aligned.mask, "origin": found.origin, "most": MOST}
    views = {}
    for name, values, unit in _differences(found):
        view = picture_view(
            values=values, title=f"Difference of the {name}", unit=unit, palette="red and blue",
            **place,
        )  # fmt: skip
        decode(view)
        largest = max(abs(end) for end in view.limits.value)
        view.limits.update(start=-2 * largest, end=2 * largest, value=(-largest, largest))
        views[name] = view
    return _told(found), views


def _differences(found: Comparison) -> list[tuple[str, np.ndarray, str]]:
    obj, truth = found.aligned.obj, found.truth
    return [
        ("amplitude", np.abs(obj) - np.abs(truth), "transmission"),
        ("phase", np.angle(obj * truth.conj()), "rad"),
    ]


def _told(found: Comparison) -> str:
    """Return how far the two agree, and what was removed first."""
    aligned, numbers = found.aligned, found.numbers
    return (
        "<p>All maps move together; the difference is the second run minus the first. "
        f"They agree up to {100 * numbers['frc_05_share_of_nyquist']:.0f} % of Nyquist (Fourier "
        f"ring correlation 0.5); phases differ by {numbers['phase_rmse_rad']:.3g} rad (rms). "
        f"Removed first: a phase of {aligned.phase:.3g} rad, a ramp of ({aligned.ramp[0]:.2g}, "
        f"{aligned.ramp[1]:.2g}) rad/px, a factor {aligned.scale:.4g}, a shift of "
        f"({aligned.shift[0]:.2f}, {aligned.shift[1]:.2f}) px.</p>"
    )
