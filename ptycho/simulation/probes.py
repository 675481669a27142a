"""Probes to simulate: shapes by name, and one or several incoherent modes.

Data flow: [probes] -> simulate -> RawData -> ...
A probe is (mode, row, col), complex64, centred at pixel N//2, sqrt(photons) per object pixel.
Knows no objects and no scans. The table of shapes is `ptycho.simulation.PROBES`.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Complex, Complex64, Float

from ptycho.errors import ConfigError
from ptycho.physics.probe import orthogonal_additions, probe_fwhm, scale_probe
from ptycho.simulation import PROBES


class ProbeShape(Protocol):
    """Makes the first mode of a probe."""

    def __call__(
        self, size: int, fwhm: float, *, aperture: float
    ) -> Complex[np.ndarray, "row col"]:
        """Return a wave of any scale; `make_probe` states the arguments."""


def make_probe(
    shape: str,
    size: int,
    *,
    fwhm: float,
    photons: float,
    aperture: float = 0.15,
    n_modes: int = 1,
    mode_decay: float = 0.3,
) -> Complex64[np.ndarray, "mode row col"]:
    """Return a probe of a given number of photons per frame through empty space.

    Args:
        shape: name in `ptycho.simulation.PROBES`.
        size: side N of the frame in object pixels.
        fwhm: diameter of the first mode at half its maximum intensity, object pixels.
        photons: sum |probe|^2 over pixels and modes.
        aperture: radius of the bright disc of a lens on the detector as a fraction of N.
        n_modes: incoherent modes.
        mode_decay: power of each mode over that of the mode before it, in (0, 1].

    Raises:
        ConfigError: If the shape is unknown, or the probe does not fit its frame.
    """
    if not 2.0 <= fwhm <= size / 2:
        raise ConfigError(
            f"probe_fwhm: {fwhm:g} in frames of {size}; expected 2 to {size / 2:g}, so that the "
            f"probe does not reach the border"
        )
    wave = PROBES.find(shape)(size, fwhm, aperture=aperture)
    modes = incoherent_modes(wave, falling_powers(n_modes, mode_decay))
    return scale_probe(torch.from_numpy(modes), photons).to(torch.complex64).numpy()


def gaussian_probe(
    size: int, fwhm: float, *, aperture: float = 0.0
) -> Complex[np.ndarray, "row col"]:
    """Return a spot with a flat wavefront: intensity exp(-4 ln2 r^2 / fwhm^2).

    Args:
        size: side of the frame in object pixels.
        fwhm: full width of the intensity at half its maximum, object pixels.
        aperture: not used.
    """
    axis = np.arange(size) - size // 2
    squared = axis[:, None] ** 2 + axis**2
    amplitude: np.ndarray = np.exp(-2.0 * np.log(2.0) * squared / fwhm**2)
    return amplitude.astype(np.complex128)


def disc_probe(
    size: int, fwhm: float, *, aperture: float = 0.0, fresnel_number: float = 3.5
) -> Complex[np.ndarray, "row col"]:
    """Return a bright disc a little out of focus: a pinhole, or its image, near the sample.

    The disc has a soft edge and is propagated by radius^2 / fresnel_number (wavelength * distance,
    in square pixels). Its sharp outline is known, so a single frame determines most of its patch.

    Args:
        size: side of the frame in object pixels.
        fwhm: diameter, as `physics.probe.probe_fwhm` measures it.
        aperture: not used.
        fresnel_number: of the defocus; large is in focus, below 1 is far field.

    Source:
        Goodman, Introduction to Fourier Optics, section 4.2 (Fresnel propagation).
    """
    return _of_width(fwhm, lambda d: _defocused_disc(size, d / 2, fresnel_number), 2.0 * fwhm)


def _defocused_disc(
    size: int, radius: float, fresnel_number: float
) -> Complex[np.ndarray, "row col"]:
    axis = np.arange(size) - size // 2
    distance = np.hypot(axis[:, None], axis)
    disc = 1.0 / (1.0 + np.exp(np.clip(distance - radius, -50.0, 50.0)))
    kernel = np.exp(-1j * np.pi * radius**2 / fresnel_number * _squared_frequency(size))
    wave: np.ndarray = np.fft.fftshift(np.fft.ifft2(np.fft.fft2(np.fft.ifftshift(disc)) * kernel))
    return wave


def lens_probe(size: int, fwhm: float, *, aperture: float = 0.15) -> Complex[np.ndarray, "row col"]:
    """Return the beam of a round lens, defocused to a width of `fwhm`.

    A lens of aperture a (cycles per pixel) illuminates a disc of radius a N on the detector; out of
    focus it also illuminates a disc of diameter about 2 a * defocus on the sample, with Fresnel
    fringes and a curved wavefront. Zone plates and electron probes are used in this way. Each frame
    is then close to an in-line hologram, and one alone hardly separates amplitude and phase:

        P = F^-1 [ A(k) exp(-i pi defocus k^2) ],   defocus = wavelength * distance / pixel^2

    Args:
        size: side of the frame in object pixels.
        fwhm: diameter, as `physics.probe.probe_fwhm` measures it.
        aperture: a, the radius of the bright disc as a fraction of N.

    Raises:
        ConfigError: If the aperture is out of range, or its beam is wider than `fwhm` in focus.

    Source:
        Goodman, Introduction to Fourier Optics, sections 4.2 and 5.2.
    """
    if not 0.02 <= aperture <= 0.35:
        raise ConfigError(f"aperture: {aperture:g}; expected 0.02 to 0.35 of the frame size")
    if _width(_lens_beam(size, aperture, 0.0)) > fwhm:
        raise ConfigError(
            f"aperture: {aperture:g} focuses no narrower than probe_fwhm = {fwhm:g} pixels; "
            f"expected a larger aperture or probe"
        )
    return _of_width(fwhm, lambda z: _lens_beam(size, aperture, z), 2.0 * size / aperture)


def _of_width(
    fwhm: float, wave_at: Callable[[float], Complex[np.ndarray, "row col"]], high: float
) -> Complex[np.ndarray, "row col"]:
    """Return the wave whose parameter, in (0, high), gives the width `fwhm`, to 0.1 %."""
    low, top = 0.0, high
    while top - low > 1e-3 * top:  # the width grows with the parameter: halve the interval
        middle = 0.5 * (low + top)
        if _width(wave_at(middle)) < fwhm:
            low = middle
        else:
            top = middle
    return wave_at(top)


def _lens_beam(size: int, aperture: float, defocus: float) -> Complex[np.ndarray, "row col"]:
    squared = _squared_frequency(size)
    # A hard edge would ring across the whole frame; this one falls over a third of the radius.
    pupil = 0.5 * (1.0 - np.tanh((np.sqrt(squared) - aperture) / (aperture / 6.0)))
    phase = np.exp(-1j * np.pi * defocus * squared)
    wave: np.ndarray = np.fft.fftshift(np.fft.ifft2(pupil * phase))
    return wave


def _squared_frequency(size: int) -> Float[np.ndarray, "row col"]:
    frequency = np.fft.fftfreq(size)
    squared: np.ndarray = frequency[:, None] ** 2 + frequency**2
    return squared


def _width(wave: Complex[np.ndarray, "row col"]) -> float:
    return probe_fwhm(torch.from_numpy(wave)[None])


def falling_powers(n_modes: int, decay: float) -> Float[np.ndarray, " mode"]:
    """Return the powers of modes: a falling geometric series with sum 1.

    Args:
        n_modes: number of modes.
        decay: power of each mode over that of the mode before it, in (0, 1].

    Raises:
        ConfigError: If the decay is out of range.
    """
    if not 0 < decay <= 1:
        raise ConfigError(f"mode_decay: {decay:g}; expected above 0 and at most 1")
    powers = decay ** np.arange(n_modes)
    normalised: np.ndarray = powers / powers.sum()
    return normalised


def incoherent_modes(
    wave: Complex[np.ndarray, "row col"], powers: Float[np.ndarray, " mode"]
) -> Complex[np.ndarray, "mode row col"]:
    """Return orthogonal modes that begin with a wave; the others are as in `orthogonal_additions`.

    Partial coherence of the source and motion during an exposure both have this form.

    Args:
        wave: first mode, any scale.
        powers: of each mode.
    """
    first = torch.from_numpy(wave / np.linalg.norm(wave))[None]
    modes = torch.cat([first, orthogonal_additions(first, len(powers) - 1)])
    scaled: np.ndarray = modes.numpy() * np.sqrt(powers)[:, None, None]
    return scaled
