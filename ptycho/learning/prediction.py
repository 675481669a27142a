"""A trained model applied to groups of frames.

Data flow: trained model, batches -> [patches] -> object. Plain PyTorch.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Complex, Int
from torch import Tensor

from ptycho.learning.model import PtychoModel
from ptycho.physics import LOSSES
from ptycho.progress import Track, untracked
from ptycho.scan.dataset import GroupDataset, ManyScans
from ptycho.spread import spread


class Patches(NamedTuple):
    """Predicted object windows, in the order of the groups."""

    patches: Complex[Tensor, "patch side side"]
    """The decoded centre of each window."""

    members: Int[Tensor, " patch"]
    """Frame each patch belongs to."""

    group_of: Int[Tensor, " patch"]
    """Group each patch was merged in; its members share one phase."""


@torch.inference_mode()
def predict_patches(
    model: PtychoModel,
    dataset: GroupDataset,
    *,
    batch_size: int,
    device: torch.device,
    track: Track = untracked,
) -> Patches:
    """Reconstruct every group of a dataset.

    Args:
        model: its window is kept of each patch.
        dataset: groups of a scan.
        batch_size: groups at a time.
        device: where to compute; results are returned on the CPU.
        track: wraps the batches, given their number, to show progress.
    """
    model = model.to(device).eval()
    window = model.window
    patches, members = [], []
    for batch in track(dataset.batches(batch_size), -(-len(dataset) // batch_size)):
        predicted = model.patches(batch.to(device))
        first = predicted.shape[-1] // 2 - window // 2
        inner = slice(first, first + window)
        patches.append(predicted[..., inner, inner].flatten(0, 1).cpu())
        members.append(batch.members)
    all_members = torch.cat(members)
    group_of = torch.arange(len(all_members)).repeat_interleave(all_members.shape[1])
    return Patches(torch.cat(patches), all_members.flatten(), group_of)


@torch.inference_mode()
def noise_floor(
    model: PtychoModel,
    dataset: GroupDataset | ManyScans,
    *,
    batch_size: int,
    loss: str = "amplitude",
) -> float:
    """Return the loss expected from counting noise alone if the predicted frames were right.

    Args:
        model: trained.
        dataset: groups; up to 8 batches spread over them are used.
        batch_size: groups at a time.
        loss: name in `ptycho.physics.LOSSES`.
    """
    batches = dataset.batch_numbers(batch_size)
    floors = []
    for which in spread(len(batches), 8):
        batch = dataset[batches[which]]
        floors.append(LOSSES[loss].noise_floor(model(batch).intensity, batch.mask))
    return float(np.mean(floors))
