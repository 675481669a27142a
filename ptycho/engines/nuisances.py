"""What shapes the frames beside the object: probe, positions, beam, background.

Way of the data: patches -> object -> [sweeps] -> object. Plain PyTorch.
Each is found from what a sweep has at hand anyway, the expected and the measured frames of a batch,
by least squares; pixels held out have no say. Knows neither the object's update nor files.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor

from ptycho.scan.dataset import GroupDataset

MOST_MOVED = 6.0
"""Farthest a position may go from where the scan puts it, per axis, object pixels."""

_LONGEST_STEP = 0.3  # of a position in one sweep, object pixels


_FIRST = (2, 4, 2, 4)
"""Sweep from which probe, positions, intensity and background are refined. Positions need an object
to be compared with, and end 10 % nearer to the true ones than when they begin in sweep 2; so does a
background: from sweep 1 on it cost 1.9 dB of phase beside a refined probe at 1e4 photons, and won
0.3 dB at most."""

_TELLING = 8.0
"""How strongly light has to vary, 1/8 of <I^2>, for all of a background to be told from it. With 2
speckles count as steady by chance: 10 dB lost at 1e5 photons and 5 per pixel of background."""
_TINY = 1e-12


class Refine(NamedTuple):
    """What is corrected along with the object."""

    probe: bool = False
    positions: bool = False
    intensity: bool = False
    background: bool = False

    def in_sweep(self, number: int) -> "Refine":
        """Return what has its turn in a sweep, counted from 1: first the object, then the rest."""
        return Refine(*(on and number >= first for on, first in zip(self, _FIRST, strict=True)))

    @property
    def complete(self) -> int:
        """The sweep from which everything asked for is refined, counted from 1."""
        return max([1, *(first for on, first in zip(self, _FIRST, strict=True) if on)])


class Nuisances(NamedTuple):
    """What shapes the frames beside the object, as known so far."""

    probe: Complex[Tensor, "mode row col"]
    """sqrt(photons) per object pixel."""

    positions: Float[Tensor, "frame 2"]
    """Probe centres of all frames of the scan as (row, col), object pixels; on the CPU."""

    intensity: Float[Tensor, " frame"] | None = None
    """Light of each frame relative to the mean one; None when the beam is steady."""

    background: Float[Tensor, "row col"] | None = None
    """Photons per detector pixel from elsewhere than the sample; None when there are none."""

    @classmethod
    def given(cls, probe: Complex[Tensor, "mode row col"], dataset: GroupDataset) -> "Nuisances":
        """Return what the scan says, where the probe is.

        Args:
            probe: modes in sqrt(photons) per object pixel.
            dataset: frames of the scan.
        """
        background = dataset.background
        background = None if background is None else background.to(probe.device)
        return cls(probe, torch.from_numpy(dataset.raw.positions), None, background)

    def to(self, device: torch.device) -> "Nuisances":
        """Return the same on a device; positions stay on the CPU."""
        moved = Nuisances(*(None if part is None else part.to(device) for part in self))
        return moved._replace(positions=self.positions.cpu())

    def brightened(
        self, shifted: Complex[Tensor, "frame mode row col"], members: Int[Tensor, " frame"]
    ) -> Complex[Tensor, "frame mode row col"]:
        """Return the probes of some frames as bright as the beam was in each."""
        if self.intensity is None:
            return shifted
        return shifted * self.intensity[members].sqrt()[:, None, None, None]

    def with_background(
        self, coherent: Float[Tensor, "frame row col"]
    ) -> Float[Tensor, "frame row col"]:
        """Return expected photons per detector pixel from those that the sample scatters."""
        return coherent if self.background is None else coherent + self.background

    def with_beam(
        self, members: Int[Tensor, " frame"], factors: Float[Tensor, " frame"]
    ) -> "Nuisances":
        """Return the same with the light of some frames changed by factors."""
        n_frames = len(self.positions)
        before = factors.new_ones(n_frames) if self.intensity is None else self.intensity
        after = before.clone()
        after[members] *= factors
        return self._replace(intensity=after)

    def sentences(
        self, given: "Nuisances", members: Int[np.ndarray, " member"], photons: float
    ) -> list[str]:
        """Return what was found beside the object, each in words.

        Args:
            given: what was known before.
            members: frames that took part.
            photons: of the mean frame.
        """
        said = []
        change = (self.positions - given.positions)[members]
        if change.any():
            rms = change.square().mean(dim=0).sqrt().tolist()
            said.append(
                f"positions: moved by {rms[0]:.3g} px along rows and {rms[1]:.3g} px along columns "
                f"(RMS), {float(change.abs().max()):.3g} px at most"
            )
        if self.intensity is not None:
            spread = float(self.intensity[members].std(correction=0))
            said.append(f"beam: varies by {100 * spread:.2g} % from frame to frame (RMS)")
        if self.background is not None:
            stray = float(self.background.sum())
            said.append(
                f"background: {stray:.3g} photons in a frame of {photons:.3g} "
                f"({100 * stray / photons:.2g} %), {float(self.background.median()):.3g} on the "
                "median pixel"
            )
        return said

    def settled(
        self,
        start: "Nuisances",
        members: Int[np.ndarray, " member"],
        stray: "BackgroundSum | None",
    ) -> "Nuisances":
        """Return the same after a sweep: what the frames cannot tell is put back to where it was.

        A common shift of all positions is one of the object, a common factor of the light too.

        Args:
            start: positions and background as the scan has them.
            members: frames that take part.
            stray: what the sweep has found of the background; None leaves it.
        """
        positions, intensity, background = self.positions, self.intensity, self.background
        if positions is not start.positions:
            drift = torch.zeros_like(positions)
            drift[members] = (positions - start.positions)[members].mean(dim=0)
            positions = positions - drift
        if intensity is not None:
            intensity = intensity / intensity[members].mean()
        if stray is not None:
            background = stray.background(start.background)
        return Nuisances(self.probe, positions, intensity, background)


def position_steps(
    on_detector: Complex[Tensor, "frame mode row col"],
    slopes: Complex[Tensor, "frame axis mode row col"],
    modelled: Float[Tensor, "frame row col"],
    amplitude: Float[Tensor, "frame row col"],
    used: Bool[Tensor, "frame row col"],
) -> Float[Tensor, "frame 2"]:
    """Return how far each probe has to move to explain its frame best (one Gauss-Newton step).

        a = sqrt(sum_modes |Psi|^2 + b),  J_k = da/dr_k = sum_modes Re(conj(Psi) dPsi/dr_k) / a,
        step = (J^T J)^-1 J^T (sqrt n - a)

    Args:
        on_detector: Psi, expected waves.
        slopes: dPsi/dr, their derivatives by the position of the probe, rows and columns.
        modelled: a, root of the expected photons, background included.
        amplitude: sqrt(n), measured.
        used: pixels that have a say.

    Returns:
        Steps as (row, col) in object pixels, none longer than 0.3 along an axis.

    Source:
        Guizar-Sicairos & Fienup, Opt. Express 16, 7264 (2008); Odstrcil, Menzel &
        Guizar-Sicairos, Opt. Express 26, 3108 (2018), section 3.4.
    """
    weight = used / modelled.clamp_min(1e-3)
    jacobian = (on_detector.unsqueeze(1).conj() * slopes).real.sum(dim=2) * weight.unsqueeze(1)
    missing = torch.where(used, amplitude - modelled, 0.0)
    pull = (jacobian * missing.unsqueeze(1)).sum(dim=(-2, -1))
    stiffness = torch.einsum("fkrc,flrc->fkl", jacobian, jacobian)
    # A frame of empty space says nothing of its position: it stays.
    ridge = 1e-3 * stiffness.diagonal(dim1=-2, dim2=-1).sum(-1).mean() + 1e-12
    stiffness = stiffness + ridge * torch.eye(2, device=stiffness.device)
    step = torch.linalg.solve(stiffness, pull.unsqueeze(-1)).squeeze(-1)
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
) -> Float[Tensor, "frame 2"]:
    """Return positions with some of them moved, none farther than `MOST_MOVED` from those given."""
    there = positions[members] + steps.to(positions)
    reach = given[members]
    positions = positions.clone()
    positions[members] = torch.clamp(there, reach - MOST_MOVED, reach + MOST_MOVED)
    return positions


def beam_factors(
    expected: Float[Tensor, "frame row col"],
    amplitude: Float[Tensor, "frame row col"],
    used: Bool[Tensor, "frame row col"],
    background: Float[Tensor, "row col"] | None,
) -> Float[Tensor, " frame"]:
    """Return by what factor the light of each frame has to change: sum (n - b) / sum I.

    Least squares with each pixel weighted by its Poisson variance, and the maximum of the Poisson
    likelihood when b = 0. A change that is slow over the scan cannot be told from absorption of the
    sample; the object takes a part of it.

    Args:
        expected: I, photons from the sample, without background.
        amplitude: sqrt(n), measured.
        used: pixels that have a say.
        background: b, photons per pixel.
    """
    counted = amplitude.square() if background is None else amplitude.square() - background
    counted, light = ((values * used).sum(dim=(-2, -1)) for values in (counted, expected))
    return torch.where(light > 0, counted / light.clamp_min(1e-12), 1.0).clamp(0.5, 2.0)


class BackgroundSum(NamedTuple):
    """What the frames of a sweep say of the background, summed pixel by pixel.

    The least-squares background, each frame weighted by its Poisson variance, none negative:

        b = max(0, b_0 + t (<n - I> - b_0)),  t = min(1, 8 var I / <I^2>)

    with < > the mean over frames with weights w = 1 / (I + b_before + 1), so that a pixel is judged
    by the frames in which the sample leaves it dark, and b_0 what the scan tells, or 0. Light that
    the sample hardly changes from frame to frame, as in the bright field of a weak one, is
    explained by the probe as well as by a background; t leaves it to the probe. Without t the
    background of a measured scan grew sweep by sweep to 89 % of all light.

    Source:
        Marchesini et al., Inverse Problems 29, 115009 (2013), section 3 (unweighted mean).
    """

    weight: Float[Tensor, "row col"]
    """sum w."""
    excess: Float[Tensor, "row col"]
    """sum w (n - I)."""
    light: Float[Tensor, "row col"]
    """sum w I."""
    squared: Float[Tensor, "row col"]
    """sum w I^2."""

    @classmethod
    def nothing(cls, like: Float[Tensor, "row col"]) -> "BackgroundSum":
        """Return the sums over no frame."""
        return cls(*torch.zeros(4, *like.shape, dtype=like.dtype, device=like.device))

    def with_frames(
        self,
        expected: Float[Tensor, "frame row col"],
        amplitude: Float[Tensor, "frame row col"],
        used: Bool[Tensor, "frame row col"],
        background: Float[Tensor, "row col"] | None,
    ) -> "BackgroundSum":
        """Return the sums with some frames more; arguments as for `beam_factors`."""
        level = expected if background is None else expected + background
        weight = used / (level + 1)
        parts = torch.stack(
            [torch.ones_like(expected), amplitude.square() - expected, expected, expected.square()]
        )
        return BackgroundSum(*(torch.stack(self) + (weight * parts).sum(1)))

    def background(self, known: Float[Tensor, "row col"] | None = None) -> Float[Tensor, "row col"]:
        """Return photons per detector pixel, 0 or above.

        Args:
            known: b_0; None knows of none.
        """
        known = torch.zeros_like(self.weight) if known is None else known
        excess, light, squared = torch.stack(self[1:]) / self.weight.clamp_min(_TINY)
        spread = (squared - light.square()) / squared.clamp_min(_TINY)
        return torch.lerp(known, excess, (_TELLING * spread).clamp(0, 1)).clamp_min(0)
