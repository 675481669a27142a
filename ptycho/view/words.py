"""Words and tables of the viewer, in the style of the page of a run."""

import html
from collections.abc import Iterable, Sequence
from typing import Any

from bokeh.models import Div, InlineStyleSheet

from ptycho.report.side_by_side import word


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
    return Div(text=words, stylesheets=[InlineStyleSheet(css=style)], sizing_mode="stretch_width")


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
