"""One run, drawn with the figures of the report.

Way of the data: [folder of a run -> report in a browser]. Bokeh models only.
"""

import html
from collections.abc import Iterable, Mapping

import numpy as np
from bokeh.models import Column, Plot, Row
from bokeh.models.ui import UIElement

from ptycho.report.curves import curves_of
from ptycho.report.numbers import numbers_of
from ptycho.report.object_view import corners_of, has_object, object_views, residual_view
from ptycho.report.pictures import Linked, PictureView, linked_around
from ptycho.report.quantise import Quantised
from ptycho.runs.folder import RunFolder
from ptycho.view.words import table, text

Views = dict[str, PictureView]
MOST = 768
"""Pixels per side above which pictures are averaged: they go over the wire each time."""

WIDE = {"sizing_mode": "stretch_width"}


class RunPanel:
    """One run; follows it while it goes on, zoom and colours kept.

    Args:
        run: with its arrays.
    """

    def __init__(self, run: RunFolder) -> None:
        self.linked = linked_around([])
        self.views: Views = {}
        self.warned, self.about = text(""), text("")
        self.curves: dict[str, UIElement] = {}
        self.maps, self.below = grid(()), grid(())
        self.root = Column(self.warned, self.maps, self.about, self.below, **WIDE)
        self.update(run)

    def update(self, run: RunFolder) -> None:
        """Show what the run holds now.

        Args:
            run: the same one, read again.
        """
        arrays = drawn_from(run)
        if has_object(arrays) and not self.views:
            self.linked = linked_around(corners_of(arrays))
        self.warned.text, self.about.text = _warnings(run), _about(run)
        curves = _curves(run, self.linked, arrays)
        if not _lengthened(self.curves, curves):
            self.curves = curves
            self.below.children = list(curves.values())
        views = decoded_views(self.linked, arrays)
        if set(views) == set(self.views):
            for name, view in views.items():
                renew(self.views[name], view)
        else:
            self.views = views
            self.maps.children = [framed(view) for view in views.values()]


def drawn_from(run: RunFolder) -> Mapping[str, np.ndarray]:
    """Return the arrays of the object to draw: the result, or what a training saw last."""
    return run.arrays if has_object(run.arrays) else run.picture


def decoded_views(linked: Linked, arrays: Mapping[str, np.ndarray]) -> Views:
    """Return pictures of an object with their values in place; nothing where there is none."""
    views = object_views(linked, arrays, most=MOST) if has_object(arrays) else {}
    for view in views.values():
        decode(view)
    return views


def decode(view: PictureView) -> None:
    """Put the values of a picture where its codes are; there is a server to send them."""
    data = view.source.data
    coded = Quantised(data["codes"][0], data["low"][0], data["step"][0])
    place = {name: data[name] for name in ("x", "y", "dw", "dh")}
    view.source.data = {"image": [coded.restored().astype(np.float32)], **place}


def renew(old: PictureView, new: PictureView) -> None:
    """Show new values in a picture that stands; a range that was chosen by hand stays.

    Args:
        old: on the page.
        new: drawn anew, decoded.
    """
    old.source.data = dict(new.source.data)
    limits, automatic = old.limits, old.limits.tags
    chosen = bool(automatic) and tuple(limits.value) != tuple(automatic)
    limits.update(start=new.limits.start, end=new.limits.end, step=new.limits.step)
    if not chosen:
        set_range(old, *new.limits.value)


def set_range(view: PictureView, low: float, high: float) -> None:
    """Set the range of a picture, remembering that nobody has chosen it."""
    view.limits.update(value=(low, high), tags=[low, high])
    for renderer in view.plot.renderers:
        renderer.glyph.color_mapper.update(low=low, high=high)


def framed(view: PictureView) -> UIElement:
    """Return a picture with its controls above and its caption below."""
    set_range(view, *view.limits.value)
    return Column(
        Row(view.colors, view.limits, **WIDE),
        view.plot,
        text(f"<p class='caption'>{html.escape(view.note)}</p>"),
        **WIDE,
    )


def grid(parts: Iterable[UIElement], *, least: str = "26rem") -> Column:
    """Return parts beside each other where there is room, below each other where there is not.

    Args:
        parts: in their order.
        least: width of one, as CSS says it.
    """
    style = {
        "display": "grid",
        "grid-template-columns": f"repeat(auto-fit, minmax(min(100%, {least}), 1fr))",
        "gap": "1.25rem",
        "align-items": "end",
    }
    return Column(*parts, styles=style, **WIDE)


def _warnings(run: RunFolder) -> str:
    """Return what the log and the health monitors warned of."""
    said = [*run.warnings, *(f"epoch {epoch}: {sentence}" for epoch, sentence in run.findings)]
    return "".join(f"<p class='warning'>{html.escape(line)}</p>" for line in said)


def _about(run: RunFolder) -> str:
    """Return the numbers reached, and the settings."""
    rows = [("state", "finished" if run.finished else "not finished")]
    if run.epochs and not run.finished:
        rows.append(("epochs", str(run.epochs[-1]["epoch"])))
    if "epoch" in drawn_from(run):
        rows.append(("object as seen in epoch", str(int(drawn_from(run)["epoch"]))))
    rows += numbers_of(run)
    settings = [(name, value) for name, value in run.settings.items() if value is not None]
    shown = f"<details><summary>All settings</summary>{table(settings)}</details>"
    return table(rows) + shown


def _curves(
    run: RunFolder, linked: Linked, arrays: Mapping[str, np.ndarray]
) -> dict[str, UIElement]:
    found: dict[str, UIElement] = dict(curves_of(run))
    residual = residual_view(linked, arrays)
    if residual is not None:
        found["residual"] = Column(residual[1], residual[0], **WIDE)
    return found


def _lengthened(old: Mapping[str, UIElement], new: Mapping[str, UIElement]) -> bool:
    """Give curves that stand their new values, zoom kept; False where that is not all that changed.

    Args:
        old: on the page.
        new: drawn anew.
    """
    pairs = [(old.get(name), plot) for name, plot in new.items()]
    alike = len(old) == len(new) and all(
        isinstance(shown, Plot)
        and isinstance(plot, Plot)
        and len(shown.renderers) == len(plot.renderers)
        for shown, plot in pairs
    )
    if alike:
        for shown, plot in pairs:
            for ours, theirs in zip(shown.renderers, plot.renderers, strict=True):
                ours.data_source.data = dict(theirs.data_source.data)
    return alike
