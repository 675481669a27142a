"""Overlap constraint of a group: overlapping patches are merged into one small object.

Data flow: batches -> network + [physics] -> trained model.
This is where a group of neighbouring positions constrains its members: the values that a network
predicts for a pixel from several frames are merged to one before the forward model is applied.
"""

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from ptycho.physics.patches import cut_patches, place_patches
from ptycho.physics.probe import probe_intensity


def merge_weight(probe: Complex[Tensor, "mode row col"]) -> Float[Tensor, "row col"]:
    """Return the weight of a patch pixel in a merge: the probe intensity, at most 1, never 0.

    A frame determines the object where its probe is bright. The small floor gives pixels without
    illumination the plain mean of their patches instead of 0 / 0.

    Args:
        probe: modes, sqrt(photons) per object pixel.
    """
    intensity = probe_intensity(probe)
    return intensity / intensity.max() + 1e-4


def merge_on_overlap(
    patches: Complex[Tensor, "group member row col"],
    corners: Int[Tensor, "group member 2"],
    weight: Float[Tensor, "row col"],
    shape: tuple[int, int],
) -> Complex[Tensor, "group member row col"]:
    """Give all members of a group the same value wherever their windows overlap.

        canvas = sum_i place(w p_i) / sum_i place(w);  p_i' = cut(canvas)

    A projection: merging twice changes nothing more. A single member stays as it is.

    Args:
        patches: complex transmission, one window per member.
        corners: first (row, col) of each window on the group's canvas.
        weight: of each window pixel, above 0.
        shape: (row, col) size of the group's canvas.

    Source:
        The overlap constraint of Hoidn et al., Sci. Rep. 13, 22789 (2023), weighted by the probe.
    """
    if patches.shape[1] == 1:
        return patches
    size = patches.shape[-1]
    placed = place_patches(patches * weight, corners, shape)
    total = place_patches(weight.expand(patches.shape), corners, shape)
    seen = total > 0
    canvas = placed / torch.where(seen, total, torch.ones_like(total))
    return cut_patches(canvas, corners, size)
