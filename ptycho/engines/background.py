"""The background of a scan, estimated from the frames of an iteration.

Data flow: expected and measured frames -> [sums] -> background. Plain PyTorch.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_SEPARABLE = 8.0
"""Inverse of the relative variance, var I / <I^2>, above which background and signal are fully
separable. With 2 speckles count as constant by chance: 10 dB lost at 1e5 photons and 5 per pixel of
background."""
_TINY = 1e-12


class BackgroundSum(NamedTuple):
    """Sums over the frames of an iteration from which the background follows, pixel by pixel.

    The least-squares background, each frame weighted by its Poisson variance, none negative:

        b = max(0, b_0 + t (<n - I> - b_0)),  t = min(1, 8 var I / <I^2>)

    with < > the mean over frames with weights w = 1 / (I + b_before + 1), so that a pixel is
    determined by the frames in which the sample leaves it dark, and b_0 the background of the scan
    file, or 0. Intensity that hardly varies from frame to frame, as in the bright field of a weak
    sample, is explained by the probe as well as by a background; t leaves it to the probe. Without
    t the background of a measured scan grew to 89 % of all photons.

    Source:
        Marchesini et al., Inverse Problems 29, 115009 (2013), section 3 (unweighted mean).
    """

    weight: Float[Tensor, "row col"]
    """sum w."""
    excess: Float[Tensor, "row col"]
    """sum w (n - I)."""
    expected: Float[Tensor, "row col"]
    """sum w I."""
    squared: Float[Tensor, "row col"]
    """sum w I^2."""

    @classmethod
    def empty(cls, like: Float[Tensor, "row col"]) -> "BackgroundSum":
        """Return sums over no frames."""
        return cls(*torch.zeros(4, *like.shape, dtype=like.dtype, device=like.device))

    def with_frames(
        self,
        expected: Float[Tensor, "frame row col"],
        amplitude: Float[Tensor, "frame row col"],
        used: Bool[Tensor, "frame row col"],
        background: Float[Tensor, "row col"] | None,
    ) -> "BackgroundSum":
        """Return the sums with some more frames; arguments as for `beam_factors`."""
        level = expected if background is None else expected + background
        weight = used / (level + 1)
        parts = torch.stack(
            [torch.ones_like(expected), amplitude.square() - expected, expected, expected.square()]
        )
        return BackgroundSum(*(torch.stack(self) + (weight * parts).sum(1)))

    def background(self, known: Float[Tensor, "row col"] | None = None) -> Float[Tensor, "row col"]:
        """Return photons per detector pixel, 0 or above.

        Args:
            known: b_0; None for 0.
        """
        known = torch.zeros_like(self.weight) if known is None else known
        excess, mean, squared = torch.stack(self[1:]) / self.weight.clamp_min(_TINY)
        spread = (squared - mean.square()) / squared.clamp_min(_TINY)
        return torch.lerp(known, excess, (_SEPARABLE * spread).clamp(0, 1)).clamp_min(0)
