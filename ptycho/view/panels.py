"""One run, or two side by side, drawn with the figures of the report.

Way of the data: [folder of a run -> report in a browser]. Bokeh models only.
"""

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from bokeh.models import Column, Div, InlineStyleSheet, Plot, Row
from bokeh.models.ui import UIElement

from ptycho.metrics import Comparison, compare, well_covered
from ptycho.report.curves import ring_plot, sweep_plot, training_plots
from ptycho.report.numbers import metrics_table
from ptycho.report.object_view import corners_of, has_object, object_views, residual_view
from ptycho.report.pictures import Linked, PictureView, linked_around, picture_view
from ptycho.report.quantise import Quantised
from ptycho.report.side_by_side import side_by_side, word
from ptycho.run_folder import RunFolder

Views = dict[str, PictureView]
_MOST = 768  # pixels per side above which pictures are averaged: they go over the wire each time
_WIDE = {"sizing_mode": "stretch_width"}


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
        self.root = Column(self.warned, self.maps, self.about, self.below, **_WIDE)
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
        views = _decoded(self.linked, arrays)
        if set(views) == set(self.views):
            for name, view in views.items():
                renew(self.views[name], view)
        else:
            self.views = views
            self.maps.children = [framed(view) for view in views.values()]


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
    return Column(text(words), grid(maps, least="21rem"), text(tables), **_WIDE)


def _named(linked: Linked, run: RunFolder) -> Views:
    """Return amplitude and phase of a run with its name in the titles; nothing without them."""
    views = _decoded(linked, drawn_from(run))
    for view in views.values():
        view.plot.title.text += f", {run.path.name}"
    return views


def drawn_from(run: RunFolder) -> Mapping[str, np.ndarray]:
    """Return the arrays of the object to draw: the result, or what a training saw last."""
    return run.arrays if has_object(run.arrays) else run.picture


def _decoded(linked: Linked, arrays: Mapping[str, np.ndarray]) -> Views:
    """Return pictures of an object with their values in place; nothing where there is none."""
    views = object_views(linked, arrays, most=_MOST) if has_object(arrays) else {}
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
        Row(view.colors, view.limits, **_WIDE),
        view.plot,
        text(f"<p class='caption'>{html.escape(view.note)}</p>"),
        **_WIDE,
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
    return Column(*parts, styles=style, **_WIDE)


def text(words: str) -> Div:
    """Return words as they stand: HTML whose contents were escaped."""
    style = """
    :host { font: inherit; color: inherit; }
    p, summary { font-size: 0.95rem; line-height: 1.45; }
    table { border-collapse: collapse; margin: 0 0 1rem; font-size: 0.95rem; }
    th, td { text-align: left; vertical-align: top; padding: 0.25rem 1rem 0.25rem 0;
      border-bottom: 1px solid var(--rule); overflow-wrap: anywhere; }
    th { font-weight: 500; color: var(--soft); overflow-wrap: normal; }
    h2 { font-size: 1.3rem; margin: 1rem 0 0.5rem; overflow-wrap: anywhere; }
    h2 a { font-size: 0.95rem; font-weight: 400; }
    h3 { font-size: 1.05rem; margin: 1rem 0 0.25rem; }
    a { color: var(--accent); }
    .caption { color: var(--soft); font-size: 0.9rem; margin: 0; }
    .warning { background: var(--warn); border-left: 4px solid var(--warn-rule);
      padding: 0.5rem 0.8rem; overflow-wrap: anywhere; }
    """
    return Div(text=words, stylesheets=[InlineStyleSheet(css=style)], **_WIDE)


def table(rows: Iterable[Sequence[Any]], heads: Sequence[str] = ()) -> str:
    """Return rows as an HTML table, everything in it escaped; the first cell of a row names it."""
    lines = []
    if heads:
        cells = "".join(f'<th scope="col">{html.escape(head)}</th>' for head in heads)
        lines.append(f"<tr>{cells}</tr>")
    for name, *values in rows:
        cells = "".join(f"<td>{html.escape(word(value))}</td>" for value in values)
        lines.append(f'<tr><th scope="row">{html.escape(str(name))}</th>{cells}</tr>')
    return f"<table>{''.join(lines)}</table>"


def _warnings(run: RunFolder) -> str:
    """Return what the log and the health monitors warned of."""
    said = [*run.warnings, *(f"epoch {epoch}: {sentence}" for epoch, sentence in run.findings)]
    return "".join(f"<p class='warning'>{html.escape(line)}</p>" for line in said)


def _about(run: RunFolder) -> str:
    """Return the numbers reached, and the settings."""
    rows = [("state", "finished" if run.finished else "not finished")]
    if run.epochs:
        rows.append(("epochs", str(run.epochs[-1]["epoch"])))
    if "epoch" in drawn_from(run):
        rows.append(("object as seen in epoch", str(int(drawn_from(run)["epoch"]))))
    rows += metrics_table(run.metrics or {})
    settings = [(name, value) for name, value in run.settings.items() if value is not None]
    shown = f"<details><summary>All settings</summary>{table(settings)}</details>"
    return table(rows) + shown


def _curves(
    run: RunFolder, linked: Linked, arrays: Mapping[str, np.ndarray]
) -> dict[str, UIElement]:
    found: dict[str, UIElement] = {}
    if run.epochs:
        floor = ((run.model or {}).get("training") or {}).get("noise_floor")
        loss = str(run.settings.get("loss", "training"))
        found |= training_plots(run.epochs, loss=loss, floor=floor)
    metrics = run.metrics or {}
    if metrics.get("frc"):
        found["rings"] = ring_plot(metrics["frc"])
    if metrics.get("free_residual"):
        first = 0 if run.kind == "refine" else 1
        found["sweeps"] = sweep_plot(metrics["free_residual"], int(metrics["sweeps"]), first=first)
    residual = residual_view(linked, arrays)
    if residual is not None:
        found["residual"] = Column(residual[1], residual[0], **_WIDE)
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
    place = {"linked": linked, "known": found.aligned.mask, "origin": found.origin, "most": _MOST}
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
