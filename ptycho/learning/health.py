"""Checks of a training: what is wrong, found while it can still be stopped.

Data flow: network + physics -> [health] -> log of the training.
Each check returns a sentence, or None if it finds nothing.
"""

import torch
from torch import Tensor, nn

from ptycho.learning.model import Prediction
from ptycho.scan.dataset import GroupBatch

_POWER = 3.0  # ratio of photons beyond that of any sample
_EQUAL = 1e-3  # mean standard deviation below which patches are equal
_LOW, _HIGH = 0.01, 1.98  # amplitudes that no sample has; unet ends at 2
_STUCK = 0.2  # share of such amplitudes
_HARDLY = 0.03  # relative decrease of the loss that is hardly one


def power_ratio(prediction: Prediction, batch: GroupBatch) -> float:
    """Return photons predicted / photons measured, on good pixels."""
    measured = batch.amplitude.square().sum().clamp_min(1e-12)
    good = 1.0 if batch.mask is None else batch.mask
    return float((prediction.intensity.detach() * good).sum() / measured)


def patch_spread(prediction: Prediction, window: slice) -> float:
    """Return the standard deviation between patches, mean over their pixels; 0 for equal ones."""
    patches = prediction.patches.detach().flatten(0, 1)[..., window, window]
    return float(patches.std(dim=0, correction=0).abs().mean())


def check_power(prediction: Prediction, batch: GroupBatch) -> str | None:
    """Compare the photons of the model with the measured ones."""
    ratio = power_ratio(prediction, batch)
    if 1 / _POWER <= ratio <= _POWER:
        return None
    return (
        f"model predicts {ratio:.3g} x the measured photons per frame; "
        "the amplitudes diverge; lower --learning_rate"
    )


def check_collapse(prediction: Prediction, window: slice) -> str | None:
    """Look for a network whose output does not depend on the frame."""
    patches = prediction.patches.flatten(0, 1)[..., window, window]
    if len(patches) < 4 or float(patches.detach().std(dim=0).abs().mean()) > _EQUAL:
        return None
    return (
        "all reconstructed patches are equal (the network has collapsed); "
        "lower --learning_rate or check that the frames differ"
    )


def check_rails(prediction: Prediction, window: slice) -> str | None:
    """Look for amplitudes at 0 or far above the transmission of a sample."""
    amplitude = prediction.patches.detach().abs()[..., window, window]
    dark = float((amplitude < _LOW).float().mean())
    bright = float((amplitude > _HIGH).float().mean())
    if dark + bright < _STUCK:
        return None
    return (
        f"{100 * dark:.0f} % of the amplitudes are at 0 and {100 * bright:.0f} % near or above 2; "
        "check the scale and the centre of the probe"
    )


def check_gradients(model: nn.Module) -> str | None:
    """Find the parameters that the loss does not depend on."""
    silent = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    if not silent:
        return None
    return f"{len(silent)} parameters have no gradient; the first is {silent[0]}"


def check_improvement(before: float, after: float) -> str | None:
    """Compare the validation loss of the initial weights with the lowest of an epoch.

    Args:
        before: loss before the first step; above 0.
        after: lowest loss of an epoch.
    """
    change = after / max(before, 1e-30) - 1
    if change < -_HARDLY:
        return None
    verdict = "is worse than" if change > 0 else "hardly improved on"
    return (
        f"training changed the validation loss by {100 * change:+.1f} % ({before:.4g} -> "
        f"{after:.4g}): the network {verdict} its starting point"
    )


def is_finite(loss: Tensor) -> bool:
    """Return whether the training can continue."""
    return bool(torch.isfinite(loss.detach()))
