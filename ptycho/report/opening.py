"""What happens when a page with figures opens: codes become values, colours follow the page.

Way of the data: ... -> object -> metrics -> [report]. Bokeh models only.
The only JavaScript beside the choice of groups.
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
# Bars and legends do not ask the style sheet for their colours. On a touch screen a finger has to
# scroll the page, not move the map under it; the tool stays at hand in the toolbar.
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
    """Return what runs once when the page has opened.

    Args:
        roots: everything on the page; its plots take the colours of the page.
        sources: with `codes`, `low` and `step` in one row each; they gain `image`, float32.
    """
    return [
        CustomJS(args={"sources": list(sources)}, code=_DECODE),
        follow_colours(roots),
    ]


def follow_colours(roots: Iterable[UIElement]) -> CustomJS:
    """Return what gives bars and legends the colours of the page, now and when those change.

    Args:
        roots: everything on the page, or what holds it.
    """
    return CustomJS(args={"roots": list(roots)}, code=_FOLLOW)


def control_style() -> InlineStyleSheet:
    """Return the style of menus, sliders and buttons: fonts and colours of the page around them."""
    return InlineStyleSheet(
        css="""
:host { font: inherit; font-size: 0.95rem; color: inherit; }
.bk-input-group, label { font-size: 0.95rem; white-space: normal; }
.bk-input, .bk-btn, .bk-spin-btn {
  background-color: var(--raised); color: var(--ink); border-color: var(--soft); font: inherit;
}
.bk-slider-title { white-space: normal; }
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
