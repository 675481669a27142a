"""One run as Bokeh views: verdict, warnings, object, numbers, curves; follows a run in progress.

Data flow: folder of a run -> [panel] -> viewer. Bokeh models only.
"""

import html
from collections.abc import Mapping

import numpy as np
from bokeh.models import Column, ColumnDataSource
from bokeh.models.renderers import GlyphRenderer
from bokeh.models.ui import UIElement
from bokeh.plotting import figure

from ptycho.report.calibration import found_table
from ptycho.report.curves import curves_of
from ptycho.report.images import Image, corners_of, has_object, object_images, residual_dots
from ptycho.report.pictures import ImageView, Linked, dots_view, image_view, linked_around
from ptycho.report.plots import curve_plot
from ptycho.report.provenance import warnings_of
from ptycho.report.quantise import Quantised
from ptycho.report.tables import numbers_of, verdict_lines
from ptycho.runs.folder import RunFolder
from ptycho.view.layout import column, grid, row, table, text

Views = dict[str, ImageView]
MOST = 768
"""Pixels per side above which images are averaged: they are sent to the browser each time."""


class RunPanel:
    """One run; shows what it holds, and what it holds later, with zoom and colours kept.

    Args:
        run: with its arrays.
    """

    def __init__(self, run: RunFolder) -> None:
        self.linked = linked_around([])
        self.views: Views = {}
        self.warnings, self.about = text(""), text("")
        self.curves: dict[str, UIElement] = {}
        self.maps, self.below = grid([]), grid([])
        self.root = column(self.warnings, self.maps, self.about, self.below)
        self.update(run)

    def update(self, run: RunFolder) -> None:
        """Show what the run holds now.

        Args:
            run: the same one, read again.
        """
        arrays = shown_arrays(run)
        if has_object(arrays) and not self.views:
            self.linked = linked_around(corners_of(arrays))
        self.warnings.text, self.about.text = _warnings(run), _about(run)
        curves = _curves(run, self.linked, arrays)
        if not _renewed(self.curves, curves):
            self.curves = curves
            self.below.children = list(curves.values())
        views = decoded_views(self.linked, object_images(arrays))
        if set(views) == set(self.views):
            for name, view in views.items():
                renew(self.views[name], view)
        else:
            self.views = views
            self.maps.children = [framed(view) for view in views.values()]


def shown_arrays(run: RunFolder) -> Mapping[str, np.ndarray]:
    """Return the arrays of the object to draw: the result, or the last output of a training."""
    return run.arrays if has_object(run.arrays) else run.picture


def decoded_views(linked: Linked, images: Mapping[str, Image]) -> Views:
    """Return views of images with their values decoded, by name.

    Args:
        linked: the axes that they share.
        images: what is drawn.
    """
    views = {name: image_view(linked, image, most=MOST) for name, image in images.items()}
    for view in views.values():
        _decode(view)
    return views


def _decode(view: ImageView) -> None:
    """Replace the codes of an image by its values: here no file size has to be saved."""
    data = view.source.data
    coded = Quantised(data["codes"][0], data["low"][0], data["step"][0])
    values = coded.restored().astype(np.float32)
    view.source.data = {"image": [values], **{name: data[name] for name in ("x", "y", "dw", "dh")}}


def renew(old: ImageView, new: ImageView) -> None:
    """Show new values in an image on the page; a range that was chosen by hand is kept.

    Args:
        old: on the page.
        new: the same image with new values, decoded.
    """
    old.source.data = dict(new.source.data)
    limits, automatic = old.limits, old.limits.tags
    chosen = bool(automatic) and tuple(limits.value) != tuple(automatic)
    limits.update(start=new.limits.start, end=new.limits.end, step=new.limits.step)
    if not chosen:
        _set_range(old, *new.limits.value)


def _set_range(view: ImageView, low: float, high: float) -> None:
    """Set the range of an image and mark it as not chosen by hand."""
    view.limits.update(value=(low, high), tags=[low, high])
    view.mapper.update(low=low, high=high)


def framed(view: ImageView) -> Column:
    """Return an image with its controls above and its caption below."""
    _set_range(view, *view.limits.value)
    caption = text(f"<p class='caption'>{html.escape(view.note)}</p>")
    return column(row(view.colors, view.limits), view.plot, caption)


def _warnings(run: RunFolder) -> str:
    """Return the verdict on a run and its warnings as HTML."""
    word, *reasons = verdict_lines(run) or [""]
    kind = "caption" if word == "consistent" else "warning"
    verdict = [f"<h3>Verdict: {html.escape(word)}</h3>"] if word else []
    verdict += [f"<p class='{kind}'>{html.escape(reason)}</p>" for reason in reasons]
    warnings = (f"<p class='warning'>{html.escape(line)}</p>" for line in warnings_of(run))
    return "".join([*verdict, *warnings])


def _about(run: RunFolder) -> str:
    """Return the numbers and the settings of a run as HTML."""
    rows = [("state", run.state)]
    if run.epochs and not run.finished:
        rows.append(("epochs", str(run.epochs[-1]["epoch"])))
    if "epoch" in shown_arrays(run):
        rows.append(("epoch of the object shown", str(int(shown_arrays(run)["epoch"]))))
    rows += numbers_of(run)
    if run.calibration is not None:
        found = found_table(run.calibration)
        rows += [(f"calibration, {name}", value) for name, value in found]
    settings = [(name, value) for name, value in run.settings.items() if value is not None]
    shown = f"<details><summary>All settings</summary>{table(settings)}</details>"
    return table(rows) + shown


def _curves(
    run: RunFolder, linked: Linked, arrays: Mapping[str, np.ndarray]
) -> dict[str, UIElement]:
    """Return the curves of a run and the map of its residuals by name."""
    found: dict[str, UIElement] = {
        name: curve_plot(curves) for name, curves in curves_of(run).items()
    }
    names = ("positions", "frame_residuals", "frames")
    if set(names) <= set(arrays):
        dots = residual_dots(*(np.asarray(arrays[name]) for name in names))
        if len(dots.values):
            plot, limits = dots_view(linked, dots)
            found["residual"] = column(limits, plot)
    return found


def _renewed(old: Mapping[str, UIElement], new: Mapping[str, UIElement]) -> bool:
    """Put new values into the curves on the page; False if more than values has changed.

    Args:
        old: on the page.
        new: the same curves with new values.
    """
    pairs = [(_sources(old.get(name)), _sources(plot)) for name, plot in new.items()]
    if len(old) != len(new) or any(not ours or len(ours) != len(theirs) for ours, theirs in pairs):
        return False
    for ours, theirs in pairs:
        for shown, source in zip(ours, theirs, strict=True):
            shown.data = dict(source.data)
    return True


def _sources(plot: UIElement | None) -> list[ColumnDataSource]:
    """Return the sources of the curves of a plot; none of anything else."""
    if not isinstance(plot, figure):
        return []
    drawn = (part.data_source for part in plot.renderers if isinstance(part, GlyphRenderer))
    return [source for source in drawn if isinstance(source, ColumnDataSource)]
