"""Probes to simulate: a disc, a lens out of focus or a Gaussian; one or several incoherent modes.

Way of the data: [probes] -> simulate -> RawData -> ...
A probe is (mode, row, col), complex64, centred at pixel N//2, sqrt(photons) per object pixel.
Knows no objects and no scans.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Complex, Complex64, Float

from ptycho.errors import ConfigError
from ptycho.physics.probe import probe_fwhm, scale_probe


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
    """Return a probe that brings a number of photons to every frame through empty space.

    Args:
        shape: "disc", "lens" or "gaussian".
        size: side N of the frame in object pixels.
        fwhm: diameter of the first mode at half its maximum intensity, object pixels.
        photons: sum |probe|^2 over pixels and modes.
        aperture: radius of the bright disc on the detector as a share of N; for "lens" only.
        n_modes: incoherent modes.
        mode_decay: power of each mode over that of the mode before it.

    Raises:
        ConfigError: If the shape is unknown, or the probe does not fit its frame.
    """
    if not 2.0 <= fwhm <= size / 2:
        raise ConfigError(
            f"probe_fwhm: {fwhm:g} in frames of {size}; expected 2 to {size / 2:g}, so that the "
            f"probe stays clear of the border"
        )
    if shape == "gaussian":
        wave = gaussian_probe(size, fwhm)
    elif shape == "disc":
        wave = disc_probe(size, fwhm)
    elif shape == "lens":
        wave = lens_probe(size, fwhm, aperture=aperture)
    else:
        raise ConfigError(f"probe: {shape!r}; expected disc, lens or gaussian")
    modes = incoherent_modes(wave, mode_shares(n_modes, mode_decay))
    return scale_probe(torch.from_numpy(modes), photons).to(torch.complex64).numpy()


def gaussian_probe(size: int, fwhm: float) -> Complex[np.ndarray, "row col"]:
    """Return a spot with a flat wavefront: intensity exp(-4 ln2 r^2 / fwhm^2).

    Args:
        size: side of the frame in object pixels.
        fwhm: full width of the intensity at half its maximum, object pixels.
    """
    axis = np.arange(size) - size // 2
    squared = axis[:, None] ** 2 + axis**2
    return np.exp(-2.0 * np.log(2.0) * squared / fwhm**2).astype(np.complex128)


def disc_probe(
    size: int, fwhm: float, *, fresnel_number: float = 3.5
) -> Complex[np.ndarray, "row col"]:
    """Return a bright disc a little out of focus: a pinhole, or its image, near the sample.

    The disc has a soft edge and is propagated by radius^2 / fresnel_number (wavelength * distance,
    in square pixels). Its sharp outline is known, so even a single frame tells most of its patch.

    Args:
        size: side of the frame in object pixels.
        fwhm: diameter asked for, as `physics.probe.probe_fwhm` measures it.
        fresnel_number: of the defocus; large is in focus, below 1 is far field.

    Source:
        Goodman, Introduction to Fourier Optics, section 4.2 (Fresnel propagation).
    """
    return _as_wide_as(fwhm, lambda d: _defocused_disc(size, d / 2, fresnel_number), 2.0 * fwhm)


def _defocused_disc(size: int, radius: float, fresnel_number: float) -> np.ndarray:
    axis = np.arange(size) - size // 2
    distance = np.hypot(axis[:, None], axis)
    disc = 1.0 / (1.0 + np.exp(np.clip(distance - radius, -50.0, 50.0)))
    kernel = np.exp(-1j * np.pi * radius**2 / fresnel_number * _squared_frequency(size))
    return np.fft.fftshift(np.fft.ifft2(np.fft.fft2(np.fft.ifftshift(disc)) * kernel))


def lens_probe(size: int, fwhm: float, *, aperture: float = 0.15) -> Complex[np.ndarray, "row col"]:
    """Return the beam of a round lens, out of focus by as much as makes it `fwhm` wide.

    A lens of aperture a (cycles per pixel) lights a disc of radius a N on the detector; moved out
    of focus it also lights a disc of diameter about 2 a * defocus on the sample, with Fresnel
    fringes and a curved wavefront. That is how zone plates and electron probes are used. Each
    frame is then close to an in-line hologram, and one alone hardly tells amplitude from phase:

        P = F^-1 [ A(k) exp(-i pi defocus k^2) ],   defocus = wavelength * distance / pixel^2

    Args:
        size: side of the frame in object pixels.
        fwhm: diameter asked for, as `physics.probe.probe_fwhm` measures it.
        aperture: a, the radius of the bright disc as a share of N.

    Raises:
        ConfigError: If the aperture is out of range, or in focus wider than asked for.

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
    return _as_wide_as(fwhm, lambda z: _lens_beam(size, aperture, z), 2.0 * size / aperture)


