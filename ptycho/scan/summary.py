"""A scan in numbers, for the log: dose, positions, overlap, centring.

Data flow: file -> RawData -> [summary] -> log.
Reads a few hundred frames, never the whole stack.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import cKDTree

from ptycho.physics.probe import probe_fwhm
from ptycho.scan.raw_data import RawData
from ptycho.spread import spread

_SAMPLED_FRAMES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanSummary:
    """Numbers that show whether a scan was read correctly."""

    n_frames: int
    """M, diffraction frames."""

    size: int
    """N, rows and columns of a frame."""

    dtype: str
    """Type of a stored value."""

    measurement: str
    """What a stored value is: counts, intensity or amplitude."""

    photons: float
    """Mean photons per frame."""

    probe_photons: float
    """sum |probe|^2; more than `photons` if the sample absorbs."""

    n_modes: int
    """Incoherent modes of the probe."""

    fwhm: float
    """Diameter of the probe at half maximum, object pixels."""

    step: float
    """Median distance from a position to its nearest neighbour, object pixels."""

    extent: tuple[tuple[float, float], tuple[float, float]]
    """First and last row, first and last column of the positions."""

    centre: tuple[float, float]
    """(row, col) centre of mass of the mean frame; N//2 if well centred."""

    @property
    def overlap(self) -> float:
        """1 - step / probe diameter."""
        return 1.0 - self.step / self.fwhm

    def frames_sentence(self) -> str:
        """Return the frames in one line."""
        row, col = self.centre
        return (
            f"{self.n_frames:,} frames of {self.size} x {self.size} ({self.dtype}, "
            f"{self.measurement}), {self.photons:.3g} photons per frame, centre of mass at "
            f"({row:.1f}, {col:.1f}), expected {self.size // 2}"
        )

    def scan_sentence(self) -> str:
        """Return the positions and the probe in one line."""
        (top, bottom), (left, right) = self.extent
        modes = "1 mode" if self.n_modes == 1 else f"{self.n_modes} modes"
        return (
            f"rows {top:.1f} to {bottom:.1f}, columns {left:.1f} to {right:.1f}, step "
            f"{self.step:.2f} px; probe of {modes}, {self.fwhm:.1f} px wide, "
            f"{self.probe_photons:.3g} photons; overlap {self.overlap:.0%}"
        )


def summarise_scan(raw: RawData) -> ScanSummary:
    """Return the numbers of a scan.

    Args:
        raw: the scan; up to 256 of its frames, evenly spaced, are read.
    """
    frames = raw.intensity(spread(raw.n_frames, _SAMPLED_FRAMES))
    mean = frames.mean(axis=0, dtype=np.float64)
    axis, total = np.arange(raw.frame_size), max(mean.sum(), np.finfo(float).tiny)
    first, last = raw.positions.min(axis=0), raw.positions.max(axis=0)
    return ScanSummary(
        n_frames=raw.n_frames,
        size=raw.frame_size,
        dtype=str(raw.frames.dtype),
        measurement=raw.measurement,
        photons=float(mean.sum()),
        probe_photons=float(np.sum(np.abs(raw.probe) ** 2, dtype=np.float64)),
        n_modes=len(raw.probe),
        fwhm=probe_fwhm(torch.from_numpy(np.array(raw.probe))),
        step=nearest_step(raw.positions),
        extent=((float(first[0]), float(last[0])), (float(first[1]), float(last[1]))),
        centre=(float(mean.sum(axis=1) @ axis / total), float(mean.sum(axis=0) @ axis / total)),
    )


def nearest_step(positions: Float[np.ndarray, "position 2"]) -> float:
    """Return the median distance from a position to its nearest neighbour, pixels."""
    if len(positions) < 2:
        return 0.0
    distances, _ = cKDTree(positions).query(positions, k=2)
    return float(np.median(distances[:, 1]))
