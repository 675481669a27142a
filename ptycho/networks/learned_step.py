"""The learned step: an object on its canvas, corrected by what training has seen of objects.

Way of the data: batches -> [network] + physics -> trained model.
Knows the object and what its frames ask of it; nothing of probes, frames or scans. So one step
serves a single frame, a group and a whole scan, at any frame size and overlap.
"""

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from ptycho.networks.blocks import Body
from ptycho.physics.forward import pull_of

_DIM = 2e-3
"""Share of the brightest light below which a pixel is not looked at."""

_DAMPING = 0.05


class LearnedStep(nn.Module):
    """Correct objects by the pull of their frames, and by experience where the pull is noise.

    Where n photons fell, an object is known to about n^-1/2. The body sees the object o, the pull d
    of its frames in units of the object and in units of that noise, and the light; it answers with
    a gate g from 0 to 2 and a change c:

        o' = o + g d + c

    Untrained it is the plain step o + d. No layer looks farther than its convolutions do, neither
    for a mean nor for a norm, so that a canvas may be cut or grown without changing the answer.

    Args:
        width: features at half resolution; twice and three times as many at the coarser levels.

    Source:
        Learned iterative reconstruction: Putzky & Welling, arXiv:1706.04008 (2017); Adler & Oktem,
        IEEE Trans. Med. Imaging 37, 1322 (2018).
    """

    def __init__(self, width: int = 32):
        super().__init__()
        self.body = Body(inputs=8, outputs=3, widths=(width, 2 * width, 3 * width), norm=False)

    def forward(
        self,
        obj: Complex[Tensor, "object height width"],
        step: Complex[Tensor, "object height width"],
        light: Float[Tensor, "object height width"],
    ) -> Complex[Tensor, "object height width"]:
        """Return the corrected objects; what is hardly lit stays.

        Args:
            obj: transmission, mean intensity about 1.
            step: what the frames ask for, from `physics.forward.back_project`.
            light: photons that fell on each pixel, all frames together.
        """
        brightest = light.amax(dim=(-2, -1), keepdim=True)
        lit = light > _DIM * brightest
        box = _box(lit)
        pull = pull_of(step, light, damping=_DAMPING)
        lit, here, towards, photons = (part[..., *box] for part in (lit, obj, pull, light))
        known = torch.where(lit, photons.sqrt(), 0)
        features = [
            torch.where(lit, here.real - 1, 0),
            torch.where(lit, here.imag, 0),
            torch.where(lit, towards.real, 0),
            torch.where(lit, towards.imag, 0),
            torch.asinh(towards.real * known),
            torch.asinh(towards.imag * known),
            torch.log10(photons + 1) / 3,
            photons / brightest.clamp_min(1e-12),
        ]
        out = self.body(torch.stack(features, dim=1))
        change = 2 * torch.sigmoid(out[:, 2]) * towards + torch.complex(out[:, 0], out[:, 1])
        corrected = obj.clone()
        corrected[..., *box] = torch.where(lit, here + change, here)
        return corrected


def _box(lit: Tensor) -> tuple[slice, slice]:
    """Return the smallest rectangle that holds every lit pixel of any object."""
    any_lit = lit.any(dim=0)
    rows, cols = (any_lit.any(dim=axis).nonzero().flatten() for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1)
