"""Steps of single positions by what their frames say, a fraction of a pixel at a time.

Data flow: patches -> object -> [engine] -> object. Plain PyTorch.
All positions together, and single ones from far away, are moved by `placement`.
"""

import math

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

MOST_MOVED = 6.0
"""Farthest a position may go from where the scan puts it, per axis, object pixels."""

_LONGEST_STEP = 0.3  # of a position in one iteration, object pixels


def position_sums(
    slopes: Float[Tensor, "frame axis row col"],
    modelled: Float[Tensor, "frame row col"],
    amplitude: Float[Tensor, "frame row col"],
    used: Bool[Tensor, "frame row col"],
) -> Float[Tensor, "frame 5"]:
    """Return what frames say of their positions, as least squares.

        a = sqrt(I + b),  J_k = da/dr_k = (dI/dr_k / 2) / a

    Args:
        slopes: dI/dr / 2 = B sum_modes Re(conj(Psi) dPsi/dr), half the derivatives of the expected
            photons by the position of the probe, rows and columns; B is the point spread.
        modelled: a, root of the expected photons, background included.
        amplitude: sqrt(n), measured.
        used: pixels to fit.

    Returns:
        J^T (sqrt n - a) for rows and columns, then J^T J for rows, both and columns.
    """
    weight = used / modelled.clamp_min(1e-3)
    jacobian = slopes * weight.unsqueeze(1)
    missing = torch.where(used, amplitude - modelled, 0.0)
    right = (jacobian * missing.unsqueeze(1)).sum(dim=(-2, -1))
    left = [
        (jacobian[:, first] * jacobian[:, second]).sum(dim=(-2, -1))
        for first, second in ((0, 0), (0, 1), (1, 1))
    ]
    return torch.cat([right, torch.stack(left, dim=1)], dim=1)


def position_steps(sums: Float[Tensor, "frame 5"]) -> Float[Tensor, "frame 2"]:
    """Return one Gauss-Newton step of the position of each probe, (J^T J)^-1 J^T (sqrt n - a).

    Args:
        sums: from `position_sums`.

    Returns:
        Steps as (row, col) in object pixels, none longer than 0.3 along an axis.

    Source:
        Guizar-Sicairos & Fienup, Opt. Express 16, 7264 (2008); Odstrcil, Menzel &
        Guizar-Sicairos, Opt. Express 26, 3108 (2018), section 3.4.
    """
    row, col, rows, both, cols = sums.unbind(-1)
    # A frame of empty space does not determine its position, which then stays.
    ridge = 1e-3 * (rows + cols).mean() + 1e-12
    rows, cols = rows + ridge, cols + ridge
    # The 2 x 2 system by hand: a library solver would make the host wait for the device.
    step = torch.stack([cols * row - both * col, rows * col - both * row], dim=-1)
    step = step / (rows * cols - both.square()).unsqueeze(-1)
    return step.clamp(-_LONGEST_STEP, _LONGEST_STEP)


def probe_slopes(
    shifted: Complex[Tensor, "frame mode row col"],
) -> Complex[Tensor, "frame axis mode row col"]:
    """Return the derivatives of shifted probes by their positions: -dP/drow, -dP/dcol."""
    size = shifted.shape[-1]
    ramp = -2j * math.pi * torch.fft.fftfreq(size, device=shifted.device)
    spectrum = torch.fft.fft2(shifted)
    both = torch.stack([spectrum * ramp[:, None], spectrum * ramp], dim=1)
    return torch.fft.ifft2(both)


def moved(
    positions: Float[Tensor, "frame 2"],
    given: Float[Tensor, "frame 2"],
    members: Tensor,
    steps: Float[Tensor, "step 2"],
    farthest: float = MOST_MOVED,
) -> Float[Tensor, "frame 2"]:
    """Return positions with some of them moved, none farther than a distance from those given."""
    there = positions[members] + steps.to(positions)
    reach = given[members]
    positions = positions.clone()
    positions[members] = torch.clamp(there, reach - farthest, reach + farthest)
    return positions
