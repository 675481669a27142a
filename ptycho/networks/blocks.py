"""The convolutional body that all networks share.

Data flow: batches -> [network] + physics -> trained model.
Knows feature maps only, no diffraction.
"""

import itertools
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions around a skip: x + conv(act(conv(norm(x))))."""

    def __init__(self, channels: int, *, norm: bool) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels) if norm else nn.Identity()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        _set_to_zero(self.second)

    def forward(
        self, x: Float[Tensor, "item channel row col"]
    ) -> Float[Tensor, "item channel row col"]:
        """Return features of the same shape."""
        inner: Tensor = self.second(nn.functional.gelu(self.first(self.norm(x))))
        return x + inner


class Body(nn.Module):
    """A U-Net that works at half resolution: 2 x 2 pixels become channels, and back at the end.

    Sides that are not multiples of `Body.multiple` are padded with zeros; the output is cropped.
    The last convolution starts at zero, so an untrained body returns zeros, and a residual network
    starts from its input.

    Args:
        inputs: channels in.
        outputs: channels out.
        widths: features at half, a quarter and an eighth of the resolution.
        norm: whether blocks normalise over the whole map; the output then depends on its size.
    """

    multiple: ClassVar[int] = 8
    """Side of its coarsest pixels, at full resolution."""

    def __init__(
        self, inputs: int, outputs: int, widths: tuple[int, int, int], *, norm: bool
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(4 * inputs, widths[0], 3, padding=1)
        self.encoders = nn.ModuleList([ResidualBlock(w, norm=norm) for w in widths])
        self.downs = nn.ModuleList(
            [nn.Conv2d(a, b, 2, stride=2) for a, b in itertools.pairwise(widths)]
        )
        self.ups = nn.ModuleList(
            [nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in itertools.pairwise(widths)]
        )
        self.decoders = nn.ModuleList([ResidualBlock(w, norm=norm) for w in widths[:-1]])
        self.head = nn.Conv2d(widths[0], 4 * outputs, 3, padding=1)
        _set_to_zero(self.head)

    def forward(
        self, x: Float[Tensor, "item channel row col"]
    ) -> Float[Tensor, "item out row col"]:
        """Return `outputs` channels at the input's size."""
        rows, cols = x.shape[-2:]
        filling = (0, -cols % self.multiple, 0, -rows % self.multiple)
        x = self.stem(nn.functional.pixel_unshuffle(nn.functional.pad(x, filling), 2))
        skips = []
        for encode, down in zip(self.encoders, self.downs, strict=False):
            x = encode(x)
            skips.append(x)
            x = down(x)
        x = self.encoders[-1](x)
        for up, decode, skip in zip(
            reversed(self.ups), reversed(self.decoders), reversed(skips), strict=True
        ):
            x = decode(up(x) + skip)
        return nn.functional.pixel_shuffle(self.head(x), 2)[..., :rows, :cols]


def _set_to_zero(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
