"""Small random scans of every kind: the training set of a general network.

Data flow: [objects + probes + scans -> simulate -> noise] -> batches -> network -> ...
Pictures, probe, overlap, dose, contrast and the number of frames vary; the truth is known. Five
photographs are excluded and reserved for tests.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from ptycho.errors import ConfigError
from ptycho.physics.forward import ForwardModel
from ptycho.physics.patches import cut_patches, window_corners
from ptycho.physics.probe import probe_fwhm, probe_intensity, shift_probe
from ptycho.scan.dataset import GroupBatch
from ptycho.simulation import PHOTOGRAPHS
from ptycho.simulation.noise import count_photons
from ptycho.simulation.objects import dead_leaves, gaussian_field, grey_photograph
from ptycho.simulation.probes import (
    disc_probe,
    falling_powers,
    gaussian_probe,
    incoherent_modes,
    lens_probe,
)

KEPT_FOR_TESTS = ("camera", "clock", "coins", "rocket", "text")
"""Photographs that are not in the training set of the general network."""

_FRAMES = {1: 0.1, 4: 0.15, 9: 0.1, 16: 0.15, 36: 0.15, 64: 0.2, 144: 0.15}  # chance of each number
_FRAMES_AT_ONCE = 128  # in a batch, at least two scans
_MOST_SCANS = 16
_DARK_RIM = 1e-3  # share of a probe's power allowed on the border of its window


@dataclass(frozen=True, slots=True)
class DrawnScans:
    """A few scans of as many frames each, as the groups of one batch."""

    batch: GroupBatch
    """Counted frames."""

    probe: Complex[Tensor, "scan frame mode row col"]
    """The probe shifted to each position, scaled to the photons of the mean frame."""

    obj: Complex[Tensor, "scan height width"]
    """The true object on the canvas, in that scale: mean intensity about 1."""


class RandomScans:
    """An infinite sequence of batches of scans, reproducible by its seed.

    Args:
        seed: of all random numbers.
        frame_size: N, pixels.
        pictures: number of pictures to cut objects from.
        probes: number of probes.
    """

    def __init__(self, seed: int, *, frame_size: int = 64, pictures: int = 400, probes: int = 200):
        self._rng = np.random.default_rng(seed)
        self._room = 3 * frame_size // 2  # distance of the first and the last window, at most
        side = 2 * frame_size + self._room
        self._pictures = [_picture(self._rng, side) for _ in range(pictures)]
        self._waves = [_wave(self._rng, frame_size) for _ in range(probes)]

    def __iter__(self) -> Iterator[DrawnScans]:
        """Yield batches forever."""
        while True:
            yield self.draw()

    def draw(self) -> DrawnScans:
        """Return the next batch."""
        rng = self._rng
        n_frames = int(rng.choice(list(_FRAMES), p=list(_FRAMES.values())))
        n_scans = max(2, min(_MOST_SCANS, _FRAMES_AT_ONCE // n_frames))
        overlap = rng.uniform(0.1, 0.85)
        probes = self._modes(n_scans)
        steps = [max(1.5, (1 - overlap) * probe_fwhm(probe)) for probe in probes]
        positions = np.stack([self._path(n_frames, step) for step in steps])
        size = probes[0].shape[-1]
        corners, fractions = window_corners(torch.from_numpy(positions + size // 2), size)
        side = -(-(int(corners.max()) + size) // 8) * 8
        obj = torch.stack([self._object(side) for _ in probes])
        doses = 10 ** rng.uniform(2.3, 6.3, size=n_scans)
        shifted = torch.stack(
            [
                shift_probe(probe * math.sqrt(dose), where)
                for probe, dose, where in zip(probes, doses, fractions, strict=True)
            ]
        )
        return _counted(obj, shifted, corners, fractions, rng)

    def _modes(self, n_scans: int) -> list[Complex[Tensor, "mode row col"]]:
        """Return probes of power 1 with equal numbers of modes: one, sometimes two."""
        powers = falling_powers(2 if self._rng.random() < 0.15 else 1, 0.3)
        chosen = self._rng.integers(len(self._waves), size=n_scans)
        modes = (incoherent_modes(self._waves[i], powers) for i in chosen)
        return [torch.from_numpy(each.astype(np.complex64)) for each in modes]

    def _path(self, n_frames: int, step: float) -> Float[np.ndarray, "frame 2"]:
        """Return a displaced raster of a square number of positions, its first corner at 0."""
        per_row = math.isqrt(n_frames)
        path = step * np.stack(np.divmod(np.arange(n_frames), per_row), axis=1)
        path = path + self._rng.normal(size=path.shape) * min(1.0, 0.1 * step + 0.3)
        path = path - path.min(axis=0)
        return path * min(1.0, self._room / max(path.max(), 1e-9))

    def _object(self, side: int) -> Complex[Tensor, "height width"]:
        """Cut an object out of one or two pictures, of any contrast."""
        rng = self._rng
        modulus, angle = (self._cut(side) for _ in range(2))
        if rng.random() < 0.25:  # thickness affects both
            angle = modulus if rng.random() < 0.5 else 1 - modulus
        dark = 1.0 if rng.random() < 0.15 else rng.uniform(0.2, 0.95)
        phase = 0.0 if rng.random() < 0.05 else math.exp(rng.uniform(math.log(0.3), math.log(5)))
        obj = (dark + (1 - dark) * modulus) * np.exp(1j * phase * (angle - 0.5))
        return torch.from_numpy(obj.astype(np.complex64))

    def _cut(self, side: int) -> Float[np.ndarray, "row col"]:
        rng = self._rng
        picture = self._pictures[rng.integers(len(self._pictures))]
        row, col = rng.integers(0, len(picture) - side + 1, size=2)
        cut = np.rot90(picture[row : row + side, col : col + side], int(rng.integers(4)))
        cut = cut[::-1] if rng.random() < 0.5 else cut
        return 1 - cut if rng.random() < 0.5 else cut


def _counted(
    obj: Complex[Tensor, "scan height width"],
    probe: Complex[Tensor, "scan frame mode row col"],
    corners: Tensor,
    fractions: Tensor,
    rng: np.random.Generator,
) -> DrawnScans:
    """Draw photon counts of all frames; scale probe and object as for a scan from a file."""
    expected = ForwardModel().intensity(cut_patches(obj, corners, probe.shape[-1]), probe)
    counted = count_photons(expected.flatten(0, 1).numpy(), rng=rng).astype(np.float32)
    counts = torch.from_numpy(counted).reshape(expected.shape)
    power = probe_intensity(probe).sum(dim=(1, 2, 3))
    share = (counts.sum(dim=(1, 2, 3)) / power).clamp_min(1e-6).sqrt()
    members = torch.arange(corners[..., 0].numel()).reshape(corners.shape[:2])
    shape = (obj.shape[-2], obj.shape[-1])
    return DrawnScans(
        batch=GroupBatch(counts.sqrt(), corners, fractions.float(), members, shape),
        probe=probe * share[:, None, None, None, None],
        obj=obj / share[:, None, None],
    )


def _picture(rng: np.random.Generator, side: int) -> Float[np.ndarray, "row col"]:
    """Return a part of a photograph, or a drawing, scaled to 0 to 1."""
    kind = rng.random()
    if kind < 0.6:
        grey = _part_of_photograph(rng, side)
    elif kind < 0.8:
        grey = dead_leaves((side, side), rng)
    elif kind < 0.9:
        grey = gaussian_field((side, side), rng, exponent=rng.uniform(1.0, 3.0))
    else:
        grey = _blobs_and_bars((side, side), rng)
    grey = grey - grey.min()
    return (grey / max(float(grey.max()), 1e-9)).astype(np.float32)


def _part_of_photograph(rng: np.random.Generator, side: int) -> np.ndarray:
    import skimage.transform  # late: half a second, and only pre-training needs it here

    name = rng.choice([name for name in PHOTOGRAPHS if name not in KEPT_FOR_TESTS])
    grey = grey_photograph(str(name))
    shorter = min(grey.shape)
    part = int(rng.uniform(min(0.8 * side, shorter), shorter))
    row, col = (rng.integers(0, length - part + 1) for length in grey.shape)
    cut = grey[row : row + part, col : col + part]
    return skimage.transform.resize(cut, (side, side), order=1, anti_aliasing=True)


def _blobs_and_bars(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Superpose ellipses and bars of random size: particles, cells, wires."""
    rows, cols = np.indices(shape)
    grey = np.zeros(shape)
    for _ in range(rng.integers(5, 60)):
        row, col = rng.uniform(0, shape)
        angle = rng.uniform(0, math.pi)
        along = (rows - row) * math.cos(angle) + (cols - col) * math.sin(angle)
        across = (cols - col) * math.cos(angle) - (rows - row) * math.sin(angle)
        if rng.random() < 0.5:
            length = rng.uniform(1.5, 20.0)
            width = length * rng.uniform(0.5, 1.0)
            part = np.clip(1.5 - np.hypot(along / length, across / width), 0, 1)
        else:
            part = np.clip(rng.uniform(1.0, 6.0) - np.abs(along), 0, 1)
        grey += rng.uniform(0.3, 1.0) * part
    return np.clip(grey, 0, 1) if rng.random() < 0.5 else grey


