"""Figures of values held in memory, for notebooks and interactive sessions.

Data flow: ... -> object -> [figure on the screen].
The only module that uses pyplot, and only to open a window.
"""

import base64
import io
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
from jaxtyping import Complex, Float
from matplotlib.figure import Figure

from ptycho.metrics import flatten_phase, well_covered
from ptycho.report.drawing import Picture, draw_picture, new_figure


def draw_object(
    figure: Figure,
    obj: Complex[np.ndarray, "row col"],
    coverage: Float[np.ndarray, "row col"],
    *,
    origin: tuple[int, int] = (0, 0),
    pixel_size_m: float | None = None,
) -> None:
    """Draw amplitude and phase of an object side by side.

    Args:
        figure: an empty figure.
        obj: complex transmission.
        coverage: illumination of each pixel; poorly covered pixels are grey.
        origin: (row, col) of its first pixel in scan coordinates.
        pixel_size_m: for the scale bars; None draws them in pixels.
    """
    mask = well_covered(coverage)
    flat, _ = flatten_phase(obj, mask)
    left, right = figure.subplots(1, 2)
    amplitude = Picture(
        values=np.abs(obj), mask=mask, title="Amplitude", unit="transmission", colors="gray",
        origin=origin, pixel_size_m=pixel_size_m,
    )  # fmt: skip
    phase = Picture(
        values=np.angle(flat), mask=mask, title="Phase, mean and ramp removed", unit="rad",
        colors="viridis", origin=origin, pixel_size_m=pixel_size_m,
    )  # fmt: skip
    draw_picture(figure, left, amplitude)
    draw_picture(figure, right, phase)


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


def image_tag(draw: Callable[[Figure], None], width: float, height: float) -> str:
    """Return a figure as an HTML image that needs no file.

    Args:
        draw: draws into an empty figure.
        width: inches.
        height: inches.
    """
    figure = new_figure(width, height)
    draw(figure)
    written = io.BytesIO()
    figure.savefig(written, dpi=80, format="png")
    text = base64.b64encode(written.getvalue()).decode("ascii")
    return f'<img alt="" src="data:image/png;base64,{text}">'
