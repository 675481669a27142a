"""Metrics as published with PtychoPINN, for comparison with its tables only.

Data flow: patches -> object -> [metrics] -> report.
Their peak is 255 for any object and their resolution a ring number that grows with the image size,
so they are not comparable between objects or sizes. The standard ones are in `ptycho.metrics`.
"""

import math

import numpy as np
from jaxtyping import Complex, Float
from scipy import ndimage
from skimage import metrics as skimage_metrics

_PEAK = 255.0
_SMOOTHING = 2.0  # rings; Gaussian along the ring correlation
_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_LEAST_SIDE = 7  # of the window of SSIM


def legacy_numbers(
    estimate: Complex[np.ndarray, "row col"], truth: Complex[np.ndarray, "row col"]
) -> dict[str, float]:
    """Return mean errors, PSNR, SSIM product and FRC ring number of amplitude and phase.

    The amplitude is scaled to the mean of the truth, and the phase has its least-squares plane
    subtracted; nothing else is aligned.

    Args:
        estimate: the reconstruction, known everywhere.
        truth: the true object on the same pixels.

    Source:
        Hoidn et al., Sci. Rep. 13, 22789 (2023), and the evaluation of the public package.
    """
    amplitude, wanted = np.abs(estimate), np.abs(truth)
    pairs = {
        "amplitude": (amplitude * (wanted.mean() / amplitude.mean()), wanted),
        "phase": (_without_plane(np.angle(estimate)), _without_plane(np.angle(truth))),
    }
    numbers: dict[str, float] = {}
    for name, (found, target) in pairs.items():
        error = found - target
        power = float(np.mean(error**2))
        numbers |= {
            f"legacy_{name}_mae": float(np.abs(error).mean()),
            f"legacy_{name}_mse": power,
            f"legacy_{name}_psnr_255_db": 10 * math.log10(_PEAK**2 / power) if power else math.inf,
            f"legacy_{name}_ms_ssim_product": ssim_product(found, target),
            f"legacy_{name}_frc50_ring": float(frc50_ring(found, target)),
        }
    return numbers


def ssim_product(
    estimate: Float[np.ndarray, "row col"], truth: Float[np.ndarray, "row col"]
) -> float:
    """Return the product of SSIM^weight over five scales, each image stretched to 0 to 1.

    The standard MS-SSIM uses the luminance at the coarsest scale only; this one uses the complete
    SSIM at each.

    Args:
        estimate: the image.
        truth: the reference.

    Returns:
        NaN if five scales do not fit, or an image is constant.
    """
    pair = []
    for picture in (estimate, truth):
        if np.ptp(picture) == 0:
            return math.nan
        pair.append((picture - picture.min()) / np.ptp(picture))
    product = 1.0
    for weight in _WEIGHTS:
        if min(pair[0].shape) < _LEAST_SIDE:
            return math.nan
        similarity = skimage_metrics.structural_similarity(*pair, data_range=1.0)
        product *= max(similarity, 0.0) ** weight
        rows, cols = (side // 2 * 2 for side in pair[0].shape)
        pair = [
            each[:rows, :cols].reshape(rows // 2, 2, cols // 2, 2).mean(axis=(1, 3))
            for each in pair
        ]
    return float(product)


def frc50_ring(estimate: Float[np.ndarray, "row col"], truth: Float[np.ndarray, "row col"]) -> int:
    """Return the number of the first ring, one pixel wide, whose smoothed correlation is below 0.5.

    Args:
        estimate: the image.
        truth: the reference.

    Returns:
        side // 2 + 1 if none is.
    """
    side = min(estimate.shape)
    spectra = [np.fft.fft2(picture[:side, :side]) for picture in (estimate, truth)]
    along = np.fft.fftfreq(side) * side
    ring = np.floor(np.hypot(along[:, None], along) + 0.5).astype(int).ravel()
    n_rings = side // 2

    def ring_sum(values: np.ndarray) -> np.ndarray:
        return np.bincount(ring, values.ravel(), minlength=n_rings + 1)[: n_rings + 1]

    shared = ring_sum((spectra[0] * spectra[1].conj()).real)
    power = np.sqrt(ring_sum(np.abs(spectra[0]) ** 2) * ring_sum(np.abs(spectra[1]) ** 2))
    smooth = ndimage.gaussian_filter1d(shared / np.maximum(power, 1e-300), _SMOOTHING)
    below = np.flatnonzero(smooth < 0.5)
    return int(below[0]) if len(below) else n_rings + 1


def _without_plane(phase: Float[np.ndarray, "row col"]) -> Float[np.ndarray, "row col"]:
    """Return a phase minus its least-squares plane, without unwrapping."""
    rows, cols = np.indices(phase.shape)
    plane = np.column_stack([rows.ravel(), cols.ravel(), np.ones(phase.size)])
    fitted, *_ = np.linalg.lstsq(plane, phase.ravel(), rcond=None)
    return phase - (plane @ fitted).reshape(phase.shape)
