"""Bokeh view of a scan and its groups; pointing at a group shows its frames and their overlap.

Data flow: positions, groups, frames -> [scan view] -> page. Bokeh models only.
Everything shown is computed here; the JavaScript only selects what is visible.
"""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from bokeh.model import Model
from bokeh.models import (
    ColumnDataSource,
    CustomJS,
    HoverTool,
    LinearColorMapper,
    Range1d,
    TapTool,
)
from bokeh.models.glyphs import Image
from bokeh.models.renderers import GlyphRenderer
from bokeh.models.ui import UIElement
from bokeh.models.widgets import Div, RadioButtonGroup, Spinner
from bokeh.plotting import figure
from jaxtyping import Float, Int

from ptycho.grouping import Coverage
from ptycho.report.opening import control_style
from ptycho.report.pictures import TOOLS, WIDTH, Linked, color_bar, palette
from ptycho.report.quantise import Thumbnails
from ptycho.report.tables import coverage_table

_SHOW = """
const group = chosen.value - 1
const data = groups.data
if (group < 0 || group >= data.x.length) return
const size = members.data.x.length
const [all] = lists.data.members
const inside = Array.from({length: size}, (_, k) => all[group*size + k])
members.data.x = inside.map((frame) => scan.data.x[frame])
members.data.y = inside.map((frame) => scan.data.y[frame])
members.change.emit()
const overlap = size > 1 ? `; probes overlap by ${data.least[group]} to ${data.most[group]} %` : ""
text.text = `Group ${group + 1} of ${data.x.length}: frames ${inside.join(", ")}${overlap}`
if (frames === null) return
const codes = frames.data.codes[0]
const row = frames.data.row[0]
const pixels = codes.shape[1]*codes.shape[2]
inside.forEach((frame, k) => {
  const start = codes.byteOffset + row[frame]*pixels
  pictures.data.image[k].set(new Uint8Array(codes.buffer, start, pixels))
  pictures.data.label[k] = `frame ${frame}`
})
pictures.change.emit()
"""
_POINTED = """
const [group] = cb_data.index.indices
if (group !== undefined && groups.selected.indices.length == 0) chosen.value = group + 1
"""
_CLICKED = "if (cb_obj.indices.length) chosen.value = cb_obj.indices[0] + 1"
_SWITCH = """
const {drawn, members, uses, table} = samples[this.active]
groups.selected.indices = []
groups.data = drawn.data
lists.data = {members: [members]}
scan.data.uses = uses
scan.change.emit()
table_of_sample.text = table
chosen.high = drawn.data.x.length
chosen.value = 1
show.execute(chosen)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Groups from one sampler, and what they use of the scan."""

    name: str
    """Of the sampler."""

    groups: Int[np.ndarray, "group member"]
    """Frame indices."""

    coverage: Coverage
    """The numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanView:
    """The map of a scan and what belongs to it."""

    parts: Mapping[str, UIElement]
    """By name: `scan`, `group`, `group_text`, `coverage`; `frames` and `samplers` where known."""

    first: CustomJS
    """Shows the first group; runs when the page opens."""


def scan_view(
    linked: Linked,
    positions: Float[np.ndarray, "position 2"],
    samples: list[Sample],
    *,
    probe_diameter: float,
    frames: Thumbnails | None,
) -> ScanView:
    """Return the map of a scan, its groups, and the frames of the selected group.

    Args:
        linked: axes shared with the pictures of the object.
        positions: probe centres (row, col), object pixels.
        samples: that of the run first, then others to compare with; groups of one size.
        probe_diameter: full width at half maximum, object pixels.
        frames: thumbnails of the frames of all samples; None if the scan cannot be read.
    """
    scan = ColumnDataSource({
        "x": positions[:, 1].astype(np.float32), "y": positions[:, 0].astype(np.float32),
        "uses": _uses(samples[0], len(positions)),
    })  # fmt: skip
    sources = [_group_source(sample, positions, probe_diameter) for sample in samples]
    groups = ColumnDataSource(dict(sources[0].data))
    lists = ColumnDataSource({"members": [samples[0].groups.astype(np.int32).ravel()]})
    size = samples[0].groups.shape[1]
    members = ColumnDataSource({"x": [np.nan] * size, "y": [np.nan] * size})
    chosen = Spinner(
        title="Group", low=1, high=len(samples[0].groups), step=1, value=1, width=130,
        stylesheets=[control_style()],
    )  # fmt: skip
    text = Div(text="", sizing_mode="stretch_width", stylesheets=[control_style()])
    top = max(2, int(_uses(samples[0], len(positions)).max()))
    plot, centres = _map(linked, (scan, groups, members), top, probe_diameter)
    parts: dict[str, UIElement] = {"scan": plot, "group": chosen, "group_text": text}
    pictures, stored = None, None
    if frames is not None:
        parts["frames"], pictures, stored = _frames(frames, size, len(positions))
    show = CustomJS(
        args={"chosen": chosen, "groups": groups, "lists": lists, "members": members,
              "scan": scan, "text": text, "frames": stored, "pictures": pictures},
        code=_SHOW,
    )  # fmt: skip
    chosen.js_on_change("value", show)
    pointed = CustomJS(args={"chosen": chosen, "groups": groups}, code=_POINTED)
    plot.add_tools(
        HoverTool(renderers=[centres], tooltips=None, callback=pointed, mode="mouse"),
        TapTool(renderers=[centres]),
    )
    clicked = CustomJS(args={"chosen": chosen}, code=_CLICKED)
    groups.selected.js_on_change("indices", clicked)
    parts |= _switch(samples, sources, {
        "groups": groups, "lists": lists, "scan": scan, "chosen": chosen, "show": show,
    }, len(positions))  # fmt: skip
    return ScanView(parts=parts, first=show)


def _map(
    linked: Linked,
    sources: tuple[ColumnDataSource, ColumnDataSource, ColumnDataSource],
    top: int,
    diameter: float,
) -> tuple[figure, GlyphRenderer]:
    """Return the map of positions, group centres and selected probes; and the centres.

    Args:
        linked: the axes it shares.
        sources: positions, groups and members of the selected group.
        top: number of uses at the end of the colour bar.
        diameter: of the probe, object pixels.
    """
    scan, groups, members = sources
    plot = linked.new_map("Scan positions and groups")
    mapper = LinearColorMapper(palette=["#999999", *palette("viridis")[40:]], low=0, high=top)
    plot.scatter(
        "x", "y", source=scan, size=4, line_color=None,
        fill_color={"field": "uses", "transform": mapper},
    )  # fmt: skip
    centres = plot.scatter(
        "x", "y", source=groups, size=7, marker="diamond", fill_alpha=0.05, line_alpha=0.35,
        line_color="#767676", fill_color="#767676", hover_line_color="#d55e00",
        hover_line_alpha=1.0, nonselection_line_alpha=0.35, selection_line_color="#d55e00",
        selection_line_alpha=1.0,
    )  # fmt: skip
    plot.circle(
        "x", "y", radius=diameter / 2, source=members, fill_color="#d55e00", fill_alpha=0.25,
        line_color="#d55e00", line_width=2, name="members",
    )  # fmt: skip
    plot.add_layout(color_bar(mapper, "uses"), "right")
    return plot, centres


def _group_source(sample: Sample, positions: np.ndarray, diameter: float) -> ColumnDataSource:
    """Return the centres of groups and their overlaps, max(0, 1 - distance / diameter).

    Source:
        Bunk et al., Ultramicroscopy 108, 481 (2008): the linear overlap of two discs.
    """
    groups = sample.groups
    centres = positions[groups].mean(axis=1)
    pairs = list(combinations(range(groups.shape[1]), 2))
    overlaps = np.ones((len(groups), 1))
    if pairs:
        first, second = (positions[groups[:, list(side)]] for side in zip(*pairs, strict=True))
        apart = np.linalg.norm(first - second, axis=2)
        overlaps = np.clip(1 - apart / diameter, 0, None)
    percent = np.rint(100 * overlaps).astype(np.uint8)
    return ColumnDataSource({
        "x": centres[:, 1].astype(np.float32), "y": centres[:, 0].astype(np.float32),
        "least": percent.min(axis=1), "most": percent.max(axis=1),
    })  # fmt: skip


def _uses(sample: Sample, n_positions: int) -> np.ndarray:
    return np.bincount(sample.groups.ravel(), minlength=n_positions).astype(np.int32)


def _switch(
    samples: Sequence[Sample],
    sources: Sequence[ColumnDataSource],
    models: Mapping[str, Model],
    n_positions: int,
) -> dict[str, UIElement]:
    """Return the table of the selected sample and, of several, the menu that selects one."""
    table = Div(
        text=_table(samples[0].coverage), sizing_mode="stretch_width",
        stylesheets=[control_style()],
    )  # fmt: skip
    parts: dict[str, UIElement] = {"coverage": table}
    if len(samples) > 1:
        choice = RadioButtonGroup(
            labels=[sample.name for sample in samples], active=0, stylesheets=[control_style()]
        )
        known = [
            {"drawn": source, "members": sample.groups.astype(np.int32).ravel(),
             "uses": _uses(sample, n_positions), "table": _table(sample.coverage)}
            for sample, source in zip(samples, sources, strict=True)
        ]  # fmt: skip
        switch = CustomJS(args={**models, "samples": known, "table_of_sample": table}, code=_SWITCH)
        choice.js_on_change("active", switch)
        parts["samplers"] = choice
    return parts


def _table(coverage: Coverage) -> str:
    """Return what groups use of the scan as an HTML table."""
    rows = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th><td>{html.escape(text)}</td></tr>'
        for name, text in coverage_table(coverage.as_dict())
    )
    return f"<table>{rows}</table>"


def _frames(
    frames: Thumbnails, size: int, n_positions: int
) -> tuple[figure, ColumnDataSource, ColumnDataSource]:
    """Return the figure for the frames of a group, its source, and the codes of all frames."""
    across = int(np.ceil(np.sqrt(size)))
    down = -(-size // across)
    side = frames.codes.shape[-1]
    row = np.full(n_positions, -1, np.int32)
    row[frames.numbers] = np.arange(len(frames.numbers))
    stored = ColumnDataSource({"codes": [frames.codes], "row": [row]})
    cells = [divmod(k, across) for k in range(size)]
    pictures = ColumnDataSource({
        "image": [np.zeros((side, side), np.uint8) for _ in cells],
        "x": [col * 1.05 for _, col in cells], "y": [r * 1.15 + 0.12 for r, _ in cells],
        "label": [""] * size,
    })  # fmt: skip
    plot = figure(
        title="Frames of the group", width=WIDTH, height=round(60 + WIDTH * 1.1 * down / across),
        x_range=Range1d(start=0, end=across * 1.05), y_range=Range1d(start=down * 1.15, end=0),
        sizing_mode="scale_width",
        tools=TOOLS, active_scroll=None, toolbar_location="below",
    )  # fmt: skip
    plot.toolbar.logo = None
    plot.axis.visible = False
    plot.grid.visible = False
    mapper = LinearColorMapper(palette=palette("magma"), low=0, high=255)
    glyph = Image(image="image", x="x", y="y", dw=1, dh=1, color_mapper=mapper)
    plot.add_glyph(pictures, glyph)
    labels = plot.text(
        "x", "y", text="label", source=pictures, text_font_size="0.8em", y_offset=-3,
        text_color="#767676", text_baseline="bottom",
    )  # fmt: skip
    labels.name = "labels"
    return plot, pictures, stored
