"""The default network: frames are lifted into real space by physics, then corrected by learning.

Way of the data: batches -> [network] + physics -> trained model.
"""

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from ptycho.dataset import GroupBatch
from ptycho.networks.blocks import Body
from ptycho.physics.forward import back_project
from ptycho.physics.overlap import merge_on_overlap


class LiftedUNet(nn.Module):
    """Back-projected input, residual output, shared by all members of a group.

    From empty space (o = 1) every frame is back-projected `lifts` times, the members merged on
    their overlap in between. The body sees a member's own back-projection, the group's merged one
    and the probe, all in real space where convolutions belong, and adds a correction to the merged
    estimate. Weights are shared by the members, so the cost is one body per frame at any gridsize.

    Args:
        group_size: members of one group; any, kept for the common call.
        window: side of the decoded centre of each patch; outside, the merged estimate stands.
        width: features of the body.
        lifts: back-projections before the body.

    Source:
        Back-projection: `physics.forward.back_project`.
    """

    def __init__(self, group_size: int, window: int, width: int = 32, lifts: int = 2):
        super().__init__()
        self.window = window
        self.lifts = lifts
        self.body = Body(inputs=5, outputs=2, width=width)

    def forward(
        self,
        batch: GroupBatch,
        probe: Complex[Tensor, "group member mode row col"],
        weight: Float[Tensor, "row col"],
    ) -> Complex[Tensor, "group member row col"]:
        """Return complex patches, one per member.

        Args:
            batch: measured frames and their windows.
            probe: the probe shifted to each position, sqrt(photons) per object pixel.
            weight: merge weight of each window pixel.
        """
        merged = torch.ones_like(probe[:, :, 0])
        own = merged
        for _ in range(self.lifts):
            own = back_project(merged, probe, batch.amplitude)
            merged = merge_on_overlap(own, batch.corners, weight, batch.shape)
        size = merged.shape[-1]
        first = size // 2 - self.window // 2
        inner = slice(first, first + self.window)
        features = [part for o in (own - 1, merged - 1) for part in (o.real, o.imag)]
        features.append(weight.expand_as(features[0]))
        x = torch.stack(features, dim=2)[..., inner, inner]
        change = self.body(x.flatten(0, 1)).unflatten(0, merged.shape[:2])
        margin = (first, size - first - self.window)
        change = nn.functional.pad(change, margin * 2)
        return merged + torch.complex(change[:, :, 0], change[:, :, 1])
