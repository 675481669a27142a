"""Objects to simulate: complex transmission from two pictures, photographs or drawings.

Data flow: [objects] -> simulate -> RawData -> ...
Amplitude and phase come from different pictures, so that a method that mixes them up is found.
Knows arrays only, no probes and no scans. The photographs are part of the scikit-image wheel;
nothing is downloaded. The table of pictures is `ptycho.simulation.PICTURES`.
"""

from typing import Protocol

import numpy as np
from jaxtyping import Complex64, Float

from ptycho.simulation import PICTURES


class Draw(Protocol):
    """Makes a picture."""

    def __call__(
        self, shape: tuple[int, int], rng: np.random.Generator
    ) -> Float[np.ndarray, "row col"]:
        """Return a grey picture of this (row, col) size, any range."""


def make_object(
    shape: tuple[int, int],
    amplitude: str,
    phase: str,
    *,
    amplitude_range: tuple[float, float] = (0.5, 1.0),
    phase_range: tuple[float, float] = (-1.0, 1.0),
    rng: np.random.Generator,
) -> Complex64[np.ndarray, "row col"]:
    """Return amplitude * exp(i phase), each from a picture stretched over its range.

    Args:
        shape: (row, col) size in object pixels.
        amplitude: picture of the transmission amplitude, in `ptycho.simulation.PICTURES`.
        phase: picture of the phase.
        amplitude_range: amplitudes of the darkest and the brightest pixel; 1 is empty space.
        phase_range: phases of the darkest and the brightest pixel, radians.
        rng: random numbers of the drawings.

    Raises:
        ConfigError: If a picture has no such name.
    """
    dark, bright = amplitude_range
    modulus = dark + (bright - dark) * picture(amplitude, shape, rng=rng)
    low, high = phase_range
    angle = low + (high - low) * picture(phase, shape, rng=rng)
    transmission: np.ndarray = modulus * np.exp(1j * angle)
    return transmission.astype(np.complex64)


def picture(
    name: str, shape: tuple[int, int], *, rng: np.random.Generator
) -> Float[np.ndarray, "row col"]:
    """Return a grey picture of any size, its darkest pixel 0 and its brightest 1.

    Args:
        name: in `ptycho.simulation.PICTURES`.
        shape: (row, col) size in pixels.
        rng: random numbers of the drawings.

    Raises:
        ConfigError: If no picture has this name.
    """
    grey = PICTURES.find(name)(shape, rng)
    low, high = float(grey.min()), float(grey.max())
    if high == low:
        return np.ones_like(grey)
    return (grey - low) / (high - low)


def photograph(
    name: str, shape: tuple[int, int], rng: np.random.Generator
) -> Float[np.ndarray, "row col"]:
    """Return the centre of a photograph in the aspect ratio asked for, resampled to the shape.

    Args:
        name: one of `ptycho.simulation.PHOTOGRAPHS`.
        shape: (row, col) size in pixels.
        rng: not used.
    """
    import skimage.transform

    grey = grey_photograph(name)
    height, width = grey.shape
    scale = min(height / shape[0], width / shape[1])
    rows, cols = (max(1, round(side * scale)) for side in shape)
    top, left = (height - rows) // 2, (width - cols) // 2
    middle = grey[top : top + rows, left : left + cols]
    resampled: np.ndarray = skimage.transform.resize(middle, shape, order=1, anti_aliasing=True)
    return resampled


def grey_photograph(name: str) -> Float[np.ndarray, "row col"]:
    """Return a photograph in grey, of its own size and range.

    Args:
        name: one of `ptycho.simulation.PHOTOGRAPHS`.
    """
    # Imported here: scikit-image takes half a second, and drawings do not need it.
    import skimage.color
    import skimage.data

    image: np.ndarray = getattr(skimage.data, name)()
    grey: np.ndarray = (
        skimage.color.rgb2gray(image[..., :3]) if image.ndim == 3 else image.astype(float)
    )
    return grey


