"""The metrics of a reconstruction: a JSON document, and a table of name and value with its unit.

Data flow: ... -> object -> metrics -> [numbers] -> metrics.json, log, figures, page.
"""

import math
from collections.abc import Mapping
from typing import Any

from ptycho.io.atomic import plain
from ptycho.metrics import MS_SSIM_LEAST_SIDE, Comparison

Rows = list[tuple[str, str]]
"""Name and value of each number."""

_FORMAT_VERSION = 1
_CROSSINGS = {"05": "FRC = 0.5", "half_bit": "FRC = half-bit", "one_bit": "FRC = 1-bit"}
_REMOVED = (
    "shift_row_px",
    "shift_col_px",
    "ramp_row_rad_per_px",
    "ramp_col_rad_per_px",
    "scale",
    "phase_rad",
)


def metrics_document(
    comparison: Comparison | None = None,
    *,
    detector_residual: float | None = None,
    pixel_size_m: float | None = None,
    truth: str | None = None,
) -> dict[str, Any]:
    """Return all metrics of a reconstruction in a form that JSON can hold.

    Args:
        comparison: with the ground truth, if there is one.
        detector_residual: sum (sqrt I - sqrt n)^2 / sum n over the frames, if known.
        pixel_size_m: object pixel, for resolutions in metres.
        truth: name of the ground truth.

    Returns:
        `detector_residual`; `object`, the metrics against the ground truth; `frc`, the curve. What
        is unknown or undefined is None, never NaN.
    """
    document: dict[str, Any] = {
        "format_version": _FORMAT_VERSION,
        "truth": truth,
        "pixel_size_m": pixel_size_m,
        "detector_residual": detector_residual,
        "object": None,
        "frc": None,
    }
    if comparison is not None:
        document["object"] = comparison.numbers | _periods(comparison.numbers, pixel_size_m)
        document["frc"] = {
            "frequency_cycles_per_px": comparison.rings.frequency.tolist(),
            "correlation": comparison.rings.correlation.tolist(),
            "half_bit": comparison.rings.half_bit.tolist(),
            "one_bit": comparison.rings.one_bit.tolist(),
        }
    return dict(plain(document))


