"""The page that lists runs, opens and compares them, and follows those in progress.

Data flow: catalogue -> [table, panels -> document] -> browser. One `Viewer` for each open page.
"""

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from bokeh.document import Document
from bokeh.models import ColumnDataSource, InlineStyleSheet
from bokeh.models.ui import UIElement
from bokeh.models.widgets import (
    Button,
    DataTable,
    NumberFormatter,
    NumericInput,
    Select,
    StringFormatter,
    TableColumn,
    TextInput,
)

from ptycho.errors import PtychoError
from ptycho.report.opening import control_style, follow_colours
from ptycho.runs.files import PAGE_FILE, RESULTS
from ptycho.view.catalogue import Catalogue
from ptycho.view.layout import column, text, wrapped
from ptycho.view.pair import pair_panel
from ptycho.view.panels import RunPanel
from ptycho.view.table import METRICS, TEXTS, Filter, as_columns, rows_of

EVERY_MS = 2000
"""Milliseconds between two searches of the folder."""

_MOST_ROWS = 10  # visible at a time; the others scroll
NONE = "none"
ALL = "all kinds"
_WIDTHS = {"run": 220, "kind": 85, "state": 90, "verdict": 90, "written": 150, "network": 75,
           "gridsize": 70, "data": 150}  # fmt: skip


class Viewer:
    """One open page.

    Args:
        document: of the page.
        root: the folder whose runs are listed.
    """

    def __init__(self, document: Document, root: Path) -> None:
        self.catalogue = Catalogue(root)
        self.catalogue.refresh()
        self.opened: tuple[str, str] = ("", "")  # a run, and the one it is compared with
        self.panel: RunPanel | None = None
        self._drawn: list[tuple[str, object]] = []
        self._make_filters()
        self._make_table()
        self.title = text("")
        self.content = column()
        self.content.name = "content"
        filters = wrapped(self.words, self.kind, self.metric, self.least, self.most)
        comparison = wrapped(self.other, self.close)
        self.layout = column(filters, self.status, self.table, comparison, self.title, self.content)
        self._fill()
        document.title = f"Runs in {root.resolve().name}"
        document.template = _template()
        document.add_root(self.layout)
        document.js_on_event("document_ready", follow_colours([self.layout]))
        self.content.js_on_change("children", follow_colours([self.layout]))
        document.add_periodic_callback(self.look, EVERY_MS)

    def look(self) -> None:
        """Search the folder again, and show what has changed."""
        if self.catalogue.refresh():
            self._fill()
            self._show()

    def open(self, name: str, other: str = "") -> None:
        """Show a run of the list, or two of them side by side.

        Args:
            name: of the run; empty for none.
            other: name of the run to compare it with; empty for none.
        """
        self.opened = (name, other)
        self._offer()
        self._show()

    def _make_filters(self) -> None:
        style: list[Any] = [control_style()]
        kinds: list[str | None] = [ALL, *RESULTS]
        metrics: list[str | None] = list(METRICS)
        self.words = TextInput(title="Search", value="", stylesheets=style, width=170)
        self.kind = Select(title="Kind", value=ALL, options=kinds, stylesheets=style, width=170)
        self.metric = Select(
            title="Number", value=metrics[0], options=metrics, stylesheets=style, width=170
        )
        self.least, self.most = (
            NumericInput(title=title, mode="float", value=None, stylesheets=style, width=90)
            for title in ("at least", "at most")
        )
        for control in (self.words, self.kind, self.metric, self.least, self.most):
            control.on_change("value", lambda _attr, _old, _new: self._fill())
        self.status = text("")
        none: list[str | None] = [NONE]
        self.other = Select(
            title="Compare with", value=NONE, options=none, width=320,
            stylesheets=[control_style()], visible=False,
        )  # fmt: skip
        self.other.on_change("value", self._compare)
        self.close = Button(label="Close", width=100, stylesheets=[control_style()],
                            visible=False, align="end")  # fmt: skip
        self.close.on_click(lambda: self._choose([]))

    def _make_table(self) -> None:
        self.source = ColumnDataSource({name: [] for name in (*TEXTS, *METRICS)})
        texts = [
            TableColumn(field=name, title=name, width=_WIDTHS[name], formatter=StringFormatter())
            for name in TEXTS
        ]
        number = NumberFormatter(format="0.[0000]", nan_format="-", text_align="right")
        numbers = [
            TableColumn(field=name, title=name, width=9 * max(8, len(name)), formatter=number)
            for name in METRICS
        ]
        self.table = DataTable(
            source=self.source, columns=[*texts, *numbers], selectable=True, sortable=True,
            reorderable=False, index_position=None, autosize_mode="none",
            sizing_mode="stretch_width", stylesheets=[_table_style()],
        )  # fmt: skip
        self.source.selected.on_change("indices", self._selected)

    def _filter(self) -> Filter:
        return Filter(
            text=self.words.value, kind="" if self.kind.value == ALL else self.kind.value,
            metric=self.metric.value, least=self.least.value, most=self.most.value,
        )  # fmt: skip

    def _fill(self) -> None:
        """Fill the table again; the selection is kept."""
        entries = self.catalogue.entries
        rows = rows_of(entries.values(), self._filter())
        names = [row["run"] for row in rows]
        self.source.data = as_columns(rows)
        self.table.height = 60 + 25 * min(max(len(rows), 1), _MOST_ROWS)
        self._choose([names.index(name) for name in self.opened if name in names])
        where = html.escape(str(self.catalogue.root))
        status = (
            f"{len(rows)} of {len(entries)} runs in {where}. Click a row to open the run, Ctrl and "
            "click a second row to compare."
        )
        if not entries:
            status = f"No runs in {where}. New runs appear here automatically."
        self.status.text = f"<p class='caption'>{status}</p>"
        self._offer()

    def _choose(self, indices: list[int]) -> None:
        if list(self.source.selected.indices) != indices:
            self.source.selected.indices = indices

    def _selected(self, _attribute: str, _old: list[int], new: list[int]) -> None:
        names = [self.source.data["run"][number] for number in new[:2]]
        if names and names[0] in self.opened and len(names) == 1 and all(self.opened):
            names = [*names, *(name for name in self.opened if name not in names)]
        if set(names) != {name for name in self.opened if name}:
            self.open(*names) if names else self.open("")

    def _compare(self, _attribute: str, _old: str, new: str) -> None:
        other = "" if new == NONE else new
        if self.opened[0] and other != self.opened[1]:
            self.open(self.opened[0], other)
            self._fill()

    def _offer(self) -> None:
        """List the other runs for comparison."""
        first, second = self.opened
        shown = bool(first)
        self.other.update(
            options=[NONE, *(name for name in self.catalogue.entries if name != first)],
            value=second or NONE, visible=shown,
        )  # fmt: skip
        self.close.visible = shown

    def _show(self) -> None:
        """Draw the open runs if anything about them has changed."""
        first, second = self.opened
        entries = self.catalogue.entries
        drawn: list[tuple[str, object]] = [
            (name, entries[name].signature if name in entries else None)
            for name in self.opened
            if name
        ]
        if drawn == self._drawn:
            return
        same = [name for name, _ in drawn] == [name for name, _ in self._drawn]
        self._drawn = drawn
        if not first:
            self.panel, self.title.text, self.content.children = None, "", []
            return
        self.title.text = "".join(self._heading(name) for name in self.opened if name)
        try:
            self._draw(first, second, same)
        except (PtychoError, OSError, ValueError, LookupError, TypeError) as problem:
            # A damaged run, files that change while they are read, or those of another version.
            self.panel = None
            reason = html.escape(f"cannot be shown: {problem or type(problem).__name__}")
            self.content.children = [text(f"<p class='warning'>{reason}</p>")]

    def _heading(self, name: str) -> str:
        """Return the name of a run, with a link to its page if there is one."""
        page = self.catalogue.root / name / PAGE_FILE
        link = f' <a href="page/{quote(name)}" target="_blank" rel="noopener">report</a>'
        return f"<h2>{html.escape(name)}{link if page.is_file() else ''}</h2>"

    def _draw(self, first: str, second: str, same: bool) -> None:
        run = self.catalogue.open(first)
        if second:
            self.panel = None
            children: list[UIElement] = [pair_panel(run, self.catalogue.open(second))]
        elif same and self.panel is not None:
            self.panel.update(run)
            return
        else:
            self.panel = RunPanel(run)
            children = [self.panel.root]
        self.content.children = children


