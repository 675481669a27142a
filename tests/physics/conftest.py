"""What the tests of the physics share: seeded complex noise in double precision."""

import pytest
import torch


def complex_noise(*shape, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.complex128, generator=g)


@pytest.fixture(scope="session")
def noise():
    """A function of a shape and a seed that returns complex noise."""
    return complex_noise
