"""PSNR and SSIM inside a mask, with a peak that the caller states.

Data flow: patches -> object -> [metrics] -> report.
"""

import math

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage
from skimage import metrics as skimage_metrics

_SSIM_SIGMA = 1.5
_SSIM_RADIUS = 5
"""Radius of the Gaussian window, pixels: 3.5 sigma."""


def peak_signal_to_noise(error: Float[np.ndarray, "..."], peak: float) -> float:
    """Return 10 log10(peak^2 / mean(error^2)).

    Args:
        error: differences, any unit.
        peak: full scale, same unit.

    Returns:
        Decibels; infinite without error, NaN if the peak is 0.
    """
    power = float(np.mean(np.square(error, dtype=np.float64)))
    if peak == 0:
        return math.nan
    return math.inf if power == 0 else 10 * math.log10(peak**2 / power)


def structural_similarity(
    estimate: Float[np.ndarray, "row col"],
    truth: Float[np.ndarray, "row col"],
    mask: Bool[np.ndarray, "row col"],
    data_range: float,
) -> float:
    """Return the mean SSIM of the windows that lie entirely inside the mask.

    Args:
        estimate: the image.
        truth: the reference.
        mask: where both are known.
        data_range: full scale of the images, same unit; sets the constants of SSIM.

    Returns:
        1 for equal images; NaN if no window fits or the range is 0.

    Source:
        Wang et al., IEEE Trans. Image Process. 13, 600 (2004), Gaussian windows of sigma 1.5.
    """
    square = np.ones((2 * _SSIM_RADIUS + 1,) * 2, dtype=bool)
    inner = ndimage.binary_erosion(mask, square)
    if not inner.any() or data_range == 0:
        return math.nan
    _, similarity = skimage_metrics.structural_similarity(
        np.where(mask, truth, 0).astype(np.float64),
        np.where(mask, estimate, 0).astype(np.float64),
        data_range=data_range,
        gaussian_weights=True,
        sigma=_SSIM_SIGMA,
        use_sample_covariance=False,
        full=True,
    )
    return float(similarity[inner].mean())


MS_SSIM_LEAST_SIDE = 176
"""Pixels below which the five scales of MS-SSIM do not fit: 11-pixel windows on a sixteenth."""


def multiscale_similarity(
    estimate: Float[np.ndarray, "row col"],
    truth: Float[np.ndarray, "row col"],
    data_range: float,
) -> float:
    """Return the multi-scale SSIM, five scales with the weights of its authors.

    Args:
        estimate: the image, known everywhere.
        truth: the reference.
        data_range: full scale of the images, same unit.

    Returns:
        1 for equal images; NaN for a side below `MS_SSIM_LEAST_SIDE` or a range of 0.

    Source:
        Wang, Simoncelli & Bovik, Asilomar Conf. Signals Syst. Comput. 2, 1398 (2003).
    """
    if min(truth.shape) < MS_SSIM_LEAST_SIDE or data_range == 0:
        return math.nan
    import torch  # heavy, and needed here only
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    first, second = (
        torch.from_numpy(np.ascontiguousarray(image, dtype=np.float64))[None, None]
        for image in (estimate, truth)
    )
    return float(
        multiscale_structural_similarity_index_measure(first, second, data_range=data_range)
    )
