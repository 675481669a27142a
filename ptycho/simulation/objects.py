"""Objects to simulate: complex transmission from two pictures, photographed or drawn.

Way of the data: [objects] -> simulate -> RawData -> ...
Amplitude and phase come from different pictures, so that a method which mixes them up is caught.
Knows arrays only: no probes, no scans. Photographs are those that scikit-image carries in its own
wheel; nothing is downloaded.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Complex64, Float

from ptycho.errors import ConfigError

PHOTOGRAPHS = (
    "astronaut",
    "brick",
    "camera",
    "cell",
    "chelsea",
    "clock",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "hubble_deep_field",
    "immunohistochemistry",
    "moon",
    "page",
    "retina",
    "rocket",
    "shepp_logan_phantom",
    "text",
)
"""Names in `skimage.data` that the wheel of scikit-image holds."""


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
        amplitude: picture of the transmission, a name known to `picture`.
        phase: picture of the phase.
        amplitude_range: transmission of the darkest and the brightest pixel; 1 is empty space.
        phase_range: phase of the darkest and the brightest pixel, radians.
        rng: for pictures that are drawn at random.

    Raises:
        ConfigError: If a picture has no such name.
    """
    dark, bright = amplitude_range
    modulus = dark + (bright - dark) * picture(amplitude, shape, rng=rng)
    low, high = phase_range
    angle = low + (high - low) * picture(phase, shape, rng=rng)
    return (modulus * np.exp(1j * angle)).astype(np.complex64)


def picture(
    name: str, shape: tuple[int, int], *, rng: np.random.Generator
) -> Float[np.ndarray, "row col"]:
    """Return a grey picture of any size, its darkest pixel 0 and its brightest 1.

    Args:
        name: one of `PHOTOGRAPHS` or `DRAWINGS`.
        shape: (row, col) size in pixels.
        rng: for drawings that are random.

    Raises:
        ConfigError: If no picture has this name.
    """
    if name in PHOTOGRAPHS:
        return _stretched(_photograph(name, shape))
    if name in DRAWINGS:
        return _stretched(DRAWINGS[name](shape, rng))
    known = ", ".join([*PHOTOGRAPHS, *DRAWINGS])
    raise ConfigError(f"picture: {name!r}; expected one of {known}")


def _stretched(grey: np.ndarray) -> np.ndarray:
    low, high = float(grey.min()), float(grey.max())
    if high == low:
        return np.ones_like(grey)
    return (grey - low) / (high - low)


def grey_photograph(name: str) -> Float[np.ndarray, "row col"]:
    """Return a photograph as it is kept, in grey, of its own size and range.

    Args:
        name: one of `PHOTOGRAPHS`.
    """
    # Late: scikit-image takes half a second, and drawings do without.
    import skimage.color
    import skimage.data

    image = getattr(skimage.data, name)()
    return skimage.color.rgb2gray(image[..., :3]) if image.ndim == 3 else image.astype(float)


def _photograph(name: str, shape: tuple[int, int]) -> np.ndarray:
    """Return the middle of a photograph in the aspect ratio asked for, resampled to the shape."""
    import skimage.transform

    grey = grey_photograph(name)
    height, width = grey.shape
    scale = min(height / shape[0], width / shape[1])
    rows, cols = (max(1, round(side * scale)) for side in shape)
    top, left = (height - rows) // 2, (width - cols) // 2
    middle = grey[top : top + rows, left : left + cols]
    return skimage.transform.resize(middle, shape, order=1, anti_aliasing=True)


def dead_leaves(shape: tuple[int, int], rng: np.random.Generator) -> Float[np.ndarray, "row col"]:
    """Drop discs of random size and grey until nothing is left uncovered.

    Radii follow p(r) ~ r^-3, which gives edges at every scale, as in natural pictures.

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
        # A leaf lies below those already there: the picture is finished once all is covered.
        fresh = inside & ~covered[box]
        grey[box][fresh] = value
        covered[box] |= inside
    return grey


def siemens_star(
    shape: tuple[int, int], rng: np.random.Generator, *, spokes: int = 36
) -> Float[np.ndarray, "row col"]:
    """Draw a star of alternating spokes: resolution is read off as the radius where they vanish.

    Args:
        shape: (row, col) size in pixels.
        rng: not used; a star is always the same.
        spokes: bright spokes of the star; a period is 2 pi radius / spokes pixels.
    """
    rows, cols = (np.arange(side) - (side - 1) / 2 for side in shape)
    radius = np.hypot(rows[:, None], cols)
    angle = np.arctan2(rows[:, None], cols)
    # Distance to the nearest edge along the arc: one pixel of grey where an edge cuts a pixel.
    edge = radius * np.arcsin(np.sin(spokes * angle)) / spokes
    star = np.clip(0.5 + edge, 0.0, 1.0)
    return np.where(radius <= 0.48 * min(shape), star, 0.0)


def gaussian_field(
    shape: tuple[int, int], rng: np.random.Generator, *, exponent: float = 1.5
) -> Float[np.ndarray, "row col"]:
    """Draw a random field whose Fourier amplitudes fall as frequency^-exponent: clouds.

    Args:
        shape: (row, col) size in pixels.
        rng: of the white noise that is filtered.
        exponent: 0 is white noise; larger is smoother.
    """
    rows, cols = np.fft.fftfreq(shape[0]), np.fft.rfftfreq(shape[1])
    frequency = np.hypot(rows[:, None], cols)
    frequency[0, 0] = np.inf  # no mean: the ranges of the object set it
    spectrum = np.fft.rfft2(rng.standard_normal(shape)) * frequency**-exponent
    return np.fft.irfft2(spectrum, s=shape)


def line_grid(shape: tuple[int, int], rng: np.random.Generator) -> Float[np.ndarray, "row col"]:
    """Draw stripes of 2 to 16 pixels: upright in the upper half, lying in the lower half.

    Args:
        shape: (row, col) size in pixels.
        rng: not used; the grid is always the same.
    """
    rows, cols = np.indices(shape)
    # Four bands per half, one stripe width each.
    band = np.minimum(8 * rows // shape[0], 7)
    stripe = 2 ** (1 + band % 4)
    along = np.where(band < 4, cols, rows)
    return ((along // stripe) % 2).astype(float)


def flat(shape: tuple[int, int], rng: np.random.Generator) -> Float[np.ndarray, "row col"]:
    """Return ones: as amplitude, a sample that only shifts the phase; as phase, none that does."""
    return np.ones(shape)


DRAWINGS: dict[str, Callable[..., Float[np.ndarray, "row col"]]] = {
    "leaves": dead_leaves,
    "siemens": siemens_star,
    "clouds": gaussian_field,
    "lines": line_grid,
    "flat": flat,
}
"""Pictures drawn by rule, at any size without resampling."""
