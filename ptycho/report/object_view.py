"""The object of a run and what is known of its quality, as pictures on common axes.

Way of the data: ... -> object -> metrics -> [report]. Bokeh models only.
"""

from collections.abc import Mapping

import numpy as np
from bokeh.models import (
    ColorBar,
    ColumnDataSource,
    HoverTool,
    LinearColorMapper,
    RangeSlider,
)
from bokeh.models.plots import Plot
from bokeh.plotting import figure
from jaxtyping import Complex, Float

from ptycho.metrics import flatten_phase, well_covered
from ptycho.report.opening import control_style
from ptycho.report.pictures import PALETTES, Linked, PictureView, dotted, picture_view, probe_view

_MOST_MODES = 4


def has_object(arrays: Mapping[str, np.ndarray]) -> bool:
    """Return whether arrays of a run hold an object that can be drawn."""
    return {"object", "coverage", "origin"} <= set(arrays)


def corners_of(arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Return first and last (row, col) where an object is known; nothing where there is none."""
    if not has_object(arrays):
        return []
    known = np.argwhere(np.asarray(arrays["coverage"]) > 0) + arrays["origin"]
    return [known.min(axis=0), known.max(axis=0)] if len(known) else []


def object_views(
    linked: Linked, arrays: Mapping[str, np.ndarray], *, most: int = 1024
) -> dict[str, PictureView]:
    """Return amplitude, phase and, where there are any, their uncertainties, by name.

    Args:
        linked: the axes they share.
        arrays: of `reconstruction.npz`: `object`, `coverage`, `origin`; `amplitude_std` and
            `phase_std` if they are known.
        most: pixels per side above which a picture is averaged; half for uncertainties.
    """
    obj = np.asarray(arrays["object"])
    known = well_covered(np.asarray(arrays["coverage"]))
    row, col = (round(float(first)) for first in arrays["origin"])
    flat, _ = flatten_phase(obj, known)
    place = {"linked": linked, "known": known, "origin": (row, col)}
    views = {
        "amplitude": picture_view(
            values=np.abs(obj), title="Amplitude", unit="transmission", palette="grey",
            most=most, **place,
        ),
        "phase": picture_view(
            values=np.angle(flat), title="Phase", unit="rad", palette="viridis", most=most, **place
        ),
    }  # fmt: skip
    for name, unit in (("amplitude", "transmission"), ("phase", "rad")):
        spread = arrays.get(f"{name}_std")
        if spread is not None and spread.shape == obj.shape:
            views[f"{name}_std"] = picture_view(
                values=np.asarray(spread), title=f"Uncertainty of the {name}", unit=unit,
                palette="magma", most=most // 2, **place | {"known": known & np.isfinite(spread)},
            )  # fmt: skip
    return views


def residual_view(
    linked: Linked, arrays: Mapping[str, np.ndarray]
) -> tuple[Plot, RangeSlider] | None:
    """Return the detector-space residual of each position on the map of the scan; None without.

    Args:
        linked: the axes shared with the object.
        arrays: of `reconstruction.npz`: `positions` (row, col), `frame_residuals`, `frames`.
    """
    if not {"positions", "frame_residuals", "frames"} <= set(arrays):
        return None
    residuals = np.asarray(arrays["frame_residuals"], np.float32)
    known = np.isfinite(residuals)
    if not known.any():
        return None
    positions: Float[np.ndarray, "position 2"] = np.asarray(arrays["positions"])[known]
    shares = 100 * residuals[known]
    low, high = (float(v) for v in np.percentile(shares, (1, 99)))
    high = high if high > low else low + 1e-6
    source = ColumnDataSource({
        "x": positions[:, 1].astype(np.float32), "y": positions[:, 0].astype(np.float32),
        "residual": shares, "frame": np.asarray(arrays["frames"])[known].astype(np.int32),
    })  # fmt: skip
    plot: figure = linked.new_map("Residual of each frame")
    mapper = LinearColorMapper(palette=PALETTES["cividis"], low=low, high=high)
    dotted(plot, source, "residual", mapper)
    plot.add_tools(HoverTool(
        renderers=plot.renderers, tooltips=[("frame", "@frame"), ("residual (%)", "@residual")]
    ))  # fmt: skip
    plot.add_layout(ColorBar(color_mapper=mapper, title="% of power", width=12, margin=4), "right")
    top = max(float(shares.max()), high)
    limits = RangeSlider(
        title="Range of the residual (% of the power)", start=0, end=top, value=(low, high),
        step=top / 200, format="0[.]000", sizing_mode="stretch_width",
        stylesheets=[control_style()],
    )  # fmt: skip
    limits.js_link("value", mapper, "low", attr_selector=0)
    limits.js_link("value", mapper, "high", attr_selector=1)
    return plot, limits


def probe_views(
    probe: Complex[np.ndarray, "mode row col"],
) -> list[tuple[Plot, ColumnDataSource]]:
    """Return amplitude and phase of up to 4 modes of a probe, strongest share in the titles."""
    linked = Linked((-0.5, -0.5), (probe.shape[1] - 0.5, probe.shape[2] - 0.5))
    power = np.square(np.abs(probe)).sum(axis=(1, 2))
    shares = power / (power.sum() or 1.0)
    views = []
    for number, (mode, share) in enumerate(zip(probe, shares, strict=True)):
        if number == _MOST_MODES:
            break
        name = f"Probe, mode {number + 1}: {100 * share:.3g} % of the light"
        views.append(probe_view(mode, name, phase=False, linked=linked))
        views.append(probe_view(mode, f"Its phase, mode {number + 1}", phase=True, linked=linked))
    return views
