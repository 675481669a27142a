"""The default network: frames are lifted into real space by physics, then corrected by learning.

Way of the data: batches -> [network] + physics -> trained model.
"""

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from ptycho.dataset import GroupBatch
from ptycho.networks.blocks import Body
from ptycho.physics.forward import back_project
from ptycho.physics.patches import cut_patches, place_patches


class LiftedUNet(nn.Module):
    """Back-projected input, residual output, shared by all members of a group.

    From empty space (o = 1) the group's little object is swept by physics: member after member is
    back-projected into it, each starting from what the ones before have made of the overlap. The
    body then sees, in real space where convolutions belong, a member's window of that object, its
    own next back-projection and the probe, and adds a correction. Weights are shared by the
    members, so the cost is one body per frame at any gridsize.

    Args:
        group_size: members of one group; any, kept for the common call.
        window: side of the decoded centre of each patch; outside, the swept object stands.
        width: features of the body.
        sweeps: over the members before the body; five settle the overlap of a group, and cost
            less than the body.

    Source:
        One sweep is one epoch of rPIE on the group: Maiden, Johnson & Li, Optica 4, 736 (2017).
    """

    def __init__(self, group_size: int, window: int, width: int = 32, sweeps: int = 5):
        super().__init__()
        self.window = window
        self.sweeps = sweeps
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
        swept = sweep_group(batch, probe, self.sweeps)
        own = back_project(
            swept, probe, batch.amplitude, mask=batch.mask, background=batch.background
        )
        size = swept.shape[-1]
        first = size // 2 - self.window // 2
        inner = slice(first, first + self.window)
        features = [part for o in (swept - 1, own - swept) for part in (o.real, o.imag)]
        features.append(weight.expand_as(features[0]))
        x = torch.stack(features, dim=2)[..., inner, inner]
        change = self.body(x.flatten(0, 1)).unflatten(0, swept.shape[:2])
        margin = (first, size - first - self.window)
        change = nn.functional.pad(change, margin * 2)
        return swept + torch.complex(change[:, :, 0], change[:, :, 1])


@torch.no_grad()
def sweep_group(
    batch: GroupBatch, probe: Complex[Tensor, "group member mode row col"], sweeps: int
) -> Complex[Tensor, "group member row col"]:
    """Sweep each group's object by physics alone, from empty space, and cut its windows.

    Args:
        batch: measured frames and their windows.
        probe: the probe shifted to each position.
        sweeps: how often every member is used.
    """
    n_groups, n_members, size, _ = batch.amplitude.shape
    canvas = probe.new_ones((n_groups, *batch.shape))
    for member in list(range(n_members)) * sweeps:
        one = slice(member, member + 1)
        corners = batch.corners[:, one]
        patch = cut_patches(canvas, corners, size)
        amplitude = batch.amplitude[:, one]
        swept = back_project(
            patch, probe[:, one], amplitude, mask=batch.mask, background=batch.background
        )
        change = swept - patch
        canvas = canvas + place_patches(change, corners, batch.shape)
    return cut_patches(canvas, batch.corners, size)
