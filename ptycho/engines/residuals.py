"""A trained model applied to groups of frames: patches and how well they explain the frames.

Way of the data: trained model, batches -> [patches] -> object. Plain PyTorch.
"""

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from ptycho.engines.nuisances import Nuisances
from ptycho.physics.forward import detector_intensity, exit_waves
from ptycho.physics.losses import DARK, amplitude_loss
from ptycho.physics.patches import Canvas, cut_patches, window_corners
from ptycho.physics.probe import shift_probe
from ptycho.progress import Track, untracked
from ptycho.scan.dataset import GroupBatch, GroupDataset


@torch.inference_mode()
def frame_residuals(
    obj: Complex[Tensor, "height width"],
    canvas: Canvas,
    probe: Complex[Tensor, "mode row col"],
    dataset: GroupDataset,
    *,
    batch_size: int,
    beside: Nuisances | None = None,
    track: Track = untracked,
) -> Float[Tensor, " frame"]:
    """Return how far each frame is from the one the stitched object would give.

        residual_i = sum (sqrt I_i - sqrt n_i)^2 / sum n_i over the good pixels, NaN for a frame
        without light

    Args:
        obj: stitched transmission.
        canvas: where it lies; holds the full window of every position of the dataset.
        probe: modes in sqrt(photons) per object pixel.
        dataset: frames to explain, as groups of one.
        batch_size: frames at a time.
        beside: positions, beam and background found by sweeps; None takes the scan's.
        track: wraps the batches, given their number, to show progress.
    """
    beside = beside or Nuisances.given(probe, dataset)
    residuals = []
    for batch in track(dataset.batches(batch_size), -(-len(dataset) // batch_size)):
        expected = expected_frames(obj, canvas, probe, batch, beside)
        amplitude = batch.amplitude.flatten(0, 1)
        wrong = (expected.sqrt() - amplitude).square()
        wrong = (wrong if batch.mask is None else wrong * batch.mask).sum(dim=(-2, -1))
        counted = amplitude.square().sum(dim=(-2, -1))
        residuals.append(torch.where(counted > 0, wrong / counted, torch.nan))
    return torch.cat(residuals)


@torch.inference_mode()
def frame_deviances(
    obj: Complex[Tensor, "height width"],
    canvas: Canvas,
    probe: Complex[Tensor, "mode row col"],
    dataset: GroupDataset,
    *,
    batch_size: int,
    beside: Nuisances | None = None,
    track: Track = untracked,
) -> Float[Tensor, " frame"]:
    """Return how unlikely the counts of each frame are, if the object were the true one.

        deviance_i = 2 sum (I - n + n ln(n / I)) / number of pixels, over the good ones

    Counting noise alone leaves about 1 where photons are many, less where they are few; NaN stands
    for a frame without light.

    Args:
        obj: stitched transmission.
        canvas: where it lies; holds the full window of every position of the dataset.
        probe: modes in sqrt(photons) per object pixel.
        dataset: frames to explain, as groups of one.
        batch_size: frames at a time.
        beside: positions, beam and background found by sweeps; None takes the scan's.
        track: wraps the batches, given their number, to show progress.

    Source:
        McCullagh & Nelder, Generalized Linear Models, 2nd ed. (1989), section 2.3.
    """
    beside = beside or Nuisances.given(probe, dataset)
    deviances = []
    for batch in track(dataset.batches(batch_size), -(-len(dataset) // batch_size)):
        expected = expected_frames(obj, canvas, probe, batch, beside).clamp_min(DARK)
        counted = batch.amplitude.flatten(0, 1).square()
        each = expected - counted + torch.xlogy(counted, counted / expected)
        good = torch.ones_like(each[0]) if batch.mask is None else batch.mask.to(each.dtype)
        deviance = 2 * (each * good).sum(dim=(-2, -1)) / good.sum()
        lit = counted.sum(dim=(-2, -1)) > 0
        deviances.append(torch.where(lit, deviance, torch.nan))
    return torch.cat(deviances)


@torch.inference_mode()
def unexplained_light(
    obj: Complex[Tensor, "height width"],
    canvas: Canvas,
    probe: Complex[Tensor, "mode row col"],
    dataset: GroupDataset,
    *,
    frames: int = 128,
    beside: Nuisances | None = None,
) -> float:
    """Return the share of the light that an object does not explain, beyond counting noise.

        mean over frames of sum (sqrt I - sqrt n)^2 / sum n, less what Poisson noise would leave

    Args:
        obj: stitched transmission.
        canvas: where it lies.
        probe: modes in sqrt(photons) per object pixel.
        dataset: frames, as groups of one.
        frames: that many, spread evenly over the dataset, are looked at.
        beside: positions, beam and background found by sweeps; None takes the scan's.
    """
    chosen = np.unique(np.linspace(0, len(dataset) - 1, min(frames, len(dataset))).astype(int))
    batch = dataset[chosen.tolist()]
    expected = expected_frames(obj, canvas, probe, batch, beside or Nuisances.given(probe, dataset))
    misfit = amplitude_loss(expected, batch.amplitude.flatten(0, 1), batch.mask)
    return float(misfit) - amplitude_loss.noise_floor(expected, batch.mask)


def expected_frames(
    obj: Complex[Tensor, "height width"],
    canvas: Canvas,
    probe: Complex[Tensor, "mode row col"],
    batch: GroupBatch,
    beside: Nuisances,
) -> Float[Tensor, "frame row col"]:
    """Return the photons per detector pixel that an object gives in the frames of a batch."""
    members = batch.members.flatten()
    corners, fractions = window_corners(beside.positions[members], probe.shape[-1])
    patches = cut_patches(obj, corners - torch.tensor(canvas.origin), probe.shape[-1])
    shifted = beside.brightened(shift_probe(probe, fractions), members)
    return beside.with_background(detector_intensity(exit_waves(patches, shifted)))
