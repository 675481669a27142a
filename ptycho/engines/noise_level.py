"""How much noisier than Poisson counts the frames of a scan are.

Data flow: frames of a dense part -> [noise factor] -> cross check.
Detectors that spread one electron over several counts, or that drop some, scatter more than
counting does; a misfit of that size is no fault of the object.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ptycho.physics.losses import amplitude_loss

_DENSE = 0.15
"""Distance of nearest positions, relative to the probe's diameter, up to which their frames are
nearly the same."""
_MOST = 4.0


def noise_factor(
    amplitude: Float[Tensor, "frame row col"],
    positions: Float[Tensor, "frame 2"],
    diameter: float,
    good: Bool[Tensor, "row col"] | None = None,
) -> float:
    """Return the variance of the counts relative to their mean; 1 to 4.

    Half the squared difference of neighbouring frames, neighbours by position or in time, is noise
    and what little the frames themselves differ. 1, for Poisson counts, if neighbours are too far
    apart for that.

    Args:
        amplitude: sqrt(photons) per detector pixel.
        positions: of these frames, object pixels.
        diameter: of the probe, object pixels.
        good: True on valid pixels; None if all are.
    """
    if len(positions) < 3:
        return 1.0
    apart = torch.cdist(positions, positions)
    apart.fill_diagonal_(torch.inf)
    distance, nearest = apart.min(dim=1)
    if float(distance.median()) > _DENSE * diameter:
        return 1.0
    changes = (amplitude - amplitude[nearest], amplitude[1:] - amplitude[:-1])
    half = min(float(_over(change.square().mean(dim=0), good)) for change in changes) / 2
    mean = amplitude.square().mean(dim=0, keepdim=True)
    used = _over(mean[0], good)
    counting = amplitude_loss.noise_floor(mean, good) * float(used)
    return min(max(half / counting, 1.0), _MOST) if counting > 0 else 1.0


def _over(values: Float[Tensor, "row col"], good: Bool[Tensor, "row col"] | None) -> Tensor:
    return values.sum() if good is None else (values * good).sum()
