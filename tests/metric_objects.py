"""Objects with known properties, for tests of metrics."""

import numpy as np

SHAPE = (72, 80)


def waves(shift=(0.0, 0.0), shape=SHAPE, seed=0):
    """An object of 40 plane waves, so that it can be evaluated at any sub-pixel shift."""
    rng = np.random.default_rng(seed)
    frequencies = rng.uniform(-0.12, 0.12, (40, 2))
    phases, parts = rng.uniform(0, 2 * np.pi, (2, 40)), rng.normal(size=(2, 40)) / np.sqrt(40)
    rows, cols = np.meshgrid(
        *(np.arange(n) - s for n, s in zip(shape, shift, strict=True)), indexing="ij"
    )
    angle = (
        2 * np.pi * (frequencies[:, 0, None, None] * rows + frequencies[:, 1, None, None] * cols)
    )
    real, imaginary = (
        np.tensordot(part, np.cos(angle + phase[:, None, None]), axes=1)
        for part, phase in zip(parts, phases, strict=True)
    )
    amplitude = 1 / (1 + np.exp(-real))
    return (amplitude * np.exp(1j * imaginary)).astype(np.complex64)


def middle(shape=SHAPE, margin=8):
    mask = np.zeros(shape, dtype=bool)
    mask[margin:-margin, margin:-margin] = True
    return mask


def white(shape=SHAPE, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def plane(ramp, shape=SHAPE):
    rows, cols = (np.arange(n) - (n - 1) / 2 for n in shape)
    return ramp[0] * rows[:, None] + ramp[1] * cols


def noise(side, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(side, side)) + 1j * rng.normal(size=(side, side))


def picture(side, seed=0):
    """Something smooth, with amplitude and phase."""
    spectrum = np.fft.fft2(noise(side, seed))
    radius = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side))
    smooth = np.fft.ifft2(spectrum * np.exp(-((radius / 0.08) ** 2)))
    smooth = smooth / np.abs(smooth).max()
    return (0.7 + 0.2 * smooth.real) * np.exp(0.8j * smooth.imag)
