"""What the values returned by the functions have in common: a table, a figure, a preview.

Values in memory. Nothing is written until `save` is called; `show` opens a figure.
"""

import abc
from typing import ClassVar

from ptycho.api.tables import Rows, as_html, as_text
from ptycho.report.notebook import Figure, figure_png, image_tag, open_figure


class Shown(abc.ABC):
    """A value that prints as a table: a title, then rows of name and value."""

    figure_size: ClassVar[tuple[float, float]] = (10.0, 4.5)
    """Width and height of its figure, inches."""

    @abc.abstractmethod
    def title(self) -> str:
        """Return what the value is, in one line."""

    @abc.abstractmethod
    def rows(self) -> Rows:
        """Return its numbers as pairs of name and value."""

    @abc.abstractmethod
    def draw(self, figure: Figure) -> None:
        """Draw the value into an empty figure."""

    def show(self) -> Figure:
        """Open a figure in a window or notebook, if there is one; return it."""
        return open_figure(self.draw, *self.figure_size)

    def preview(self) -> bytes:
        """Return its figure as PNG, for a notebook."""
        return figure_png(self.draw, *self.figure_size)

    def __repr__(self) -> str:
        """Return the table as text."""
        return as_text(self.title(), self.rows())

    def _repr_html_(self) -> str:
        """Return table and figure for a notebook."""
        return as_html(self.title(), self.rows()) + image_tag(self.preview())