def dead_leaves(shape: tuple[int, int], rng: np.random.Generator) -> Float[np.ndarray, "row col"]:
    """Return discs of random size and grey that cover the picture (dead leaves).

    Radii follow p(r) ~ r^-3, which gives edges at every scale, as in natural images.

    Args:
        shape: (row, col) size in pixels.
        rng: random numbers of the discs.

    Source:
        Lee, Mumford & Huang, Int. J. Comput. Vis. 41, 35 (2001).
    """
    height, width = shape
    smallest, largest = 3.0, max(6.0, min(shape) / 4)
    grey = np.zeros(shape)
    covered = np.zeros(shape, dtype=bool)
    rows, cols = np.ogrid[:height, :width]
    while not covered.all():
        # Inverse of the cumulative distribution of r^-3 between the two radii.
        share = rng.random()
        radius = (smallest**-2 - share * (smallest**-2 - largest**-2)) ** -0.5
        row, col = rng.uniform(-radius, np.array(shape) + radius)
        value = rng.random()
        top, left = max(0, int(row - radius)), max(0, int(col - radius))
        box = np.s_[top : int(row + radius) + 2, left : int(col + radius) + 2]
        inside = (rows[box[0]] - row) ** 2 + (cols[:, box[1]] - col) ** 2 <= radius**2
        # A new disc lies below the previous ones, so a covered picture is final.
        uncovered = inside & ~covered[box]
        grey[box][uncovered] = value
        covered[box] |= inside
    return grey


def siemens_star(
    shape: tuple[int, int], rng: np.random.Generator, *, spokes: int = 36
) -> Float[np.ndarray, "row col"]:
    """Return a star of spokes; the resolution follows from the radius where they vanish.

    Args:
        shape: (row, col) size in pixels.
        rng: not used.
        spokes: bright spokes of the star; a period is 2 pi radius / spokes pixels.
    """
    rows, cols = (np.arange(side) - (side - 1) / 2 for side in shape)
    radius = np.hypot(rows[:, None], cols)
    angle = np.arctan2(rows[:, None], cols)
    # Distance to the nearest edge along the arc; a pixel that an edge cuts is grey.
    edge = radius * np.arcsin(np.sin(spokes * angle)) / spokes
    star = np.clip(0.5 + edge, 0.0, 1.0)
    return np.where(radius <= 0.48 * min(shape), star, 0.0)


def gaussian_field(
    shape: tuple[int, int], rng: np.random.Generator, *, exponent: float = 1.5
) -> Float[np.ndarray, "row col"]:
    """Return a random field whose Fourier amplitudes fall as frequency^-exponent: clouds.

    Args:
        shape: (row, col) size in pixels.
        rng: random numbers of the white noise that is filtered.
        exponent: 0 is white noise; larger is smoother.
    """
    rows, cols = np.fft.fftfreq(shape[0]), np.fft.rfftfreq(shape[1])
    frequency = np.hypot(rows[:, None], cols)
    frequency[0, 0] = np.inf  # the mean follows from the range of the object
    spectrum = np.fft.rfft2(rng.standard_normal(shape)) * frequency**-exponent
    field: np.ndarray = np.fft.irfft2(spectrum, s=shape)
    return field


def line_grid(shape: tuple[int, int], rng: np.random.Generator) -> Float[np.ndarray, "row col"]:
    """Return stripes of 2 to 16 pixels: vertical in the upper half, horizontal in the lower half.

    Args:
        shape: (row, col) size in pixels.
        rng: not used.
    """
    rows, cols = np.indices(shape)
    # Four bands per half, one stripe width each.
    band = np.minimum(8 * rows // shape[0], 7)
    stripe = 2 ** (1 + band % 4)
    along = np.where(band < 4, cols, rows)
    lines: np.ndarray = (along // stripe) % 2
    return lines.astype(float)


def flat(shape: tuple[int, int], rng: np.random.Generator) -> Float[np.ndarray, "row col"]:
    """Return ones: as amplitude, a pure phase object; as phase, a pure amplitude object."""
    return np.ones(shape)
