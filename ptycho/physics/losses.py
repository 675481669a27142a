"""How far expected frames are from measured ones.

Way of the data: network + physics -> [loss] -> training.
Each is divided by the photons measured, so that ten times the dose gives the same gradient scale.
"""

import functools
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

DARK = 1e-6
"""Photons added to both sides under a root or logarithm, so that dark pixels keep a gradient."""


def _amplitude_distance(expected: Tensor, counted: Tensor) -> Tensor:
    return ((expected + DARK).sqrt() - counted.sqrt()).square()


def _poisson_distance(expected: Tensor, counted: Tensor) -> Tensor:
    modelled = expected + DARK
    deviance = modelled - counted + torch.xlogy(counted, (counted + DARK) / modelled)
    return 0.5 * deviance


_DISTANCES = {"amplitude": _amplitude_distance, "poisson": _poisson_distance}


def _per_photon(distance, expected: Tensor, amplitude: Tensor, mask: Tensor | None) -> Tensor:
    counted = amplitude.square()
    apart = distance(expected, counted)
    if mask is not None:
        nothing = torch.zeros((), dtype=apart.dtype, device=apart.device)
        apart, counted = (torch.where(mask, values, nothing) for values in (apart, counted))
    return apart.sum() / counted.sum().clamp_min(DARK)


def amplitude_loss(
    expected: Float[Tensor, "*batch row col"],
    amplitude: Float[Tensor, "*batch row col"],
    mask: Bool[Tensor, "row col"] | None = None,
) -> Float[Tensor, ""]:
    """Return sum (sqrt I - sqrt n)^2 / sum n.

    The root makes Poisson noise uniform (variance 1/4), so plain squares are near the likelihood
    wherever more than a few photons fall on a pixel. Its noise floor is about pixels / (4 photons).

    Args:
        expected: I, photons per pixel from the forward model.
        amplitude: sqrt(n), measured.
        mask: True on good pixels, the only ones that count; None when all are.

    Source:
        Thibault & Guizar-Sicairos, New J. Phys. 14, 063004 (2012), section 2.
    """
    return _per_photon(_amplitude_distance, expected, amplitude, mask)


def poisson_loss(
    expected: Float[Tensor, "*batch row col"],
    amplitude: Float[Tensor, "*batch row col"],
    mask: Bool[Tensor, "row col"] | None = None,
) -> Float[Tensor, ""]:
    """Return sum (I - n + n log(n / I)) / (2 sum n): a quarter of the Poisson deviance per photon.

    Its minimum is that of the Poisson likelihood; the quarter makes it equal `amplitude_loss` for
    small deviations, so one learning rate serves both.

    Args:
        expected: I, photons per pixel from the forward model.
        amplitude: sqrt(n), measured.
        mask: True on good pixels, the only ones that count; None when all are.

    Source:
        Thibault & Guizar-Sicairos, New J. Phys. 14, 063004 (2012), eq. 5.
    """
    return _per_photon(_poisson_distance, expected, amplitude, mask)


LOSSES: dict[str, Callable[..., Tensor]] = {
    "amplitude": amplitude_loss,
    "poisson": poisson_loss,
}


def poisson_floor(
    expected: Float[Tensor, "*batch row col"],
    loss: str = "amplitude",
    mask: Bool[Tensor, "row col"] | None = None,
) -> float:
    """Return the loss that counting noise alone would leave if the model were right.

        floor = sum g(I) / sum I,  g(I) = E[distance(I, n)] for n Poisson with mean I

    For the amplitude loss g tends to 2 I on dark pixels; for both it tends to 1/4 on bright ones. A
    loss well above this floor has a cause other than noise.

    Args:
        expected: I, photons per pixel from the forward model.
        loss: name in `LOSSES`.
        mask: True on good pixels, the only ones that count; None when all are.

    Source:
        Definition; the mean is summed over the Poisson distribution up to I = 30, and read from a
        table of such sums.
    """
    mean = (expected if mask is None else expected[..., mask]).flatten().double()
    table = _noise_table(loss).to(mean.device)
    place = mean.clamp(max=_BRIGHT).sqrt() * (_TABLE_STEPS / _BRIGHT**0.5)
    below = place.long().clamp(max=_TABLE_STEPS - 1)
    exact = torch.lerp(table[below], table[below + 1], place - below)
    noise = torch.where(mean > _BRIGHT, 0.25, exact)
    return float(noise.sum() / mean.sum().clamp_min(DARK))


_BRIGHT = 30.0
_TABLE_STEPS = 60_000  # equal in sqrt I, where g is smooth: off by 1e-8 between entries


@functools.cache
def _noise_table(loss: str) -> Float[Tensor, " entry"]:
    """Return g of means from 0 to `_BRIGHT` photons whose roots are equally spaced."""
    distance = _DISTANCES[loss]
    mean = torch.linspace(0, _BRIGHT**0.5, _TABLE_STEPS + 1, dtype=torch.float64).square()
    chance = torch.exp(-mean)
    noise = chance * distance(mean, torch.zeros_like(mean))
    for n in range(1, 100):
        chance = chance * mean / n
        noise += chance * distance(mean, torch.full_like(mean, n))
    return noise
