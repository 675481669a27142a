"""How far expected frames are from measured ones.

Way of the data: network + physics -> [loss] -> training.
Each is divided by the photons measured, so that ten times the dose gives the same gradient scale.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

DARK = 1e-6
"""Photons added to both sides under a root or logarithm, so that dark pixels keep a gradient."""


def amplitude_loss(
    expected: Float[Tensor, "*batch row col"], amplitude: Float[Tensor, "*batch row col"]
) -> Float[Tensor, ""]:
    """Return sum (sqrt I - sqrt n)^2 / sum n.

    The root makes Poisson noise uniform (variance 1/4), so plain squares are near the likelihood
    wherever more than a few photons fall on a pixel. Its noise floor is about pixels / (4 photons).

    Args:
        expected: I, photons per pixel from the forward model.
        amplitude: sqrt(n), measured.

    Source:
        Thibault & Guizar-Sicairos, New J. Phys. 14, 063004 (2012), section 2.
    """
    modelled = (expected + DARK).sqrt()
    return (modelled - amplitude).square().sum() / amplitude.square().sum().clamp_min(DARK)


def poisson_loss(
    expected: Float[Tensor, "*batch row col"], amplitude: Float[Tensor, "*batch row col"]
) -> Float[Tensor, ""]:
    """Return a quarter of the Poisson deviance per photon, (1/2) sum (I - n + n log(n / I)) / sum n.

    Its minimum is that of the Poisson likelihood; the quarter makes it equal `amplitude_loss` for
    small deviations, so one learning rate serves both.

    Args:
        expected: I, photons per pixel from the forward model.
        amplitude: sqrt(n), measured.

    Source:
        Thibault & Guizar-Sicairos, New J. Phys. 14, 063004 (2012), eq. 5.
    """
    counted = amplitude.square()
    modelled = expected + DARK
    deviance = modelled - counted + torch.xlogy(counted, (counted + DARK) / modelled)
    return 0.5 * deviance.sum() / counted.sum().clamp_min(DARK)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "amplitude": amplitude_loss,
    "poisson": poisson_loss,
}


def poisson_floor(mean_intensity: Float[Tensor, "*batch row col"]) -> float:
    """Return the amplitude loss that a perfect model would still have: counting noise alone.

        floor = sum g(I) / sum I,  g(I) = E[(sqrt n - sqrt I)^2] for n Poisson with mean I

    g is I for dark pixels and 1/4 for bright ones. The mean over many frames stands for each
    frame's own intensity; g is concave, so for frames that differ the figure is a little high.

    Args:
        mean_intensity: I, expected photons per pixel.

    Source:
        Definition; g from the Poisson distribution, exact up to I = 30.
    """
    mean = mean_intensity.double().flatten()
    low = mean.clamp(1e-12, 30.0)[:, None]
    n = torch.arange(100, dtype=torch.float64, device=mean.device)
    chance = torch.exp(n * low.log() - low - torch.lgamma(n + 1))
    exact = ((n.sqrt() - low.sqrt()).square() * chance).sum(dim=1)
    noise = torch.where(mean > 30.0, torch.full_like(mean, 0.25), exact)
    return float(noise.sum() / mean.sum().clamp_min(DARK))
