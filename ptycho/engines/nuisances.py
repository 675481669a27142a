"""Nuisance parameters: what shapes the frames apart from the object.

Data flow: patches -> object -> [engine] -> object. Plain PyTorch.
Probe, positions, beam intensity and background are estimated by least squares from the expected and
measured frames of a batch; held-out pixels are not used. Knows neither the object's update nor
files.
"""

import logging
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from ptycho.engines.background import BackgroundSum
from ptycho.engines.varying_probe import Variation
from ptycho.errors import ConfigError
from ptycho.physics.probe import mode_shares, shift_probe, with_modes
from ptycho.scan.dataset import GroupDataset

log = logging.getLogger(__name__)

_SEARCHED = 27
"""Iteration after the last search of positions."""

_TOGETHER = 18
"""Last iteration of rotation, scale and shear, where single positions are refined as well."""

_FIRST = (2, 4, 2, 4, 4, 6, 6)
"""Iteration from which each nuisance parameter is refined. Positions need an
object to compare with, and end 10 % nearer to the truth than when they begin in iteration 2; so
does a background: from iteration 1 on it cost 1.9 dB of phase together with a refined probe at 1e4
photons, and gained 0.3 dB at most."""


class Refine(NamedTuple):
    """Which nuisance parameters are corrected along with the object."""

    probe: bool = False
    positions: bool = False
    intensity: bool = False
    background: bool = False
    affine: bool = False
    """Rotation, scale and shear of all positions."""
    search: bool = False
    """Each position from far away, up to `placement.FARTHEST`."""
    variation: bool = False
    """How the probe varies from frame to frame."""

    @classmethod
    def named(cls, words: str | None) -> "Refine":
        """Return what is asked for in words: names separated by commas; None for none.

        Raises:
            ConfigError: If a word is unknown.
        """
        names = [word.strip() for word in (words or "").split(",") if word.strip()]
        if names in ([], ["none"]):
            return cls()
        for name in names:
            if name not in cls._fields:
                known = ", ".join(cls._fields)
                raise ConfigError(f"refine: {name!r}; expected none or some of {known}")
        return cls(**dict.fromkeys(names, True))

    def in_iteration(self, number: int) -> "Refine":
        """Return what is refined in an iteration, counted from 1: the object first.

        All positions together come before single ones.
        """
        now = Refine(*(on and number >= first for on, first in zip(self, _FIRST, strict=True)))
        if not (self.affine and (self.positions or self.search)):
            return now
        if number <= _TOGETHER:
            return now._replace(positions=False, search=False)
        return now._replace(affine=False)

    @property
    def complete(self) -> int:
        """The iteration from which everything asked for is refined, counted from 1."""
        if self.search:
            return _SEARCHED
        if self.affine:
            return _TOGETHER + (_FIRST[1] if self.positions else 0)
        return max([1, *(first for on, first in zip(self, _FIRST, strict=True) if on)])


