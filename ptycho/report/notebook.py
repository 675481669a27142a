"""Figures of values held in memory, for notebooks and interactive sessions.

Data flow: value -> [figure on the screen, image in a notebook].
The only module that uses pyplot, and only to open a window.
"""

import base64
import io
from collections.abc import Callable

import matplotlib as mpl
from matplotlib.figure import Figure as Figure  # re-exported: values draw themselves into one

from ptycho.report.drawing import new_figure

_DPI = 80


def open_figure(draw: Callable[[Figure], None], width: float, height: float) -> Figure:
    """Draw a figure and open it in a window or notebook, if there is one; return it.

    Args:
        draw: draws into an empty figure.
        width: inches.
        height: inches.
    """
    if mpl.get_backend().lower() == "agg":  # no screen
        figure = new_figure(width, height)
        draw(figure)
        return figure
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(width, height), layout="compressed")
    draw(figure)
    pyplot.show()
    return figure


def figure_png(draw: Callable[[Figure], None], width: float, height: float) -> bytes:
    """Return a figure as PNG.

    Args:
        draw: draws into an empty figure.
        width: inches.
        height: inches.
    """
    figure = new_figure(width, height)
    draw(figure)
    written = io.BytesIO()
    figure.savefig(written, dpi=_DPI, format="png")
    return written.getvalue()


def image_tag(png: bytes) -> str:
    """Return a PNG as an HTML image that needs no file."""
    text = base64.b64encode(png).decode("ascii")
    return f'<img alt="" src="data:image/png;base64,{text}">'
