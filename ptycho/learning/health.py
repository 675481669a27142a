"""What can go wrong in a training run, told in plain words while it can still be stopped.

Way of the data: network + physics -> [health] -> training's log.
Each check looks at one batch and returns a sentence, or nothing when all is well.
"""

import torch
from torch import Tensor, nn

from ptycho.learning.model import Prediction
from ptycho.scan.dataset import GroupBatch


def power_ratio(prediction: Prediction, batch: GroupBatch) -> float:
    """Return photons predicted / photons measured, on good pixels."""
    measured = batch.amplitude.square().sum().clamp_min(1e-12)
    seen = 1.0 if batch.mask is None else batch.mask
    return float((prediction.intensity.detach() * seen).sum() / measured)


def patch_spread(prediction: Prediction, window: slice) -> float:
    """Return the standard deviation between patches, mean over their pixels; 0 for equal ones."""
    patches = prediction.patches.detach().flatten(0, 1)[..., window, window]
    return float(patches.std(dim=0, correction=0).abs().mean())


def check_power(prediction: Prediction, batch: GroupBatch) -> str | None:
    """Compare the model's photons with the measured ones: a factor of 3 is far from any sample."""
    ratio = power_ratio(prediction, batch)
    if 1 / 3 <= ratio <= 3:
        return None
    return (
        f"model predicts {ratio:.3g} x the measured photons per frame; "
        "the amplitudes have run away; lower --learning_rate"
    )


def check_collapse(prediction: Prediction, window: slice) -> str | None:
    """Look for a network that says the same of every frame."""
    patches = prediction.patches.flatten(0, 1)[..., window, window]
    if len(patches) < 4 or float(patches.detach().std(dim=0).abs().mean()) > 1e-3:
        return None
    return (
        "all reconstructed patches are alike (the network has collapsed); "
        "lower --learning_rate or check that the frames differ"
    )


def check_rails(prediction: Prediction, window: slice) -> str | None:
    """Look for amplitudes stuck at 0 or far above what a sample can transmit."""
    amplitude = prediction.patches.detach().abs()[..., window, window]
    dark = float((amplitude < 0.01).float().mean())
    bright = float((amplitude > 1.98).float().mean())
    if dark + bright < 0.2:
        return None
    return (
        f"{100 * dark:.0f} % of the amplitudes are at 0 and {100 * bright:.0f} % near or above 2; "
        "the probe may be mis-scaled or misplaced"
    )


def check_gradients(model: nn.Module) -> str | None:
    """Name the parameters that the loss does not reach."""
    silent = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    if not silent:
        return None
    return f"{len(silent)} parameters get no gradient, the first is {silent[0]}"


def is_finite(loss: Tensor) -> bool:
    """Return whether training can go on."""
    return bool(torch.isfinite(loss.detach()))
