"""A network of a test: one convolution from diffraction amplitudes to patches."""

import torch
from torch import nn

from ptycho.networks.network import Network


class ToyNetwork(Network):
    """One convolution of each frame."""

    any_gridsize = True
    any_frame_size = True

    def __init__(self, group_size, width=3):
        super().__init__()
        self.mix = nn.Conv2d(1, 2, width, padding=width // 2)

    def forward(self, batch, probe, weight):
        """Return 1 plus a small complex change."""
        frames = batch.amplitude.flatten(0, 1)[:, None]
        level = frames.square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp_min(1e-12)
        out = 0.1 * torch.tanh(self.mix(frames / level))
        return (torch.complex(1 + out[:, 0], out[:, 1])).unflatten(0, batch.members.shape)
