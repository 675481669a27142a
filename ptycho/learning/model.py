"""A network followed by the experiment: frames in, patches and expected frames out.

Data flow: batches -> [network + physics] -> trained model -> patches.
Knows no files, no training loop.
"""

from typing import NamedTuple

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from ptycho.networks.blocks import Body
from ptycho.networks.network import Network
from ptycho.physics.overlap import merge_on_overlap, merge_weight
from ptycho.physics.probe import probe_window, shift_probe
from ptycho.scan.dataset import GroupBatch


class Prediction(NamedTuple):
    """What a model predicts for a batch."""

    patches: Complex[Tensor, "group member row col"]
    """Object transmission in each window, merged on the overlap of the group."""

    intensity: Float[Tensor, "group member row col"]
    """Expected photons per detector pixel, background included."""


_WINDOW_ENERGY = 0.98


def decoded_window(probe: Complex[Tensor, "mode row col"]) -> int:
    """Return the side of the centre of a patch that holds 98 % of the probe's energy.

    The rest is too dim to be corrected, and costs as much as the bright part.

    Args:
        probe: modes, any unit.
    """
    return probe_window(probe, _WINDOW_ENERGY, Body.multiple)


class PtychoModel(nn.Module):
    """Any network of `ptycho.networks`, constrained by overlap and by the measurement.

    Args:
        network: called as network(batch, shifted_probe, weight).
        probe: modes in sqrt(photons) per object pixel.
    """

    network: Network
    probe_parts: Tensor
    """(mode, row, col, 2): real and imaginary part of the probe."""

    def __init__(self, network: Network, probe: Complex[Tensor, "mode row col"]) -> None:
        super().__init__()
        self.network = network
        # Real and imaginary part, since optimisers, safetensors and .to() agree on real tensors.
        self.register_buffer("probe_parts", torch.view_as_real(probe.to(torch.complex64)).clone())

    def train_probe(self) -> None:
        """Make the probe a parameter, as the weights of the network are."""
        parts = self.probe_parts
        del self.probe_parts
        self.probe_parts = nn.Parameter(parts.clone())

    def set_probe(self, probe: Complex[Tensor, "mode row col"]) -> None:
        """Set the illumination of another scan, as a constant.

        Args:
            probe: any number of modes, sqrt(photons) per object pixel.
        """
        parts = torch.view_as_real(probe.detach().to(torch.complex64)).clone()
        del self.probe_parts
        self.register_buffer("probe_parts", parts)

    @property
    def probe(self) -> Complex[Tensor, "mode row col"]:
        """The illumination, sqrt(photons) per object pixel."""
        return torch.view_as_complex(self.probe_parts)

    @property
    def window(self) -> int:
        """Side of the centre of each patch that is decoded, object pixels."""
        return self.network.window or decoded_window(self.probe.detach())

    def forward(self, batch: GroupBatch) -> Prediction:
        """Reconstruct the patches of a batch and simulate its frames from them."""
        patches, probe = self._reconstruct(batch)
        intensity = batch.forward.intensity(patches, probe)
        if batch.background is not None:
            intensity = intensity + batch.background
        return Prediction(patches, intensity)

    def patches(self, batch: GroupBatch) -> Complex[Tensor, "group member row col"]:
        """Reconstruct the patches of a batch only.

        Args:
            batch: measured frames and their windows.
        """
        return self._reconstruct(batch)[0]

    def _reconstruct(self, batch: GroupBatch) -> tuple[Tensor, Tensor]:
        """Return the patches, merged on the overlap, and the probe at each position."""
        modes = self.probe if batch.probe is None else batch.probe
        probe = shift_probe(modes, batch.fractions)
        # A trained probe gets its gradient from the forward model only: as an input of the network
        # (back-projections, weights) its derivative is not smooth where the detector is dark.
        weight = merge_weight(modes.detach())
        patches = self.network(batch, probe.detach(), weight)
        if not self.network.merged:
            patches = merge_on_overlap(patches, batch.corners, weight, batch.shape)
        return patches, probe
