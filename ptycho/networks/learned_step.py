"""The learned step: a network that corrects an object on its canvas.

Data flow: batches -> [network] + physics -> trained model.
Knows the object and its update; nothing of probes, frames or scans. So one step serves a single
frame, a group and a whole scan, at any frame size and overlap.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from ptycho.networks.blocks import Body

_DIM = 2e-3
"""Share of the brightest illumination below which a pixel is ignored."""

_DAMPING = 0.05
_AROUND = 33  # pixels; odd

_TILE, _MARGIN = 1024, 96
"""Pixels of an axis that are corrected together, and how much of their surroundings is looked at: a
multiple of the coarsest pixel, and more than body (54) and means (32) reach."""


class LearnedStep(nn.Module):
    """Correct objects by the update of their frames, and by a prior where the update is noise.

    Where n photons fell, an object is known to about n^-1/2. The inputs of the body are the object
    o, the update d in units of the object and in units of that noise, and the illumination; its
    outputs are a gate g from 0 to 2 and a change c:

        o' = o + g d + s c,   s^2 = <|d|^2> + 1 / (n + 1)

    so that corrections fade as the object becomes known. Phases are relative to the mean wave
    around each pixel: the global phase of an object has no meaning, and that of a distant part
    little. Untrained it is the plain step o + d. No layer takes a mean or a norm over the whole
    map, so the result at a pixel hardly depends on where its canvas ends.

    Args:
        width: features at half resolution; twice and three times as many at the coarser levels.

    Source:
        Learned iterative reconstruction: Putzky & Welling, arXiv:1706.04008 (2017); Adler & Oktem,
        IEEE Trans. Med. Imaging 37, 1322 (2018).
    """

    def __init__(self, width: int = 16):
        super().__init__()
        body = Body(inputs=8, outputs=3, widths=(width, 2 * width, 3 * width), norm=False)
        # A sixth faster on CPUs; the type stubs of PyTorch lack this argument.
        self.body = body.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(
        self,
        obj: Complex[Tensor, "object height width"],
        step: Complex[Tensor, "object height width"],
        illumination: Float[Tensor, "object height width"],
    ) -> Complex[Tensor, "object height width"]:
        """Return the corrected objects; pixels with hardly any illumination stay.

        Args:
            obj: transmission, mean intensity about 1.
            step: the update of the frames, from `ForwardModel.back_project`.
            illumination: photons on each object pixel, all frames together.
        """
        brightest = illumination.amax(dim=(-2, -1), keepdim=True)
        corrected = obj.clone()
        for outer, inner, target in _tiles(illumination > _DIM * brightest):
            found = self._corrected(
                obj[..., *outer], step[..., *outer], illumination[..., *outer], brightest
            )
            corrected[..., *target] = found[..., *inner]
        return corrected

    def _corrected(
        self,
        obj: Complex[Tensor, "object height width"],
        step: Complex[Tensor, "object height width"],
        photons: Float[Tensor, "object height width"],
        brightest: Float[Tensor, "object 1 1"],
    ) -> Complex[Tensor, "object height width"]:
        """Return the corrected objects of a part of the canvas."""
        lit = photons > _DIM * brightest
        update = step / (photons + _DAMPING * brightest)
        phase = torch.sgn(_mean_around(photons * obj))
        turned, towards = obj * phase.conj(), update * phase.conj()
        unsure = _mean_around(torch.where(lit, towards.abs().square(), 0))
        unsure = (unsure + 1 / (photons + 1)).sqrt()
        features = [
            turned.real - 1,
            turned.imag,
            towards.real,
            towards.imag,
            torch.asinh(towards.real * photons.sqrt()),
            torch.asinh(towards.imag * photons.sqrt()),
            torch.log10(photons + 1) / 3,
            photons / brightest.clamp_min(1e-12),
        ]
        seen = torch.where(lit[:, None], torch.stack(features, dim=1), 0)
        out = self.body(seen.contiguous(memory_format=torch.channels_last))
        change = 2 * torch.sigmoid(out[:, 2]) * update
        change = change + unsure * phase * torch.complex(out[:, 0], out[:, 1])
        return torch.where(lit, obj + change, obj)


Box = tuple[slice, slice]


def _tiles(lit: Tensor) -> Iterator[tuple[Box, Box, Box]]:
    """Divide the lit part of a canvas into tiles, one where it is small.

    What lies beyond the margin of a tile cannot be seen from inside. Tiles begin at multiples of
    the coarsest pixel of the body, so that it does to a pixel what it would do on the whole.

    Yields:
        The tile with its margin; the tile as a part of that; the tile itself.
    """
    for rows in _parts(lit.any(dim=0).any(dim=1)):
        for cols in _parts(lit.any(dim=0).any(dim=0)):
            outer, inner, target = zip(rows, cols, strict=True)
            yield outer, inner, target


def _parts(lit: Tensor) -> list[tuple[slice, slice, slice]]:
    """Divide the lit part of an axis; see `_tiles`."""
    lines = lit.nonzero().flatten().tolist() or [0]
    first, last = lines[0] // Body.multiple * Body.multiple, lines[-1] + 1
    found = []
    for start in range(first, last, _TILE):
        stop = min(start + _TILE, last)
        low, high = max(first, start - _MARGIN), min(last, stop + _MARGIN)
        found.append((slice(low, high), slice(start - low, stop - low), slice(start, stop)))
    return found


def _mean_around(values: Tensor) -> Tensor:
    """Return the mean over a square of `_AROUND` pixels; zeros stand beyond the border."""
    values = torch.view_as_real(values) if values.is_complex() else values[..., None]
    half = _AROUND // 2
    for axis in (1, 2):
        # Running sums: two additions per pixel instead of one for each in the square.
        padding = (0, 0) * (3 - axis) + (half + 1, half)
        sums = nn.functional.pad(values, padding).cumsum(axis)
        side = values.shape[axis]
        values = (sums.narrow(axis, _AROUND, side) - sums.narrow(axis, 0, side)) / _AROUND
    return torch.view_as_complex(values.contiguous()) if values.shape[-1] == 2 else values[..., 0]
