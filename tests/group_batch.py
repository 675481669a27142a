"""Groups of noise-free frames of a smooth random object, as one batch: for tests of networks."""

import torch

from ptycho.physics.forward import ForwardModel
from ptycho.physics.patches import cut_patches
from ptycho.physics.probe import scale_probe, shift_probe
from ptycho.scan.dataset import GroupBatch

SIDE = 32


def gaussian_probe(photons=1e4, modes=1):
    grid = torch.arange(SIDE) - SIDE // 2
    spot = torch.exp(-(grid[:, None] ** 2 + grid**2) / 40.0).to(torch.complex64)
    each = [spot * (grid / 5.0) ** m * 0.5**m for m in range(modes)]
    return scale_probe(torch.stack(each), photons)


def make_batch(groups=3, members=4, probe=None, seed=0):
    """Return a batch and the true patches of its frames."""
    probe = gaussian_probe() if probe is None else probe
    g = torch.Generator().manual_seed(seed)
    span = 1 if members == 1 else 6
    shape = (SIDE + span, SIDE + span)
    corners = torch.randint(0, span, (groups, members, 2), generator=g)
    fractions = torch.rand(groups, members, 2, generator=g) - 0.5
    coarse = torch.randn(2, groups, 8, 8, generator=g)
    fine = torch.nn.functional.interpolate(coarse, shape, mode="bicubic")
    obj = torch.polar(0.8 + 0.1 * torch.tanh(fine[0]), 0.5 * torch.tanh(fine[1]))
    patches = cut_patches(obj, corners, SIDE)
    frames = ForwardModel().intensity(patches, shift_probe(probe, fractions))
    members_of = torch.arange(groups * members).reshape(groups, members)
    return GroupBatch(frames.sqrt(), corners, fractions, members_of, shape), patches
