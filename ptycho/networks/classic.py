"""The classic network: raw diffraction in, amplitude and phase out.

Data flow: batches -> [network] + physics -> trained model.
"""

import math
from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from ptycho.networks.blocks import Body
from ptycho.networks.network import Network
from ptycho.scan.dataset import GroupBatch

_USUAL_STEP = 4.0  # pixels; scales positions to about 1


class ClassicUNet(Network):
    """Diffraction amplitudes of a group as channels in, one amplitude and phase per member out.

    Args:
        group_size: members of one group.
        window: side of the decoded centre of each patch; outside, the patch is 1.
        width: features of the body.

    Source:
        The mapping of Hoidn et al., Sci. Rep. 13, 22789 (2023).
    """

    window: int

    def __init__(self, group_size: int, window: int, width: int = 32) -> None:
        super().__init__()
        self.group_size = group_size
        self.window = window
        # The positions are channels too: they do not follow from the diffraction.
        self.body = Body(
            inputs=3 * group_size, outputs=2 * group_size, widths=(width, 2 * width, 4 * width),
            norm=True,
        )  # fmt: skip

    @classmethod
    def default_options(cls, window: int) -> dict[str, Any]:
        """Return the window, whose size is fixed once the network is built."""
        return {"window": window}

    def forward(
        self,
        batch: GroupBatch,
        probe: Complex[Tensor, "group member mode row col"],
        weight: Float[Tensor, "row col"],
    ) -> Complex[Tensor, "group member row col"]:
        """Return complex patches, one per member.

        Args:
            batch: measured frames and their windows.
            probe: the probe shifted to each position; not used by this network.
            weight: merge weight of each window pixel; not used by this network.
        """
        frames = batch.amplitude
        level = frames.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        middle = batch.corners.float().mean(dim=1, keepdim=True)
        where = (batch.corners - middle + batch.fractions) / _USUAL_STEP
        where = where.flatten(1)[..., None, None].expand(-1, -1, *frames.shape[-2:])
        seen = torch.cat([torch.log1p(frames / level.clamp_min(1e-12)), where], dim=1)
        size = frames.shape[-1]
        first = size // 2 - self.window // 2
        out = self.body(seen)[..., first : first + self.window, first : first + self.window]
        out = out.unflatten(1, (self.group_size, 2))
        amplitude = 2 * torch.sigmoid(out[:, :, 0])
        phase = math.pi * torch.tanh(out[:, :, 1])
        margin = (first, size - first - self.window)
        amplitude = nn.functional.pad(amplitude, margin * 2, value=1.0)
        return torch.polar(amplitude, nn.functional.pad(phase, margin * 2))
