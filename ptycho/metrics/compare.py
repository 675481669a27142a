"""A reconstruction compared with the truth: cut to the common area, aligned, measured.

Data flow: patches -> object -> [metrics] -> report.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Complex, Float

from ptycho.metrics.align import Aligned, align
from ptycho.metrics.frc import RingCorrelation, fourier_ring_correlation, inner_rectangle
from ptycho.metrics.quality import (
    multiscale_similarity,
    peak_signal_to_noise,
    structural_similarity,
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A reconstruction aligned with a truth on their common area, and the numbers."""

    aligned: Aligned
    """The reconstruction on the common area, and the ambiguities removed from it."""

    truth: Complex[np.ndarray, "row col"]
    """The truth on the common area."""

    origin: tuple[int, int]
    """(row, col) of the first common pixel in scan coordinates, object pixels."""

    box: tuple[slice, slice]
    """A rectangle inside the mask that cannot be enlarged, on the common area."""

    rings: RingCorrelation
    """Fourier ring correlation inside that rectangle."""

    numbers: dict[str, float]
    """Name, with its unit -> value; NaN where a number is undefined."""


def compare(
    estimate: Complex[np.ndarray, "row col"],
    truth: Complex[np.ndarray, "height width"],
    mask: Bool[np.ndarray, "row col"],
    *,
    estimate_origin: tuple[float, float] = (0, 0),
    truth_origin: tuple[float, float] = (0, 0),
    truth_mask: Bool[np.ndarray, "height width"] | None = None,
) -> Comparison:
    """Compare a reconstruction with the truth after removing the ambiguities of the measurement.

    Phase errors are the angle of estimate x conj(truth), so phase wraps do not count.

    Args:
        estimate: the reconstruction.
        truth: the true object, of any size.
        mask: where the reconstruction is known.
        estimate_origin: (row, col) of the reconstruction's first pixel in scan coordinates.
        truth_origin: the same for the truth.
        truth_mask: where the truth is known; None: wherever it is finite.

    Returns:
        The aligned pair and the numbers.

    Raises:
        ValueError: If the two have no known pixel in common.
    """
    valid = np.isfinite(truth) if truth_mask is None else truth_mask & np.isfinite(truth)
    offset = tuple(round(float(e - t)) for e, t in zip(estimate_origin, truth_origin, strict=True))
    first = [max(0, -o) for o in offset]
    last = [min(e, t - o) for e, t, o in zip(mask.shape, truth.shape, offset, strict=True)]
    if any(f >= n for f, n in zip(first, last, strict=True)):
        raise ValueError(
            f"objects: {mask.shape} at {tuple(estimate_origin)} and {truth.shape} at "
            f"{tuple(truth_origin)}; expected a common area"
        )
    here = tuple(slice(f, n) for f, n in zip(first, last, strict=True))
    there = tuple(slice(f + o, n + o) for f, n, o in zip(first, last, offset, strict=True))
    common = mask[here] & valid[there] & np.isfinite(estimate[here])
    target = np.where(valid[there], truth[there], 0)
    aligned = align(np.where(common, estimate[here], 0), target, common)
    box = inner_rectangle(aligned.mask)
    rings = fourier_ring_correlation(aligned.obj[box], target[box])
    row, col = (round(float(o)) + f for o, f in zip(estimate_origin, first, strict=True))
    numbers = _picture_numbers(aligned, target, box) | _ring_numbers(rings) | _removed(aligned)
    return Comparison(aligned, target, (row, col), box, rings, numbers)


def detector_residual(
    measured_amplitude: Float[np.ndarray, "*frame row col"],
    model_amplitude: Float[np.ndarray, "*frame row col"],
) -> float:
    """Return sum (sqrt I - sqrt n)^2 / sum n: the unexplained share of the measured power.

    Args:
        measured_amplitude: sqrt(n), roots of the measured photons.
        model_amplitude: sqrt(I), roots of the modelled photons.

    Returns:
        0 for a perfect model; NaN if nothing was measured.
    """
    power = float(np.square(measured_amplitude, dtype=np.float64).sum())
    difference = np.subtract(model_amplitude, measured_amplitude, dtype=np.float64)
    return float(np.square(difference).sum()) / power if power > 0 else math.nan


def _picture_numbers(
    aligned: Aligned, truth: Complex[np.ndarray, "row col"], box: tuple[slice, slice]
) -> dict[str, float]:
    """Return PSNR, RMSE, SSIM and MS-SSIM of phase and amplitude inside the mask."""
    mask = aligned.mask
    # The truth's phase about its mean, the estimate's as truth plus error: both wrap at the same
    # pixels, and a wrap is no edge.
    truth_phase = np.angle(truth * np.conj(truth[mask].sum()))
    phase_error = np.angle(aligned.obj * truth.conj())
    phase_range = _range(truth_phase[mask])
    truth_amplitude, amplitude = np.abs(truth), np.abs(aligned.obj)
    amplitude_error = amplitude - truth_amplitude
    amplitude_range = _range(truth_amplitude[mask])
    return {
        "phase_psnr_db": peak_signal_to_noise(phase_error[mask], phase_range),
        "phase_psnr_peak_rad": phase_range,
        "phase_rmse_rad": _root_mean_square(phase_error[mask]),
        "phase_ssim": structural_similarity(
            truth_phase + phase_error, truth_phase, mask, phase_range
        ),
        "phase_ssim_range_rad": phase_range,
        "phase_ms_ssim": multiscale_similarity(
            (truth_phase + phase_error)[box], truth_phase[box], phase_range
        ),
        "amplitude_psnr_db": peak_signal_to_noise(amplitude_error[mask], amplitude_range),
        "amplitude_psnr_peak": amplitude_range,
        "amplitude_rmse": _root_mean_square(amplitude_error[mask]),
        "amplitude_ssim": structural_similarity(amplitude, truth_amplitude, mask, amplitude_range),
        "amplitude_ssim_range": amplitude_range,
        "amplitude_ms_ssim": multiscale_similarity(
            amplitude[box], truth_amplitude[box], amplitude_range
        ),
        "object_residual": aligned.residual,
        "compared_pixels": int(mask.sum()),
    }


def _ring_numbers(rings: RingCorrelation) -> dict[str, float]:
    """Return all crossings in cycles per pixel, as a share of Nyquist and as a ring number."""
    numbers: dict[str, float] = {"frc_rings": rings.n_rings}
    for name, threshold in rings.thresholds.items():
        crossing = rings.crossing(threshold)
        numbers |= {
            f"frc_{name}_cycles_per_px": crossing,
            f"frc_{name}_share_of_nyquist": 2 * crossing,
            f"frc_{name}_ring": 2 * crossing * rings.n_rings,
        }
    return numbers


def _removed(aligned: Aligned) -> dict[str, float]:
    """Return what the alignment removed."""
    return {
        "removed_phase_rad": aligned.phase,
        "removed_ramp_row_rad_per_px": aligned.ramp[0],
        "removed_ramp_col_rad_per_px": aligned.ramp[1],
        "removed_scale": aligned.scale,
        "removed_shift_row_px": aligned.shift[0],
        "removed_shift_col_px": aligned.shift[1],
    }


def _range(values: Float[np.ndarray, " pixel"]) -> float:
    """Return the largest minus the smallest value; 0 if they differ by rounding only."""
    spread = float(np.ptp(values))
    return spread if spread > 1e-5 * float(np.abs(values).max()) else 0.0


def _root_mean_square(error: Float[np.ndarray, " pixel"]) -> float:
    return float(np.sqrt(np.mean(np.square(error, dtype=np.float64))))
