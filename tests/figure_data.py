"""A ground truth, a noisy estimate of it and a mask, for the tests of figures."""

import numpy as np


def pair():
    """A truth with a bright upper left quarter, and a noisy estimate of it."""
    rng = np.random.default_rng(0)
    truth = np.full((48, 40), 0.5 + 0j)
    truth[:24, :20] = np.exp(0.5j)
    noise = rng.normal(size=truth.shape) + 1j * rng.normal(size=truth.shape)
    return (truth + 0.02 * noise).astype(np.complex64), truth.astype(np.complex64)


def mask():
    """All but a rim of two pixels."""
    known = np.zeros((48, 40), dtype=bool)
    known[2:-2, 2:-2] = True
    return known


def two_modes():
    """A probe with 80 % of its power in the first mode."""
    rows, cols = np.mgrid[-8:8, -8:8] + 0.5
    bell = np.exp(-(rows**2 + cols**2) / 18)
    return np.stack([2 * bell, bell * np.exp(1j * rows / 4)]).astype(np.complex64)