def _as_wide_as(fwhm: float, wave_at: Callable[[float], np.ndarray], high: float) -> np.ndarray:
    """Return the wave of the parameter in (0, high) that makes it `fwhm` wide, to 0.1 %."""
    low, top = 0.0, high
    while top - low > 1e-3 * top:  # the width grows with the parameter: halve the interval
        middle = 0.5 * (low + top)
        if _width(wave_at(middle)) < fwhm:
            low = middle
        else:
            top = middle
    return wave_at(top)


def _lens_beam(size: int, aperture: float, defocus: float) -> np.ndarray:
    squared = _squared_frequency(size)
    # A hard edge would ring across the whole frame; this one falls over a third of the radius.
    pupil = 0.5 * (1.0 - np.tanh((np.sqrt(squared) - aperture) / (aperture / 6.0)))
    return np.fft.fftshift(np.fft.ifft2(pupil * np.exp(-1j * np.pi * defocus * squared)))


def _squared_frequency(size: int) -> np.ndarray:
    frequency = np.fft.fftfreq(size)
    return frequency[:, None] ** 2 + frequency**2


def _width(wave: np.ndarray) -> float:
    return probe_fwhm(torch.from_numpy(wave)[None])


def mode_shares(n_modes: int, decay: float) -> Float[np.ndarray, " mode"]:
    """Return the share of the power in each mode: a falling geometric series with sum 1.

    Args:
        n_modes: how many.
        decay: share of a mode over that of the one before, in (0, 1].
    """
    if not 0 < decay <= 1:
        raise ConfigError(f"mode_decay: {decay:g}; expected above 0 and at most 1")
    powers = decay ** np.arange(n_modes)
    return powers / powers.sum()


def incoherent_modes(
    wave: Complex[np.ndarray, "row col"], shares: Float[np.ndarray, " mode"]
) -> Complex[np.ndarray, "mode row col"]:
    """Return orthogonal modes: the wave times Hermite-like polynomials of rising order.

    Partial coherence of the source and drift during an exposure both look like this.

    Args:
        wave: first mode, any scale.
        shares: power of each mode; sum 1.

    Source:
        Thibault & Menzel, Nature 494, 68 (2013): mixed states as orthogonal modes.
    """
    size = wave.shape[-1]
    axis = (np.arange(size) - size // 2) / size
    orders = sorted(
        ((a, b) for a in range(len(shares)) for b in range(len(shares))),
        key=lambda powers: (sum(powers), powers),
    )[: len(shares)]
    raw = [(wave * axis[:, None] ** a * axis**b).ravel() for a, b in orders]
    # QR is Gram-Schmidt: the first mode stays the wave itself, each next one loses what the
    # earlier ones already hold.
    basis, triangle = np.linalg.qr(np.stack(raw, axis=1))
    signed = basis * np.sign(np.diag(triangle).real)
    modes = signed.T.reshape(len(shares), size, size)
    return modes * np.sqrt(shares)[:, None, None]
