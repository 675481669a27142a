"""The numbers of a run as a document for programs and as a table for people.

Way of the data: ... -> object -> metrics -> [report].
"""

import math
from collections.abc import Mapping
from typing import Any

from ptycho.durations import duration
from ptycho.io.atomic import plain
from ptycho.metrics import MS_SSIM_LEAST_SIDE, Comparison
from ptycho.runs.folder import RunFolder

_FORMAT_VERSION = 1


def metrics_document(
    comparison: Comparison | None = None,
    *,
    detector_residual: float | None = None,
    pixel_size_m: float | None = None,
    truth: str | None = None,
) -> dict[str, Any]:
    """Return all numbers of a reconstruction in a shape that JSON can hold.

    Args:
        comparison: with the truth, where there is one.
        detector_residual: sum (sqrt I - sqrt n)^2 / sum n over the frames, where it is known.
        pixel_size_m: object pixel, for resolutions in metres.
        truth: name of what served as the truth.

    Returns:
        `detector_residual`; `object`, the numbers against the truth; `frc`, the curve. What is not
        known or has no meaning is None, never NaN.
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


def numbers_of(run: RunFolder) -> list[tuple[str, str]]:
    """Return the numbers that a run has reached as rows (name, value with its unit)."""
    training = (run.model or {}).get("training") or {}
    metrics = run.metrics or {}
    return (
        _training_table(training)
        + metrics_table(metrics)
        + uncertainty_table(metrics.get("uncertainty"))
    )


def _training_table(training: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    if "n_groups" in training:
        rows.append(("samples learned from", f"{training['n_groups']:,}"))
    if "epochs" in training:
        rows.append(("epochs", f"{training['epochs']}"))
    if "best_loss" in training:
        floor = training.get("noise_floor")
        floor = "" if floor is None else f"; counting noise alone would leave {floor:.4g}"
        name = f"best {training.get('monitored', 'loss')}"
        rows.append((name, f"{training['best_loss']:.4g}{floor}"))
    if "steps" in training:
        rows.append(("steps", f"{training['steps']:,}"))
    if "learned_error_db" in training:
        rows.append(
            (
                "mean square error",
                f"{training['learned_error_db']:.2f} dB; after the sweeps alone "
                f"{training['swept_error_db']:.2f} dB",
            )
        )
    if "seconds" in training:
        rows.append(("time of learning", duration(training["seconds"])))
    return rows


def metrics_table(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the numbers of a document as rows (name, value with its unit and peak)."""
    rows = []
    if (residual := document.get("detector_residual")) is not None:
        rows.append(("detector residual", f"{100 * residual:.2f} % of the power"))
    if (deviance := document.get("poisson_deviance_per_pixel")) is not None:
        rows.append(("Poisson deviance", f"{deviance:.3g} per pixel of a frame"))
    if (numbers := document.get("object")) is None:
        return rows
    for name, unit in (("phase", "_rad"), ("amplitude", "")):
        peak = numbers[f"{name}_psnr_peak{unit}"]
        full_scale = f"{peak:.3g} {unit[1:]}".rstrip()
        missing = "-, the truth has no range" if peak == 0 else "-, no error or no window"
        for key, form in (("psnr_db", "{:.2f} dB, peak "), ("ssim", "{:.3f}, range ")):
            value = numbers[f"{name}_{key}"]
            text = missing if value is None else form.format(value) + full_scale
            rows.append((f"{name} {key.removesuffix('_db').upper()}", text))
        similarity = numbers.get(f"{name}_ms_ssim")
        text = (
            f"{similarity:.3f}, range {full_scale}"
            if similarity is not None
            else (f"-, needs a known square of {MS_SSIM_LEAST_SIDE} px and a range")
        )
        rows.append((f"{name} MS-SSIM", text))
    for name, label in _CROSSINGS.items():
        if (crossing := numbers.get(f"frc_{name}_cycles_per_px")) is None:
            continue
        text = f"ring {numbers[f'frc_{name}_ring']:.1f} of {numbers['frc_rings']}, "
        text += f"{crossing:.3f} cycles/px"
        rows.append((label, text if crossing < 0.5 else text + ", never below"))
        if (period := numbers.get(f"frc_{name}_full_period_m")) is not None:
            rows.append((f"{label}, period", with_unit(period)))
    removed = [numbers[f"removed_{key}"] for key in _REMOVED]
    rows.append(("removed shift", "({:.2f}, {:.2f}) px".format(*removed[:2])))
    rows.append(("removed ramp", "({:.4f}, {:.4f}) rad/px".format(*removed[2:4])))
    rows.append(("removed scale, phase", "{:.4g}, {:.2f} rad".format(*removed[4:])))
    if document.get("removed_turn", "none") != "none":
        rows.append(("removed turn", document["removed_turn"]))
    for name, value in (document.get("legacy") or {}).items():
        rows.append((name.replace("_", " "), "-" if value is None else f"{value:.4g}"))
    return rows


def uncertainty_table(found: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Return the uncertainty as rows (name, value with its unit); none where it was not asked.

    Args:
        found: that part of the document.
    """
    if found is None:
        return []
    half = found["half_data"]
    rows = [
        ("phase uncertainty", f"{found['phase_std_rad']:.3g} rad (RMS over the object)"),
        ("amplitude uncertainty", f"{found['amplitude_std']:.3g} (RMS over the object)"),
        ("frames explained", f"{found['misfit_ratio']:.2f} times as badly as drawn again"),
        ("phase, by halves", f"{half['phase_std_rad']:.3g} rad"),
        ("amplitude, by halves", f"{half['amplitude_std']:.3g}"),
    ]
    for name, label in _CROSSINGS.items():
        value = f"{half[f'frc_{name}_share_of_nyquist']:.2f} of Nyquist"
        period = half.get(f"frc_{name}_full_period_m")
        value += "" if period is None or math.isnan(period) else f", period {with_unit(period)}"
        rows.append((f"half-data {label}", value))
    return rows


_CROSSINGS = {"05": "FRC = 0.5", "half_bit": "FRC = half-bit", "one_bit": "FRC = 1-bit"}

_REMOVED = (
    "shift_row_px",
    "shift_col_px",
    "ramp_row_rad_per_px",
    "ramp_col_rad_per_px",
    "scale",
    "phase_rad",
)


def with_unit(length_m: float) -> str:
    """Return a length with the unit that suits it, e.g. 2e-8 -> '20 nm'."""
    for unit, size in (("mm", 1e-3), ("µm", 1e-6), ("nm", 1e-9)):
        if length_m >= size:
            return f"{length_m / size:.3g} {unit}"
    return f"{length_m / 1e-12:.3g} pm"


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
