"""Resolution: the Fourier ring correlation of two complex objects.

Data flow: patches -> object -> [metrics] -> report.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Complex, Float
from scipy import ndimage


@dataclass(frozen=True, slots=True)
class RingCorrelation:
    """Correlation of two objects, ring by ring in Fourier space, up to Nyquist."""

    frequency: Float[np.ndarray, " ring"]
    """Centre of each ring, cycles per pixel; the last is 0.5, Nyquist."""

    correlation: Float[np.ndarray, " ring"]
    """Real part of the normalised correlation, 1 for equal objects; NaN in an empty ring."""

    half_bit: Float[np.ndarray, " ring"]
    """The correlation at which a pixel of the ring holds half a bit of information."""

    one_bit: Float[np.ndarray, " ring"]
    """The same for one bit."""

    @property
    def thresholds(self) -> dict[str, float | Float[np.ndarray, " ring"]]:
        """Common levels, by their name in documents."""
        return {"05": 0.5, "half_bit": self.half_bit, "one_bit": self.one_bit}

    @property
    def n_rings(self) -> int:
        """Number of rings up to Nyquist, without zero frequency."""
        return len(self.frequency) - 1

    def crossing(self, threshold: float | Float[np.ndarray, " ring"]) -> float:
        """Return where the correlation first falls below a threshold.

        Args:
            threshold: one number, or one for each ring.

        Returns:
            Frequency in cycles per pixel, linearly interpolated between rings; 0.5 (Nyquist) if the
            correlation never falls below, 0 if it is below from the first ring on.
        """
        above = self.correlation - threshold
        below = np.flatnonzero(~(above[1:] >= 0)) + 1
        if len(below) == 0:
            return float(self.frequency[-1])
        ring = below[0]
        if ring == 1:
            return 0.0
        if math.isnan(above[ring]):
            return float(self.frequency[ring - 1])
        part = above[ring - 1] / (above[ring - 1] - above[ring])
        step = self.frequency[ring] - self.frequency[ring - 1]
        return float(self.frequency[ring - 1] + part * step)


def fourier_ring_correlation(
    first: Complex[np.ndarray, "row col"], second: Complex[np.ndarray, "row col"]
) -> RingCorrelation:
    """Correlate two aligned objects ring by ring in Fourier space.

        FRC(q) = Re sum_ring F G* / sqrt(sum_ring |F|^2 sum_ring |G|^2)

    The mean is subtracted and a Hann window applied, so that the edges, equal in both, do not
    correlate. Ring k of n = min(row, col) // 2 is centred at k / 2n cycles per pixel. With
    x = n^-1/2 for n independent pixels in a ring, the levels are

        half-bit: (0.2071 + 1.9102 x) / (1.2071 + 0.9102 x)
        1-bit:    (0.5 + 2.4142 x) / (1.5 + 1.4142 x)

    Complex objects have no Friedel symmetry, and the window correlates neighbouring pixels.

    Args:
        first: an object.
        second: the other one, on the same pixels.

    Returns:
        The curve, from zero frequency to Nyquist.

    Source:
        van Heel & Schatz, J. Struct. Biol. 151, 250 (2005), eqs. 2 and 17.
    """
    height, width = first.shape
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
    spectra = [np.fft.fft2((obj - obj.mean()) * window) for obj in (first, second)]
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    n_rings = max(1, min(height, width) // 2)
    ring = np.floor(radius * 2 * n_rings + 0.5).astype(np.int64).ravel()

    def ring_sum(values: np.ndarray) -> np.ndarray:
        return np.bincount(ring, values.ravel(), minlength=n_rings + 1)[: n_rings + 1]

    shared = ring_sum((spectra[0] * spectra[1].conj()).real)
    power = np.sqrt(np.prod([ring_sum(np.square(np.abs(s))) for s in spectra], axis=0))
    correlation = np.divide(shared, power, out=np.full_like(power, np.nan), where=power > 0)
    independent = np.mean(window**2) ** 2 / np.mean(window**4)
    pixels = np.maximum(1, ring_sum(np.ones_like(radius)) * independent)
    x = 1 / np.sqrt(pixels)
    return RingCorrelation(
        frequency=np.arange(n_rings + 1) / (2 * n_rings),
        correlation=correlation,
        half_bit=(0.2071 + 1.9102 * x) / (1.2071 + 0.9102 * x),
        one_bit=(0.5 + 2.4142 * x) / (1.5 + 1.4142 * x),
    )


def inner_rectangle(mask: Bool[np.ndarray, "row col"]) -> tuple[slice, slice]:
    """Return a rectangle inside the mask that cannot be enlarged on any side.

    It is the largest square, extended on each side in turn. Holes of the mask count as part of it,
    so that a few unknown pixels do not exclude the rest.

    Args:
        mask: where the object is known; True somewhere.

    Returns:
        Its rows and columns.
    """
    filled = ndimage.binary_fill_holes(mask)
    depth = ndimage.distance_transform_cdt(np.pad(filled, 1), metric="chessboard")[1:-1, 1:-1]
    row, col = np.unravel_index(depth.argmax(), depth.shape)
    reach = int(depth[row, col]) - 1
    top, bottom = int(row) - reach, int(row) + reach + 1
    left, right = int(col) - reach, int(col) + reach + 1
    height, width = mask.shape
    while top > 0 and filled[top - 1, left:right].all():
        top -= 1
    while bottom < height and filled[bottom, left:right].all():
        bottom += 1
    while left > 0 and filled[top:bottom, left - 1].all():
        left -= 1
    while right < width and filled[top:bottom, right].all():
        right += 1
    return slice(top, bottom), slice(left, right)
