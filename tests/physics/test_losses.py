"""Laws of every row of the table of losses, and one value of each loss worked by hand."""

import math

import pytest
import torch

from ptycho.physics import LOSSES
from ptycho.physics.losses import Loss, amplitude_loss, poisson_loss

SQUARE = Loss(lambda expected, counted: (expected - counted).square())
"""A loss without a known limit of its noise."""


def frames(seed=0, low=1.0, high=11.0, shape=(3, 8, 8)):
    g = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(shape, generator=g, dtype=torch.float64)


@pytest.fixture(params=[*LOSSES, "square"])
def loss(request):
    return SQUARE if request.param == "square" else LOSSES[request.param]


def test_the_loss_is_zero_at_equality_and_above_zero_elsewhere(loss):
    amplitude = frames()
    assert loss(amplitude.square(), amplitude).item() == pytest.approx(0, abs=1e-6)
    for factor in (0.5, 0.9, 1.1, 2.0):
        assert loss(factor * amplitude.square(), amplitude) > 1e-4


@pytest.mark.parametrize(("factor", "sign"), [(0.8, -1), (1.25, 1)])
def test_the_gradient_points_away_from_the_measured_intensity_on_every_pixel(loss, factor, sign):
    amplitude = frames()
    expected = (factor * amplitude.square()).requires_grad_(True)
    loss(expected, amplitude).backward()
    assert (sign * expected.grad > 0).all()


def test_dark_pixels_keep_a_finite_gradient(loss):
    expected = torch.zeros(2, 2, requires_grad=True)
    loss(expected, torch.tensor([[0.0, 1.0], [2.0, 0.0]])).backward()
    assert torch.isfinite(expected.grad).all()


def test_masked_pixels_change_neither_loss_nor_gradient_nor_floor(loss):
    expected, amplitude = frames(0), frames(1, high=3.0)
    mask = torch.rand(8, 8, generator=torch.Generator().manual_seed(2)) > 0.3
    alone = loss(expected[:, mask][:, None], amplitude[:, mask][:, None])
    for spoiled in (0.0, 99.0):
        there = expected.masked_fill(~mask, spoiled).requires_grad_(True)
        found = loss(there, amplitude.masked_fill(~mask, 9.0), mask)
        torch.testing.assert_close(found, alone)
        found.backward()
        assert not there.grad[:, ~mask].any()
        floor = loss.noise_floor(there.detach(), mask)
        assert floor == pytest.approx(loss.noise_floor(expected[:, mask][:, None]), rel=1e-9)


@pytest.mark.parametrize("name", LOSSES)
def test_ten_times_the_dose_leaves_loss_and_relative_gradient_as_they_are(name):
    """Of the losses that are to be used for training; squares of counts grow with the dose."""
    amplitude = frames()
    expected = (1.3 * amplitude.square()).requires_grad_(True)
    brighter = (10 * expected.detach()).requires_grad_(True)
    low = LOSSES[name](expected, amplitude)
    high = LOSSES[name](brighter, math.sqrt(10) * amplitude)
    torch.testing.assert_close(low, high, rtol=1e-6, atol=0)
    low.backward()
    high.backward()
    torch.testing.assert_close(expected.grad, 10 * brighter.grad, rtol=1e-5, atol=0)


@pytest.mark.parametrize("brightest", [5.0, 60.0])
def test_the_floor_is_the_loss_of_the_truth(loss, brightest):
    g = torch.Generator().manual_seed(0)
    mean = torch.rand(64, 64, generator=g) ** 4 * brightest
    counted = torch.poisson(mean.expand(200, 64, 64), generator=g)
    seen = loss(mean.expand(200, 64, 64), counted.sqrt())
    assert loss.noise_floor(mean) == pytest.approx(seen.item(), rel=0.01)  # 8e5 numbers


def test_amplitude_loss_by_hand():
    """I = (4, 9), n = (1, 16): ((2-1)^2 + (3-4)^2) / 17."""
    loss = amplitude_loss(torch.tensor([[4.0, 9.0]]), torch.tensor([[1.0, 4.0]]))
    assert loss.item() == pytest.approx(2 / 17, rel=1e-5)


def test_poisson_loss_by_hand():
    """I = 2, n = 1: half of (2 - 1 + log(1/2)) / 1; a dark pixel adds half its I."""
    loss = poisson_loss(torch.tensor([[2.0, 3.0]]), torch.tensor([[1.0, 0.0]]))
    assert loss.item() == pytest.approx(0.5 * (1 - math.log(2) + 3), rel=1e-5)


def test_a_masked_loss_by_hand():
    expected, amplitude = torch.tensor([[4.0, 50.0]]), torch.tensor([[1.0, 0.0]])
    loss = amplitude_loss(expected, amplitude, torch.tensor([[True, False]]))
    assert float(loss) == pytest.approx(1.0, rel=1e-5)  # (2 - 1)^2 / 1


def test_the_two_losses_agree_for_small_deviations():
    amplitude = torch.full((4, 4), 100.0, dtype=torch.float64)
    expected = amplitude.square() * 1.001
    ratio = poisson_loss(expected, amplitude) / amplitude_loss(expected, amplitude)
    assert ratio.item() == pytest.approx(1, rel=2e-3)


def test_the_floor_of_dim_frames_by_hand():
    """I = 1e-2: n is 0 or 1 to first order, so g = (1 - I) I + I (1 - sqrt I)^2 = 1.80 I.

    The Poisson distance is I / 2 for n = 0 and (I - 1 - log I) / 2 for n = 1: 2.30 I in all.
    """
    dim = torch.full((4, 4), 1e-2)
    assert amplitude_loss.noise_floor(dim) == pytest.approx(0.99 + 0.81, rel=5e-3)
    assert poisson_loss.noise_floor(dim) == pytest.approx(0.495 + 0.5 * (4.605 - 0.99), rel=2e-2)


def test_the_floor_of_bright_frames_by_hand():
    """1/4 per pixel over 1000 photons per pixel."""
    assert amplitude_loss.noise_floor(torch.full((4, 4), 1000.0)) == pytest.approx(0.25 / 1000)


@pytest.mark.parametrize("mean", [0.01, 20.0, 1000.0])
def test_the_floor_of_squared_counts_by_hand(mean):
    """The variance of a Poisson number is its mean, so the floor is 1 at any dose."""
    assert SQUARE.noise_floor(torch.full((4, 4), mean)) == pytest.approx(1.0, rel=1e-6)
