"""JavaScript that runs when a page with figures opens: decodes images, applies the page's colours.

Data flow: Bokeh models -> [opening] -> page, viewer. Bokeh models only.
"""

from collections.abc import Iterable, Sequence

from bokeh.models import ColumnDataSource, CustomJS, InlineStyleSheet
from bokeh.models.ui import UIElement

_DECODE = """
const {ndarray} = Bokeh.require("core/util/ndarray")
for (const source of sources) {
  const {codes: [codes], low: [low], step: [step]} = source.data
  const values = Float32Array.from(codes, (code) => code == 0 ? NaN : low + (code - 1)*step)
  source.data.image = [ndarray(values, {dtype: "float32", shape: codes.shape})]
  source.change.emit()
}
"""
# Colour bars and legends ignore the style sheet. On a touch screen a finger has to scroll the page,
# not the map below it; the toolbar still offers the tool.
_FOLLOW = """
const recolour = () => {
  const models = roots.flatMap((root) => [...root.references()])
  const style = getComputedStyle(document.documentElement)
  const [ink, ground, rule] = ["--ink", "--ground", "--rule"].map((n) => style.getPropertyValue(n))
  for (const model of models) {
    if (model.type == "ColorBar") {
      model.setv({major_label_text_color: ink, title_text_color: ink})
    } else if (model.type == "Legend") {
      model.setv({label_text_color: ink, background_fill_color: ground, border_line_color: rule})
    }
  }
}
recolour()
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour)
if (matchMedia("(pointer: coarse)").matches) {
  for (const root of roots) if (root.toolbar) root.toolbar.active_drag = null
}
"""


def opening(roots: Iterable[UIElement], sources: Sequence[ColumnDataSource]) -> list[CustomJS]:
    """Return the callbacks that run once when the page has opened.

    Args:
        roots: everything on the page; its plots take the colours of the page.
        sources: one row each with `codes`, `low` and `step`; `image` is added, float32.
    """
    return [
        CustomJS(args={"sources": list(sources)}, code=_DECODE),
        follow_colours(roots),
    ]


def follow_colours(roots: Iterable[UIElement]) -> CustomJS:
    """Return the callback that gives bars and legends the colours of the page, now and on change.

    Args:
        roots: everything on the page, or the layout that holds it.
    """
    return CustomJS(args={"roots": list(roots)}, code=_FOLLOW)


def control_style() -> InlineStyleSheet:
    """Return the style of tables, menus, sliders and buttons: fonts and colours of the page."""
    return InlineStyleSheet(
        css="""
:host { font: inherit; font-size: 0.95rem; color: inherit; }
.bk-input-group, label { font-size: 0.95rem; white-space: normal; }
.bk-input, .bk-btn, .bk-spin-btn {
  background-color: var(--raised); color: var(--ink); border-color: var(--soft); font: inherit;
}
.bk-slider-title { white-space: normal; }
table { border-collapse: collapse; font-size: 0.95rem; }
th, td { text-align: left; vertical-align: top; padding: 0.2rem 1rem 0.2rem 0;
  border-bottom: 1px solid var(--rule); overflow-wrap: anywhere; }
th { font-weight: 500; color: var(--soft); overflow-wrap: normal; }
.bk-btn.bk-active { background-color: var(--accent); color: var(--ground); font-weight: 600; }
.bk-input:focus-visible, .bk-btn:focus-visible, .noUi-handle:focus-visible {
  outline: 3px solid var(--accent); outline-offset: 2px;
}
.noUi-handle { width: 24px; height: 24px; top: -9px; background: var(--ground);
  border-color: var(--soft); }
.noUi-target { background: var(--rule); border-color: var(--soft); }
.noUi-connect { background: var(--accent); }
"""
    )
