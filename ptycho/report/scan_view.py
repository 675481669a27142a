"""The scan and the groups sampled from it: a group pointed at shows its frames and their overlap.

Way of the data: ... -> object -> metrics -> [report]. Bokeh models only.
Everything shown is computed here; the few lines of JavaScript only choose what is seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from bokeh.models import (
    ColorBar,
    ColumnDataSource,
    CustomJS,
    Div,
    HoverTool,
    LinearColorMapper,
    RadioButtonGroup,
    Spinner,
    TapTool,
)
from bokeh.models.plots import Plot
from bokeh.models.ui import UIElement
from bokeh.palettes import all_palettes
from bokeh.plotting import figure
from jaxtyping import Float, Int

from ptycho.grouping import Coverage
from ptycho.report.opening import control_style
from ptycho.report.pictures import PALETTES, TOOLS, WIDTH, Linked
from ptycho.report.quantise import Thumbnails

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
const {drawn, members, uses, paragraph} = samples[this.active]
groups.selected.indices = []
groups.data = drawn.data
lists.data = {members: [members]}
scan.data.uses = uses
scan.change.emit()
text_of_sample.text = paragraph
chosen.high = drawn.data.x.length
chosen.value = 1
show.execute(chosen)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Groups that one sampler gives, and what they cover."""

    name: str
    groups: Int[np.ndarray, "group member"]
    coverage: Coverage


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanView:
    """The map of the scan with what belongs to it, by name, and what shows the first group."""

    parts: Mapping[str, UIElement]
    first: CustomJS
    members: ColumnDataSource
    """Centres of the group shown; other maps may draw it too."""


def scan_view(
    linked: Linked,
    positions: Float[np.ndarray, "position 2"],
    samples: list[Sample],
    *,
    probe_diameter: float,
    frames: Thumbnails | None,
) -> ScanView:
    """Return the map of a scan, its groups, and the frames of the group pointed at.

    Args:
        linked: axes shared with the pictures of the object.
        positions: probe centres (row, col), object pixels.
        samples: the one of the run first, others to compare with; groups of one size.
        probe_diameter: full width at half maximum, object pixels.
        frames: pictures of the frames of all samples; None where the scan is not at hand.
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
    plot = _map(linked, scan, groups, members, probe_diameter)
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
    centres = plot.renderers[1]
    plot.add_tools(
        HoverTool(renderers=[centres], tooltips=None, callback=pointed, mode="mouse"),
        TapTool(renderers=[centres]),
    )
    clicked = CustomJS(args={"chosen": chosen}, code=_CLICKED)
    groups.selected.js_on_change("indices", clicked)
    parts |= _switch(samples, sources, {
        "groups": groups, "lists": lists, "scan": scan, "chosen": chosen, "show": show,
    }, len(positions))  # fmt: skip
    return ScanView(parts=parts, first=show, members=members)


def draw_members(plot: figure, members: ColumnDataSource, diameter: float) -> None:
    """Draw the probes of the group shown, as circles of their full width at half maximum."""
    plot.circle(
        "x", "y", radius=diameter / 2, source=members, fill_color="#d55e00", fill_alpha=0.25,
        line_color="#d55e00", line_width=2, name="members",
    )  # fmt: skip


def _map(linked, scan, groups, members, diameter) -> figure:
    plot = linked.new_map("Scan positions and groups")
    top = max(2, int(scan.data["uses"].max()))
    palette = ["#999999", *all_palettes["Viridis"][256][40:]]
    mapper = LinearColorMapper(palette=palette, low=0, high=top)
    plot.scatter(
        "x", "y", source=scan, size=4, line_color=None,
        fill_color={"field": "uses", "transform": mapper},
    )  # fmt: skip
    plot.scatter(
        "x", "y", source=groups, size=7, marker="diamond", fill_alpha=0.05, line_alpha=0.35,
        line_color="#767676", fill_color="#767676", hover_line_color="#d55e00",
        hover_line_alpha=1.0, nonselection_line_alpha=0.35, selection_line_color="#d55e00",
        selection_line_alpha=1.0,
    )  # fmt: skip
    draw_members(plot, members, diameter)
    plot.add_layout(ColorBar(color_mapper=mapper, title="uses", width=12, margin=4), "right")
    return plot


def _group_source(sample: Sample, positions: np.ndarray, diameter: float) -> ColumnDataSource:
    """Return centres, members and overlaps of groups; overlap 1 - distance / diameter, from 0 on.

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


def _switch(samples, sources, models, n_positions) -> dict[str, UIElement]:
    """Return the paragraph of the sample shown and, of several, what chooses one."""
    paragraph = Div(
        text=samples[0].coverage.paragraph(), sizing_mode="stretch_width",
        stylesheets=[control_style()],
    )  # fmt: skip
    parts: dict[str, UIElement] = {"paragraph": paragraph}
    if len(samples) > 1:
        choice = RadioButtonGroup(labels=[sample.name for sample in samples], active=0,
                                  stylesheets=[control_style()])  # fmt: skip
        known = [
            {"drawn": source, "members": sample.groups.astype(np.int32).ravel(),
             "uses": _uses(sample, n_positions), "paragraph": sample.coverage.paragraph()}
            for sample, source in zip(samples, sources, strict=True)
        ]  # fmt: skip
        switch = CustomJS(args={**models, "samples": known, "text_of_sample": paragraph},
                          code=_SWITCH)  # fmt: skip
        choice.js_on_change("active", switch)
        parts["samplers"] = choice
    return parts


def _frames(
    frames: Thumbnails, size: int, n_positions: int
) -> tuple[Plot, ColumnDataSource, ColumnDataSource]:
    """Return the figure for the frames of a group, its source, and the store of all frames."""
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
        x_range=(0, across * 1.05), y_range=(down * 1.15, 0), sizing_mode="scale_width",
        tools=TOOLS, active_scroll=None, toolbar_location="below",
    )  # fmt: skip
    plot.toolbar.logo = None
    plot.axis.visible = False
    plot.grid.visible = False
    mapper = LinearColorMapper(palette=PALETTES["magma"], low=0, high=255)
    plot.image("image", "x", "y", 1, 1, source=pictures, color_mapper=mapper)
    labels = plot.text(
        "x", "y", text="label", source=pictures, text_font_size="0.8em", y_offset=-3,
        text_color="#767676", text_baseline="bottom",
    )  # fmt: skip
    labels.name = "labels"
    return plot, pictures, stored
