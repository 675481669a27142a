"""Probes that could have made the frames of a scan, where its file holds none or a wrong one.

Data flow: frames -> [mean frame, extent of the exit waves] -> probes to start from.
The mean frame is, up to interference with the sample, the power spectrum of the probe. What is
unknown is the phase of that spectrum: a lens out of focus gives it a quadratic one, of either sign.
How far out of focus shows in how fine the speckles of the frames are, but a sample of few details
makes them coarser: the defocus may be several times what they say, so many are proposed.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Complex64, Float

from ptycho.scan.raw_data import RawData
from ptycho.spread import spread

_FRAMES = 128
_STEP = 1.4
"""Ratio of neighbouring defoci: refinement bridges half of it."""
_FACTORS = tuple(_STEP**power for power in range(-2, 6))
"""Defoci proposed, relative to the one that fits the extent of the exit waves best."""
_SIZES = (1.0, _STEP, _STEP**2)
"""Radii proposed, relative to the same."""
_DEFOCI = 40


class Candidate(NamedTuple):
    """A probe to start from."""

    name: str
    probe: Complex64[np.ndarray, "1 n n"]
    defocus: float = 0.0
    """Wavelength times distance over the square of the object pixel, pixels squared."""


def candidates(raw: RawData) -> list[Candidate]:
    """Return probes to start from: one in focus, defoci of both signs, Gaussians and discs.

    Args:
        raw: the scan; its own probe is not looked at.
    """
    frames = raw.intensity(spread(raw.n_frames, _FRAMES)).astype(np.float64)
    mean = _mean(raw, frames)
    extent, size = _extent(frames, mean), len(mean)
    defoci = np.concatenate([[0.0], np.geomspace(0.5, 4.0 * size, _DEFOCI)])
    misfits = [_misfit(_wave(np.sqrt(mean), z), extent) for z in defoci]
    best = float(defoci[int(np.argmin(misfits))])
    proposed = [sign * factor * best for factor in _FACTORS for sign in (1, -1) if best > 0]
    found = [_defocused(mean, z) for z in (0.0, *proposed)]
    for factor in _SIZES:
        radius = factor * _radius(extent)
        for kind, wave in (("Gaussian", _gaussian(size, radius)), ("disc", _disc(size, radius))):
            found.append(Candidate(f"{kind} of {radius:.1f} px", _as_probe(wave)))
    return found


def between(raw: RawData, candidate: Candidate) -> list[Candidate]:
    """Return the candidates half a step from one that is defocused, none for others."""
    if candidate.defocus == 0:
        return []
    mean = _mean(raw, raw.intensity(spread(raw.n_frames, _FRAMES)).astype(np.float64))
    return [_defocused(mean, candidate.defocus * _STEP**power) for power in (-0.5, 0.5)]


def _mean(raw: RawData, frames: Float[np.ndarray, "frame row col"]) -> Float[np.ndarray, "row col"]:
    mean: np.ndarray = frames.mean(axis=0)
    return mean if raw.mask is None else np.where(raw.mask, mean, np.median(mean[raw.mask]))


def _defocused(mean: Float[np.ndarray, "row col"], defocus: float) -> Candidate:
    name = f"defocused by {defocus:+.3g} px^2" if defocus else "in focus"
    return Candidate(name, _as_probe(_wave(np.sqrt(mean), defocus)), defocus)


def _extent(
    frames: Float[np.ndarray, "frame row col"], mean: Float[np.ndarray, "row col"]
) -> Float[np.ndarray, "row col"]:
    """Return the autocorrelation of the intensity of the probe, as far as the frames show it.

        <|F(n - <n>)|^2>(r) ~ sum_x |P(x)|^2 |P(x + r)|^2

    for a sample that varies from pixel to pixel; its noise, the same everywhere, is subtracted.
    """
    changes = np.fft.fft2(frames - mean)
    power = np.fft.fftshift((np.abs(changes) ** 2).mean(axis=0))
    noise = frames.sum(axis=(1, 2)).mean()
    return np.clip(power - noise, 0, None)


def _profile(image: Float[np.ndarray, "row col"]) -> Float[np.ndarray, " radius"]:
    """Return the mean over circles about the middle, without the middle itself."""
    size = len(image)
    axis = np.arange(size) - size // 2
    ring = np.hypot(axis[:, None], axis).round().astype(int)
    inside = ring < size // 2
    sums = np.bincount(ring[inside], image[inside], minlength=size // 2)
    counts = np.bincount(ring[inside], minlength=size // 2)
    profile: np.ndarray = (sums / counts)[1:]
    return profile


def _misfit(wave: np.ndarray, extent: Float[np.ndarray, "row col"]) -> float:
    """Return how badly the intensity of a wave explains the extent of the exit waves."""
    spectrum = np.fft.fft2(np.abs(wave) ** 2)
    shape = np.fft.fftshift(np.fft.ifft2(np.abs(spectrum) ** 2).real)
    modelled, measured = (np.sqrt(np.clip(_profile(p), 0, None)) for p in (shape, extent))
    scale = (modelled @ measured) / max(modelled @ modelled, 1e-30)
    return float(np.square(measured - scale * modelled).sum() / np.square(measured).sum())


def _radius(extent: Float[np.ndarray, "row col"]) -> float:
    """Return the root mean square radius of the intensity of the probe, pixels."""
    profile = _profile(extent)
    radius = np.arange(1, len(profile) + 1)
    total = float((profile * radius).sum())
    if total <= 0:
        return len(extent) / 8
    # The autocorrelation of an intensity is wider by the root of 2.
    wide = float((profile * radius**3).sum()) / total
    return max(1.5, float(np.sqrt(wide / 2)))


def _wave(modulus: Float[np.ndarray, "row col"], defocus: float) -> np.ndarray:
    """Return the wave of a spectrum of a given modulus and the phase pi defocus k^2.

    Args:
        modulus: zero frequency in the middle.
        defocus: wavelength times distance over the square of the object pixel, pixels squared.
    """
    size = len(modulus)
    axis = (np.arange(size) - size // 2) / size
    squared = axis[:, None] ** 2 + axis**2
    spectrum = modulus * np.exp(-1j * np.pi * defocus * squared)
    wave: np.ndarray = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(spectrum), norm="ortho"))
    return wave


def _gaussian(size: int, radius: float) -> np.ndarray:
    axis = np.arange(size) - size // 2
    wave: np.ndarray = np.exp(-(axis[:, None] ** 2 + axis**2) / (2 * radius**2))
    return wave.astype(complex)


def _disc(size: int, radius: float) -> np.ndarray:
    axis = np.arange(size) - size // 2
    away = np.hypot(axis[:, None], axis) - np.sqrt(2) * radius
    wave: np.ndarray = 1 / (1 + np.exp(np.clip(away, -50, 50)))
    return wave.astype(complex)


def _as_probe(wave: np.ndarray) -> Complex64[np.ndarray, "1 n n"]:
    probe: np.ndarray = wave[None].astype(np.complex64)
    return probe
