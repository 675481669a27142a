"""How values are printed: rows of name and value, as text and as HTML."""

import html
from collections.abc import Sequence

Rows = Sequence[tuple[str, str]]
"""Names and values, one pair per line."""


def as_text(title: str, rows: Rows) -> str:
    """Return rows below a title, names and values in two columns."""
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join([title, *(f"  {name:<{width}}  {value}" for name, value in rows)])


def as_html(title: str, rows: Rows) -> str:
    """Return the same as an HTML table."""
    lines = [
        f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
        f"<td style='text-align:left'>{html.escape(value)}</td></tr>"
        for name, value in rows
    ]
    return f"<table><caption>{html.escape(title)}</caption>{''.join(lines)}</table>"
