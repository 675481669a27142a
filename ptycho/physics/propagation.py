"""From the exit wave behind the sample to the detector and back: far field and near field.

Data flow: batches -> network + [physics] -> trained model.
A propagator is unitary: energy is conserved, and its inverse is its adjoint.
"""

import math
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from ptycho.errors import ConfigError
from ptycho.experiment import Experiment


@runtime_checkable
class Propagator(Protocol):
    """What carries a wave to the detector and back."""

    def to_detector(
        self, exit_wave: Complex[Tensor, "*batch row col"]
    ) -> Complex[Tensor, "*batch row col"]:
        """Return the field on the detector, sqrt(photons) per detector pixel, same shape.

        Args:
            exit_wave: field behind the sample, sqrt(photons) per object pixel.
        """
        ...

    def to_sample(
        self, wave: Complex[Tensor, "*batch row col"]
    ) -> Complex[Tensor, "*batch row col"]:
        """Return the field behind the sample: inverse and adjoint of `to_detector`.

        Args:
            wave: field on the detector, sqrt(photons) per detector pixel.
        """
        ...

    def to(self, device: torch.device | str) -> "Propagator":
        """Return the same on a device."""
        ...


@dataclass(frozen=True, slots=True)
class FarField:
    """Fraunhofer diffraction: a unitary Fourier transform with pixel N//2 on the optical axis.

    With N even the transform about the middle is s F (s psi), where s = (-1)^(row + col): signs are
    changed in place of moving quadrants, which costs as much as the transform.

    Source:
        Goodman, Introduction to Fourier Optics, section 4.3.
    """

    def to_detector(
        self, exit_wave: Complex[Tensor, "*batch row col"]
    ) -> Complex[Tensor, "*batch row col"]:
        """Return the centred unitary Fourier transform."""
        signs = _signs(exit_wave)
        if signs is not None:
            return torch.fft.fft2(exit_wave * signs, norm="ortho") * signs
        wave = torch.fft.ifftshift(exit_wave, dim=(-2, -1))
        return torch.fft.fftshift(torch.fft.fft2(wave, norm="ortho"), dim=(-2, -1))

    def to_sample(
        self, wave: Complex[Tensor, "*batch row col"]
    ) -> Complex[Tensor, "*batch row col"]:
        """Return the centred inverse transform."""
        signs = _signs(wave)
        if signs is not None:
            return torch.fft.ifft2(wave * signs, norm="ortho") * signs
        back = torch.fft.ifft2(torch.fft.ifftshift(wave, dim=(-2, -1)), norm="ortho")
        return torch.fft.fftshift(back, dim=(-2, -1))

    def to(self, device: torch.device | str) -> "FarField":
        """Return itself: it holds no tensor."""
        return self


def _signs(waves: Complex[Tensor, "*batch row col"]) -> Float[Tensor, "row col"] | None:
    """Return (-1)^(row + col); None for windows of an odd number of pixels."""
    height, width = waves.shape[-2:]
    if height % 2 or width % 2:
        return None
    row, col = (
        1 - 2 * (torch.arange(n, device=waves.device, dtype=waves.real.dtype) % 2)
        for n in (height, width)
    )
    return row[:, None] * col


@dataclass(frozen=True, slots=True)
class NearField:
    """Fresnel diffraction over a short distance, on the grid of the object.

        Psi = F^-1 [ exp(-i pi k^2 / f) F psi ],   f = pixel^2 / (wavelength * distance)

    with k in cycles per pixel. What leaves the window on one side returns on the other, so the
    probe has to be dim at the rim. The kernel is sampled finely enough for f >= 1 / N, which
    `near_field` checks.

    Source:
        Goodman, Introduction to Fourier Optics, section 4.2; sampling: Voelz & Roggemann, Appl.
        Opt. 48, 6132 (2009).
    """

    kernel: Complex[Tensor, "row col"]
    """Transfer function, zero frequency first."""

    def to_detector(
        self, exit_wave: Complex[Tensor, "*batch row col"]
    ) -> Complex[Tensor, "*batch row col"]:
        """Return the wave after the distance."""
        return torch.fft.ifft2(torch.fft.fft2(exit_wave) * self.kernel.to(exit_wave.dtype))

    def to_sample(
        self, wave: Complex[Tensor, "*batch row col"]
    ) -> Complex[Tensor, "*batch row col"]:
        """Return the wave before the distance."""
        return torch.fft.ifft2(torch.fft.fft2(wave) * self.kernel.to(wave.dtype).conj())

    def to(self, device: torch.device | str) -> "NearField":
        """Return the same with its kernel on a device."""
        single = torch.device(device).type == "mps"  # knows no double precision
        kernel = self.kernel.to(torch.complex64) if single else self.kernel
        return replace(self, kernel=kernel.to(device))


def far_field(experiment: Experiment, size: int) -> FarField:
    """Return far-field propagation; neither argument matters to it."""
    return FarField()


def near_field(experiment: Experiment, size: int) -> NearField:
    """Return near-field propagation over the distance of an experiment.

    Args:
        experiment: its Fresnel number of a pixel is used, or the one that its geometry gives.
        size: N, pixels per side of a frame.

    Raises:
        ConfigError: If the Fresnel number is unknown, or too small for frames of this size.
    """
    number = experiment.fresnel_number or experiment.geometry.fresnel_number()
    if number is None:
        raise ConfigError(
            "propagation near: no fresnel_number; expected it, or wavelength, distance and pixel"
        )
    if number < 1 / size:
        raise ConfigError(
            f"fresnel_number: {number:.3g} in frames of {size} pixels; expected {1 / size:.3g} or "
            "more, as the kernel is under-sampled below; reconstruct it as far field"
        )
    frequency = torch.fft.fftfreq(size, dtype=torch.float64)
    squared = frequency[:, None].square() + frequency.square()
    return NearField(torch.polar(torch.ones_like(squared), -math.pi * squared / number))