class Nuisances(NamedTuple):
    """The nuisance parameters of a scan, as known so far."""

    probe: Complex[Tensor, "mode row col"]
    """sqrt(photons) per object pixel."""

    positions: Float[Tensor, "frame 2"]
    """Probe centres of all frames of the scan as (row, col), object pixels."""

    intensity: Float[Tensor, " frame"] | None = None
    """Beam intensity in each frame relative to the mean; None when it is constant."""

    background: Float[Tensor, "row col"] | None = None
    """Photons per detector pixel that do not come from the sample; None for none."""

    variation: Variation | None = None
    """How the probe varies from frame to frame; None when it does not."""

    @classmethod
    def given(cls, probe: Complex[Tensor, "mode row col"], dataset: GroupDataset) -> "Nuisances":
        """Return the values of the scan file, on the device of the probe.

        Args:
            probe: modes in sqrt(photons) per object pixel.
            dataset: frames of the scan.
        """
        positions = torch.from_numpy(dataset.raw.positions)
        return cls(probe, positions, None, dataset.background).to(probe.device)

    def to(self, device: torch.device) -> "Nuisances":
        """Return the same on a device."""
        positions = self.positions
        if device.type == "mps":  # knows no float64
            positions = positions.float()
        return Nuisances(
            self.probe.to(device),
            positions.to(device),
            None if self.intensity is None else self.intensity.to(device),
            None if self.background is None else self.background.to(device),
            None if self.variation is None else self.variation.to(device),
        )

    def probes(
        self, fractions: Float[Tensor, "frame 2"], members: Int[Tensor, " frame"]
    ) -> Complex[Tensor, "frame mode row col"]:
        """Return the probe of each of some frames, at its beam intensity.

        Args:
            fractions: sub-pixel rests of their positions.
            members: which frames of the scan.
        """
        shifted = shift_probe(self.probe, fractions)
        if self.variation is not None:
            parts = self.variation.parts_of(self.probe, fractions)
            shifted = self.variation.added(shifted, parts, members)
        return self.at_beam(shifted, members)

    def at_beam(
        self, waves: Complex[Tensor, "frame mode row col"], members: Int[Tensor, " frame"]
    ) -> Complex[Tensor, "frame mode row col"]:
        """Return waves of some frames scaled to the beam intensity in each."""
        if self.intensity is None:
            return waves
        return waves * self.intensity[members].sqrt()[:, None, None, None]

    def with_background(
        self, coherent: Float[Tensor, "frame row col"]
    ) -> Float[Tensor, "frame row col"]:
        """Return expected photons per detector pixel, given those from the sample."""
        return coherent if self.background is None else coherent + self.background

    def with_beam(
        self, members: Int[Tensor, " frame"], factors: Float[Tensor, " frame"]
    ) -> "Nuisances":
        """Return the same with the beam intensity of some frames changed by factors."""
        n_frames = len(self.positions)
        before = factors.new_ones(n_frames) if self.intensity is None else self.intensity
        after = before.clone()
        after[members] *= factors
        return self._replace(intensity=after)

    def lines(
        self, given: "Nuisances", members: Int[np.ndarray, " member"], photons: float
    ) -> list[str]:
        """Return one log line for each nuisance parameter that was found.

        Args:
            given: the values before.
            members: frames that took part.
            photons: of the mean frame.
        """
        lines = []
        change = (self.positions - given.positions)[members]
        if change.any():
            rms = change.square().mean(dim=0).sqrt().tolist()
            lines.append(
                f"positions: corrected by {rms[0]:.3g} px in rows, {rms[1]:.3g} px in columns "
                f"(RMS), {float(change.abs().max()):.3g} px at most"
            )
        if self.intensity is not None:
            spread = float(self.intensity[members].std(correction=0))
            lines.append(f"beam intensity: {100 * spread:.2g} % variation between frames (RMS)")
        if self.background is not None:
            total = float(self.background.sum())
            lines.append(
                f"background: {total:.3g} of {photons:.3g} photons per frame "
                f"({100 * total / photons:.2g} %), {float(self.background.median()):.3g} on the "
                "median pixel"
            )
        if self.variation is not None:
            shares = self.variation.shares(torch.from_numpy(members))
            parts = ", ".join(f"{100 * share:.2g} %" for share in shares)
            lines.append(f"probe: varies over the scan, components with {parts} of its power")
        return lines

    def in_gauge(
        self,
        start: "Nuisances",
        members: Int[Tensor, " member"],
        background_sum: BackgroundSum | None,
    ) -> "Nuisances":
        """Return the same after an iteration, with what the frames cannot determine restored.

        A common shift of all positions is one of the object, a common factor of the intensities
        too. The mean over all frames of a varying probe is the probe.

        Args:
            start: positions and background of the scan file.
            members: frames that take part.
            background_sum: sums of the iteration for the background; None leaves it.
        """
        positions, intensity, background = self.positions, self.intensity, self.background
        if positions is not start.positions:
            drift = torch.zeros_like(positions)
            drift[members] = (positions - start.positions)[members].mean(dim=0)
            positions = positions - drift
        if intensity is not None:
            intensity = intensity / intensity[members].mean()
        if background_sum is not None:
            background = background_sum.background(start.background)
        probe, variation = self.probe, self.variation
        if variation is not None:
            variation, probe = variation.in_gauge(probe, members)
        return Nuisances(probe, positions, intensity, background, variation)


def beam_factors(photons: Float[Tensor, "frame 2"]) -> Float[Tensor, " frame"]:
    """Return the factor by which the beam intensity of each frame changes: sum (n - b) / sum I.

    Least squares with each pixel weighted by its Poisson variance, and the maximum of the Poisson
    likelihood when b = 0. A change that is slow over the scan cannot be separated from absorption
    in the sample; the object takes a part of it.

    Args:
        photons: of each frame sum (n - b) and sum I over the pixels to fit; b is the background,
            I what is expected from the sample, without background.
    """
    counted, modelled = photons.unbind(-1)
    return torch.where(modelled > 0, counted / modelled.clamp_min(1e-12), 1.0).clamp(0.5, 2.0)


def more_modes(
    probe: Complex[Tensor, "mode row col"], n_modes: int | None
) -> Complex[Tensor, "all_modes row col"]:
    """Return a probe with further weak modes, to be refined; None keeps the number it has.

    Raises:
        ConfigError: If it has more.
    """
    if n_modes is None:
        return probe
    if n_modes < len(probe):
        raise ConfigError(f"n_modes: {n_modes}; expected the {len(probe)} of the file, or more")
    return with_modes(probe, n_modes)


def log_modes(probe: Complex[Tensor, "mode row col"]) -> None:
    """Log the share of the power in each mode of a probe."""
    if len(probe) > 1:
        shares = ", ".join(f"{100 * share:.3g} %" for share in mode_shares(probe))
        log.info("probe: modes with %s of the power", shares)
