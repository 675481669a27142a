"""The mean root of a count, against sums over the Poisson distribution."""

import math

import torch

from ptycho.physics.counting import root_bias


def mean_root(expected: float) -> float:
    """Return E[sqrt n] of a Poisson count, term by term."""
    terms, chance = [], math.exp(-expected)
    for n in range(1, 400):
        chance *= expected / n
        terms.append(math.sqrt(n) * chance)
    return sum(terms)


def test_value_by_hand() -> None:
    # For one photon: sqrt(1) - e^-1 (1 + 0.7071 + 0.2887 + 0.0833 + 0.0186 + 0.0034) = 0.227
    assert abs(float(root_bias(torch.tensor(1.0))) - 0.227) < 0.016


def test_every_mean() -> None:
    for expected in (1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0, 100.0):
        root = math.sqrt(expected)
        found = float(root_bias(torch.tensor(root, dtype=torch.float64)))
        assert abs(found - (root - mean_root(expected))) < 0.016, expected


def test_limits() -> None:
    dim, bright = torch.tensor([1e-6, 1e4], dtype=torch.float64)
    assert math.isclose(float(root_bias(dim)), 1e-6, rel_tol=1e-4)
    assert math.isclose(float(root_bias(bright)), 1 / (8 * 1e4), rel_tol=1e-3)
