"""From waves on the detector to expected photons, and the step that measured photons ask for.

Data flow: batches -> network + [physics] -> trained model.
Modes add up incoherently; a detector may blur what falls on it; a background is one more
incoherent part.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from ptycho.experiment import Experiment
from ptycho.physics.counting import root_bias
from ptycho.physics.probe import probe_intensity

DIM = 1e-3
"""Photons added to those expected where a likelihood divides by them."""


class Measured(NamedTuple):
    """What frames have measured, and what of it may be used."""

    amplitude: Float[Tensor, "*batch row col"]
    """sqrt(photons) per detector pixel, zero frequency at N//2."""

    excluded: Bool[Tensor, "... row col"] | None = None
    """Pixels that constrain nothing, as bad or held-out ones; None for none."""

    background: Float[Tensor, "row col"] | None = None
    """Photons per detector pixel that do not come from the sample; None for none."""

    unbiased: bool = False
    """Whether `counting.root_bias` is made up for. The bias keeps the object smooth where frames
    overlap little, so it is a choice."""

    excess: float | None = None
    """Variance of a count beyond Poisson's, over its squared mean, of a likelihood; None asks for
    the measured modulus."""


class Detector:
    """A detector that counts what falls on each pixel."""

    def intensity(
        self, on_detector: Complex[Tensor, "*batch mode row col"]
    ) -> Float[Tensor, "*batch row col"]:
        """Return expected photons per pixel, background excluded.

        Args:
            on_detector: fields, sqrt(photons) per detector pixel.

        Source:
            Thibault & Menzel, Nature 494, 68 (2013), eq. 1.
        """
        return self.spread(probe_intensity(on_detector))

    def spread(self, photons: Float[Tensor, "*batch row col"]) -> Float[Tensor, "*batch row col"]:
        """Return photons after the point spread of the detector, which is its own adjoint.

        Args:
            photons: per pixel.
        """
        return photons

    def corrected(
        self, on_detector: Complex[Tensor, "*batch mode row col"], measured: Measured
    ) -> Complex[Tensor, "*batch mode row col"]:
        """Return waves that explain the measured amplitude better; phases and mode shares stay.

            Psi' = Psi B^T [ sqrt(n / I) ],   I = B |Psi|^2 + b

        or with sqrt(n) + `counting.root_bias` for sqrt(n), if `measured` asks for it. Without point
        spread B the modelled modulus becomes the measured one. In general Psi' - Psi is minus
        the gradient of sum (sqrt I - sqrt n)^2 with respect to conj(Psi).

        With an excess c the step follows the likelihood of counts of variance I + c I^2, negative
        binomial, or Poisson for c = 0:

            Psi' = Psi (1 + B^T [ (n / I - 1) / (1 + c I) ])

        Then Psi' - Psi is minus its gradient, of -log p(n | I), with respect to conj(Psi).

        Args:
            on_detector: fields, sqrt(photons) per detector pixel.
            measured: the frames.

        Source:
            Several modes: Thibault & Menzel, Nature 494, 68 (2013), eq. 3; as a gradient: Candes,
            Li & Soltanolkotabi, IEEE Trans. Inf. Theory 61, 1985 (2015); likelihoods of counts:
            Thibault & Guizar-Sicairos, New J. Phys. 14, 063004 (2012).
        """
        modelled = self.intensity(on_detector)
        if measured.background is not None:
            modelled = modelled + measured.background
        if measured.excess is not None:
            light = modelled + DIM
            ratio = (measured.amplitude.square() / light - 1) / (1 + measured.excess * light) + 1
            return self._multiplied(on_detector, ratio, measured)
        modelled = modelled.sqrt()
        # Where the model is this dark its phase is rounding error; a photon measured there is
        # ignored rather than given a random phase.
        floor = 1e-4 * modelled.amax(dim=(-2, -1), keepdim=True) + torch.finfo(modelled.dtype).tiny
        amplitude = measured.amplitude
        if measured.unbiased:
            amplitude = amplitude + root_bias(modelled)
        return self._multiplied(on_detector, amplitude / torch.maximum(modelled, floor), measured)

    def _multiplied(
        self,
        on_detector: Complex[Tensor, "*batch mode row col"],
        ratio: Float[Tensor, "*batch row col"],
        measured: Measured,
    ) -> Complex[Tensor, "*batch mode row col"]:
        """Return waves times a ratio of their pixels, spread; 1 where nothing is known."""
        if measured.excluded is not None:
            ratio = torch.where(measured.excluded, torch.ones_like(ratio), ratio)
        return on_detector * self.spread(ratio).unsqueeze(-3)

    def to(self, device: torch.device | str) -> "Detector":
        """Return the same on a device."""
        return self


@dataclass(frozen=True)
class BlurredDetector(Detector):
    """A detector whose pixels share photons with their neighbours, by a Gaussian point spread.

    Periodic at the border, so no photon is lost and the spread is symmetric: B = B^T, B 1 = 1.
    """

    matrix: Float[Tensor, "pixel pixel"]
    """Spread along one axis; rows and columns each sum to 1."""

    def spread(self, photons: Float[Tensor, "*batch row col"]) -> Float[Tensor, "*batch row col"]:
        """Return photons after the point spread, B photons B^T."""
        matrix = self.matrix.to(photons.dtype)
        return matrix @ photons @ matrix

    def to(self, device: torch.device | str) -> "BlurredDetector":
        """Return the same with its matrix on a device."""
        single = torch.device(device).type == "mps"  # knows no double precision
        matrix = self.matrix.float() if single else self.matrix
        return replace(self, matrix=matrix.to(device))


def detector_of(experiment: Experiment, size: int) -> Detector:
    """Return the detector of an experiment.

    Args:
        experiment: `blur` is the standard deviation of the point spread, pixels.
        size: N, pixels per side of a frame.
    """
    if experiment.blur == 0:
        return Detector()
    apart = torch.arange(size, dtype=torch.float64)
    apart = torch.minimum(apart, size - apart)
    profile = torch.exp(-0.5 * (apart / experiment.blur) ** 2)
    number = torch.arange(size)
    matrix = (profile / profile.sum())[(number[:, None] - number) % size]
    return BlurredDetector(matrix)