def application(root: Path) -> Callable[[Document], None]:
    """Return the function that fills a new document with the runs of a folder."""

    def fill(document: Document) -> None:
        Viewer(document, root)

    return fill


def page_finder(root: Path) -> Callable[[str], Path | None]:
    """Return the function that finds the page of a run of the list; None for any other name."""
    catalogue = Catalogue(root)

    def find(name: str) -> Path | None:
        catalogue.refresh()
        page = catalogue.root / name / PAGE_FILE
        ours = name in catalogue.entries and page.is_file() and not page.is_symlink()
        return page if ours else None

    return find


def _table_style() -> InlineStyleSheet:
    """Return the colours of the page for the table, which has its own."""
    return InlineStyleSheet(
        css="""
:host { font: inherit; border: 1px solid var(--rule); }
.slick-header-column, .slick-header-columns, .slick-viewport, .slick-row, .slick-cell {
  background: var(--ground); color: var(--ink); font-size: 0.9rem;
}
.slick-header-column { font-weight: 600; }
.slick-row.odd .slick-cell { background: var(--raised); }
.slick-cell.selected, .slick-row .slick-cell.selected, .slick-row.active .slick-cell.selected {
  background: var(--accent); color: var(--ground);
}
.slick-cell { border-color: var(--rule); cursor: pointer; }
.slick-cell.active { outline: 2px solid var(--accent); outline-offset: -2px; }
"""
    )


def _template() -> jinja2.Template:
    """Return the template of the page, in the style of the page of a run."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader("ptycho.view"), jinja2.PackageLoader("ptycho.report")]
        ),
        autoescape=False,  # Bokeh's parts are HTML; the template escapes the title
    )
    return environment.get_template("view.html.jinja")
