"""Texts, tables and layouts of the viewer, in the style of the page of a run.

Data flow: texts, views -> [layout] -> viewer. Bokeh models and HTML only.
"""

import html
from collections.abc import Iterable, Sequence
from typing import Any

from bokeh.models import Column, InlineStyleSheet, Row
from bokeh.models.css import Styles
from bokeh.models.ui import UIElement
from bokeh.models.widgets import Div

from ptycho.report.side_by_side import word


def text(markup: str) -> Div:
    """Return HTML whose contents have been escaped."""
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
    .warning { background: var(--warn); border-left: 8px solid var(--warn-rule);
      padding: 0.5rem 0.8rem; overflow-wrap: anywhere; font-weight: 500; }
    """
    return Div(text=markup, stylesheets=[InlineStyleSheet(css=style)], sizing_mode="stretch_width")


def table(rows: Iterable[Sequence[Any]], heads: Sequence[str] = ()) -> str:
    """Return rows as an HTML table, all contents escaped; the first cell of a row is its heading.

    Args:
        rows: heading and values of each row.
        heads: headings of the columns; none for a table without.
    """
    lines = []
    if heads:
        cells = "".join(f'<th scope="col">{html.escape(head)}</th>' for head in heads)
        lines.append(f"<tr>{cells}</tr>")
    for name, *values in rows:
        cells = "".join(f"<td>{html.escape(word(value))}</td>" for value in values)
        lines.append(f'<tr><th scope="row">{html.escape(str(name))}</th>{cells}</tr>')
    return f"<table>{''.join(lines)}</table>"


def column(*parts: UIElement) -> Column:
    """Return parts below each other, as wide as the page."""
    return Column(children=list(parts), sizing_mode="stretch_width")


def row(*parts: UIElement) -> Row:
    """Return parts next to each other, as wide as the page."""
    return Row(children=list(parts), sizing_mode="stretch_width")


def wrapped(*parts: UIElement) -> Row:
    """Return parts next to each other, in several lines where the page is narrow."""
    style = Styles(display="flex", flex_wrap="wrap", gap="0.5rem")
    return Row(children=list(parts), styles=style)


def grid(parts: Iterable[UIElement], *, least: str = "26rem") -> Column:
    """Return parts next to each other while there is room, in several lines where there is not.

    Args:
        parts: in their order.
        least: smallest width of one, a CSS length.
    """
    style = Styles(
        display="grid", gap="1.25rem", align_items="end",
        grid_template_columns=f"repeat(auto-fit, minmax(min(100%, {least}), 1fr))",
    )  # fmt: skip
    return Column(children=list(parts), styles=style, sizing_mode="stretch_width")