def _wave(rng: np.random.Generator, size: int) -> Complex[np.ndarray, "row col"]:
    """Return a beam of power 1: disc, lens or Gaussian, its width 1/7 to 2/5 of the window."""
    while True:
        fwhm = size * math.exp(rng.uniform(math.log(0.14), math.log(0.4)))
        kind = rng.random()
        try:
            if kind < 0.5:
                wave = disc_probe(size, fwhm, fresnel_number=math.exp(rng.uniform(0.4, 2.1)))
            elif kind < 0.8:
                wave = lens_probe(size, fwhm, aperture=rng.uniform(0.08, 0.25))
            else:
                wave = _curved(gaussian_probe(size, fwhm), rng.uniform(-4, 4) * math.pi / fwhm**2)
        except ConfigError:  # an aperture that focuses no narrower: draw again
            continue
        wave = wave / np.linalg.norm(wave)
        power = np.abs(wave) ** 2
        if power[0].sum() + power[-1].sum() + power[:, 0].sum() + power[:, -1].sum() < _DARK_RIM:
            return wave


def _curved(wave: np.ndarray, curvature: float) -> np.ndarray:
    """Give a wave a spherical phase, curvature r^2, radians with r in pixels."""
    axis = np.arange(len(wave)) - len(wave) // 2
    return wave * np.exp(1j * curvature * (axis[:, None] ** 2 + axis**2))
