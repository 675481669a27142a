"""Laws of the losses and one value of each worked by hand."""

import math

import pytest
import torch

from ptycho.physics.losses import LOSSES, amplitude_loss, poisson_floor, poisson_loss


def test_amplitude_loss_by_hand():
    """I = (4, 9), n = (1, 16): ((2-1)^2 + (3-4)^2) / 17."""
    loss = amplitude_loss(torch.tensor([[4.0, 9.0]]), torch.tensor([[1.0, 4.0]]))
    assert loss.item() == pytest.approx(2 / 17, rel=1e-5)


def test_poisson_loss_by_hand():
    """I = 2, n = 1: half of (2 - 1 + log(1/2)) / 1; a dark pixel adds half its I."""
    loss = poisson_loss(torch.tensor([[2.0, 3.0]]), torch.tensor([[1.0, 0.0]]))
    assert loss.item() == pytest.approx(0.5 * (1 - math.log(2) + 3), rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_the_measured_intensity_is_the_minimum(name):
    amplitude = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0)) * 10 + 1
    best = LOSSES[name](amplitude.square(), amplitude)
    assert best.item() == pytest.approx(0, abs=1e-6)
    for factor in (0.9, 1.1):
        assert LOSSES[name](factor * amplitude.square(), amplitude) > best + 1e-4


@pytest.mark.parametrize("name", LOSSES)
def test_ten_times_the_dose_leaves_loss_and_relative_gradient_as_they_are(name):
    g = torch.Generator().manual_seed(0)
    amplitude = torch.rand(3, 8, 8, generator=g, dtype=torch.float64) * 10 + 1
    expected = amplitude.square() * 1.3
    low = LOSSES[name](expected, amplitude)
    high = LOSSES[name](10 * expected, math.sqrt(10) * amplitude)
    torch.testing.assert_close(low, high, rtol=1e-6, atol=0)


def test_the_two_losses_agree_for_small_deviations():
    amplitude = torch.full((4, 4), 100.0, dtype=torch.float64)
    expected = amplitude.square() * 1.001
    ratio = poisson_loss(expected, amplitude) / amplitude_loss(expected, amplitude)
    assert ratio.item() == pytest.approx(1, rel=2e-3)


def test_dark_pixels_keep_a_finite_gradient():
    for loss in LOSSES.values():
        expected = torch.zeros(2, 2, requires_grad=True)
        loss(expected, torch.tensor([[0.0, 1.0], [2.0, 0.0]])).backward()
        assert torch.isfinite(expected.grad).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_the_floor_is_the_loss_of_the_truth(loss):
    g = torch.Generator().manual_seed(0)
    mean = torch.rand(64, 64, generator=g) ** 4 * 50
    frames = torch.poisson(mean.expand(200, 64, 64), generator=g)
    seen = LOSSES[loss](mean.expand(200, 64, 64), frames.sqrt())
    assert poisson_floor(mean, loss) == pytest.approx(seen.item(), rel=0.01)  # 8e5 draws


def test_the_floor_of_dim_frames_by_hand():
    """I = 1e-2: n is 0 or 1 to first order, so g = (1 - I) I + I (1 - sqrt I)^2 = 1.80 I.

    The Poisson distance is I / 2 for n = 0 and (I - 1 - log I) / 2 for n = 1: 2.30 I in all.
    """
    dim = torch.full((4, 4), 1e-2)
    assert poisson_floor(dim) == pytest.approx(0.99 + 0.81, rel=5e-3)
    assert poisson_floor(dim, "poisson") == pytest.approx(0.495 + 0.5 * (4.605 - 0.99), rel=2e-2)


def test_the_floor_of_bright_frames_by_hand():
    """1/4 per pixel over 1000 photons per pixel."""
    assert poisson_floor(torch.full((4, 4), 1000.0)) == pytest.approx(0.25 / 1000)