def uncertainty_of(metrics: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the part of `metrics.json` about the uncertainty; older runs call it trust."""
    found: Mapping[str, Any] | None = metrics.get("uncertainty") or metrics.get("trust")
    return found


def metrics_table(document: Mapping[str, Any]) -> Rows:
    """Return the numbers of a document as rows of name and value, with units and peaks.

    Args:
        document: as `metrics_document` returns it.
    """
    rows = []
    if (residual := document.get("detector_residual")) is not None:
        rows.append(("detector residual", f"{100 * residual:.2f} % of the power"))
    if (deviance := document.get("poisson_deviance_per_pixel")) is not None:
        rows.append(("Poisson deviance", f"{deviance:.3g} per pixel of a frame"))
    if (light := document.get("unexplained_light")) is not None:
        rows += _unexplained_rows(light)
    if (numbers := document.get("object")) is None:
        return rows
    rows += [*_similarity_rows(numbers, "phase", "_rad"), *_similarity_rows(numbers, "amplitude")]
    rows += _crossing_rows(numbers)
    removed = [numbers[f"removed_{key}"] for key in _REMOVED]
    rows.append(("shift removed", "({:.2f}, {:.2f}) px".format(*removed[:2])))
    rows.append(("ramp removed", "({:.4f}, {:.4f}) rad/px".format(*removed[2:4])))
    rows.append(("scale, phase removed", "{:.4g}, {:.2f} rad".format(*removed[4:])))
    if document.get("removed_turn", "none") != "none":
        rows.append(("twin compared", document["removed_turn"]))
    for name, value in (document.get("legacy") or {}).items():
        rows.append((name.replace("_", " "), "-" if value is None else f"{value:.4g}"))
    return rows


def _unexplained_rows(light: Mapping[str, Any]) -> Rows:
    """Return the share of the intensity beyond counting noise that the object does not explain."""
    parts = {
        "network": "network alone", "object": "final object",
        "variation": "of the variation from frame to frame",
    }  # fmt: skip
    known = [f"{100 * light[key]:.3g} % ({name})" for key, name in parts.items()
             if light.get(key) is not None]  # fmt: skip
    return [("unexplained intensity", ", ".join(known))] if known else []


def _similarity_rows(numbers: Mapping[str, Any], name: str, unit: str = "") -> Rows:
    peak = numbers[f"{name}_psnr_peak{unit}"]
    full_scale = f"{peak:.3g} {unit[1:]}".rstrip()
    missing = "-, the ground truth has no range" if peak == 0 else "-, no error or no window"
    rows = []
    for key, form in (("psnr_db", "{:.2f} dB, peak "), ("ssim", "{:.3f}, range ")):
        value = numbers[f"{name}_{key}"]
        text = missing if value is None else form.format(value) + full_scale
        rows.append((f"{name} {key.removesuffix('_db').upper()}", text))
    similarity = numbers.get(f"{name}_ms_ssim")
    text = f"-, needs a known square of {MS_SSIM_LEAST_SIDE} px and a range"
    if similarity is not None:
        text = f"{similarity:.3f}, range {full_scale}"
    return [*rows, (f"{name} MS-SSIM", text)]


def _crossing_rows(numbers: Mapping[str, Any]) -> Rows:
    rows = []
    for name, label in _CROSSINGS.items():
        if (crossing := numbers.get(f"frc_{name}_cycles_per_px")) is None:
            continue
        text = f"ring {numbers[f'frc_{name}_ring']:.1f} of {numbers['frc_rings']}, "
        text += f"{crossing:.3f} cycles/px"
        rows.append((label, text if crossing < 0.5 else text + ", never below"))
        if (period := numbers.get(f"frc_{name}_full_period_m")) is not None:
            rows.append((f"{label}, period", with_unit(period)))
    return rows


def uncertainty_table(uncertainty: Mapping[str, Any] | None) -> Rows:
    """Return the uncertainty as rows of name and value; none where it was not estimated.

    Args:
        uncertainty: that part of the document.
    """
    if uncertainty is None:
        return []
    half = uncertainty["half_data"]
    rows = [
        ("phase uncertainty", f"{uncertainty['phase_std_rad']:.3g} rad (RMS over the object)"),
        ("amplitude uncertainty", f"{uncertainty['amplitude_std']:.3g} (RMS over the object)"),
        ("residual, measured / sampled", f"{uncertainty['misfit_ratio']:.2f}"),
        ("phase, half-data", f"{half['phase_std_rad']:.3g} rad"),
        ("amplitude, half-data", f"{half['amplitude_std']:.3g}"),
    ]
    return rows + [
        (f"half-data {label}", resolution(half, name)) for name, label in _CROSSINGS.items()
    ]


def with_unit(length_m: float) -> str:
    """Return a length with the unit that suits it, e.g. 2e-8 -> '20 nm'."""
    for unit, size in (("mm", 1e-3), ("µm", 1e-6), ("nm", 1e-9)):
        if length_m >= size:
            return f"{length_m / size:.3g} {unit}"
    return f"{length_m / 1e-12:.3g} pm"


def resolution(numbers: Mapping[str, Any], name: str) -> str:
    """Return where a correlation crosses a level, as share of Nyquist and as a full period.

    Args:
        numbers: of `metrics.json`, with `frc_` entries.
        name: of the level: "05", "half_bit" or "one_bit".

    Returns:
        An empty text if it is unknown.
    """
    share = numbers.get(f"frc_{name}_share_of_nyquist")
    if share is None:
        return ""
    period = numbers.get(f"frc_{name}_full_period_m")
    length = "" if period is None or math.isnan(period) else f", period {with_unit(period)}"
    return f"{share:.2f} of Nyquist{length}"


def _periods(numbers: Mapping[str, float], pixel_size_m: float | None) -> dict[str, float]:
    """Return the crossings as full periods in metres, where the pixel size is known."""
    if pixel_size_m is None:
        return {}
    names = [name for name in numbers if name.endswith("_cycles_per_px")]
    return {
        name.replace("_cycles_per_px", "_full_period_m"): pixel_size_m / numbers[name]
        if numbers[name] > 0
        else math.nan
        for name in names
    }
