"""Laws of the probe: shifts, scale, size, modes; and values worked by hand."""

import math

import pytest
import torch

from ptycho.physics.probe import (
    largest_pair_distance,
    mode_shares,
    orthogonal_modes,
    probe_fwhm,
    probe_intensity,
    probe_likeness,
    probe_window,
    scale_probe,
    shift_probe,
    unshift_to_probe,
    with_modes,
)


def gaussian(size, sigma, centre=(0.0, 0.0)):
    """One mode whose intensity has a standard deviation of sigma, about N//2 + centre."""
    row, col = (torch.arange(size, dtype=torch.float64) - size // 2 - shift for shift in centre)
    amplitude = torch.exp(-(row[:, None] ** 2 + col**2) / (4 * sigma**2))
    return amplitude[None].to(torch.complex128)


def gram(probe):
    flat = probe.flatten(1)
    return flat.conj() @ flat.mT


@pytest.mark.parametrize("size", [7, 8])
def test_a_whole_pixel_shift_rolls_the_probe(noise, size):
    probe = noise(2, size, size)
    shifted = shift_probe(probe, torch.tensor([[1.0, -2.0]], dtype=torch.float64))
    torch.testing.assert_close(shifted[0], torch.roll(probe, (1, -2), dims=(-2, -1)))


def test_a_shifted_gaussian_is_the_gaussian_elsewhere():
    shift = torch.tensor([0.5, -0.25], dtype=torch.float64)
    found = shift_probe(gaussian(48, 3.0), shift)
    torch.testing.assert_close(found, gaussian(48, 3.0, (0.5, -0.25)), rtol=0, atol=1e-6)


def test_shifts_keep_energy_and_add_up(noise):
    probe = noise(2, 8, 8)
    half = torch.tensor([0.5, -0.25], dtype=torch.float64)
    once = shift_probe(probe, half)
    torch.testing.assert_close(
        once.abs().square().sum(dim=(-2, -1)), probe.abs().square().sum(dim=(-2, -1))
    )
    twice = shift_probe(once, half)
    torch.testing.assert_close(twice, shift_probe(probe, 2 * half))


def test_unshift_is_the_adjoint_of_shift(noise):
    g = torch.Generator().manual_seed(0)
    fractions = torch.rand(5, 2, dtype=torch.float64, generator=g) - 0.5
    probe, waves = noise(2, 8, 8), noise(5, 2, 8, 8, seed=1)
    left = torch.vdot(shift_probe(probe, fractions).flatten(), waves.flatten())
    right = torch.vdot(probe.flatten(), unshift_to_probe(waves, fractions).flatten())
    torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)  # float64, 640 terms


def test_probe_intensity_sums_modes():
    probe = torch.tensor([[[3.0 + 4.0j]], [[1.0j]]])
    assert probe_intensity(probe).item() == 26.0


def test_scaled_probe_has_the_photons_asked_for():
    probe = scale_probe(torch.full((2, 2, 2), 3.0, dtype=torch.complex128), 32.0)
    torch.testing.assert_close(probe, torch.full((2, 2, 2), 2.0, dtype=torch.complex128))


@pytest.mark.parametrize(("value", "photons"), [(0.0, 1.0), (1.0, 0.0), (1.0, -3.0)])
def test_a_scale_that_cannot_be_is_refused(value, photons):
    with pytest.raises(ValueError, match="expected both above 0"):
        scale_probe(torch.full((1, 2, 2), value, dtype=torch.complex64), photons)


def test_fwhm_of_a_gaussian_is_its_fwhm():
    expected = 2 * math.sqrt(2 * math.log(2)) * 6.0  # of the intensity exp(-r^2 / 2 sigma^2)
    # The disc is counted in whole pixels; a mean of 3 x 3 adds 2/3 to a variance of 36.
    assert probe_fwhm(gaussian(64, 6.0)) == pytest.approx(expected, rel=0.03)


def test_one_bright_speckle_does_not_shrink_the_fwhm():
    probe = gaussian(64, 6.0)
    bright = probe.clone()
    bright[0, 30, 30] *= 1.5
    assert probe_fwhm(bright) == pytest.approx(probe_fwhm(probe), rel=0.2)


def test_window_holds_the_share_of_energy():
    probe = torch.zeros(1, 32, 32, dtype=torch.complex64)
    probe[0, 12:20, 12:20] = 1.0
    assert probe_window(probe, 0.999, 4) == 8
    assert probe_window(torch.ones(1, 32, 32, dtype=torch.complex64), 0.999, 8) == 32


def test_the_largest_distance_by_hand():
    """(1 - 0.6) * 10."""
    assert largest_pair_distance(10.0, 0.6) == pytest.approx(4.0)
    assert largest_pair_distance(10.0, 0.0) == 10.0


@pytest.mark.parametrize(("diameter", "overlap"), [(10.0, 1.0), (10.0, -0.1), (0.0, 0.5)])
def test_an_overlap_that_cannot_be_is_refused(diameter, overlap):
    with pytest.raises(ValueError, match="expected 0 to below 1, and a diameter above 0"):
        largest_pair_distance(diameter, overlap)


def test_likeness_knows_shapes_and_no_scales(noise):
    probe = noise(2, 8, 8)
    assert probe_likeness(probe, 3j * probe) == pytest.approx(1.0)
    corners = torch.zeros(2, 1, 2, 2, dtype=torch.complex64)
    corners[0, 0, 0, 0] = corners[1, 0, 1, 1] = 1.0
    assert probe_likeness(corners[0], corners[1]) == pytest.approx(0.0)


@pytest.mark.parametrize(("before", "after"), [(1, 2), (1, 6), (2, 3), (3, 3)])
def test_added_modes_are_orthogonal_to_all_and_the_power_stays(noise, before, after):
    probe = noise(before, 8, 8, seed=before)
    more = with_modes(probe, after, share=0.02)
    assert len(more) == after
    products = gram(more)
    assert products[before:].abs().sum() == pytest.approx(
        float(products.diagonal()[before:].abs().sum())
    )
    torch.testing.assert_close(probe_intensity(more).sum(), probe_intensity(probe).sum())
    assert mode_shares(more)[before:] == pytest.approx([0.02] * (after - before))
    torch.testing.assert_close(more[:before] / more[0, 0, 0], probe / probe[0, 0, 0])


def test_the_first_mode_added_to_a_round_one_leans_to_one_side():
    axis = torch.arange(8.0) - 3.5
    main = torch.exp(-0.2 * (axis[:, None] ** 2 + axis**2)).to(torch.complex64)
    added = with_modes(main[None], 2, share=0.5)[1].real
    lean = added / main.real / axis  # x times a Gaussian
    torch.testing.assert_close(lean, lean[0, 0].expand(8, 8), rtol=1e-3, atol=1e-3)


def test_fewer_modes_than_there_are_is_refused(noise):
    with pytest.raises(ValueError, match="n_modes: 1; expected at least the 2"):
        with_modes(noise(2, 8, 8), 1)


def test_orthogonal_modes_are_orthogonal_and_the_strongest_is_first(noise):
    """That they give the same frames, `test_forward` shows."""
    probe = noise(3, 8, 8)
    found = orthogonal_modes(probe)
    products = gram(found)
    torch.testing.assert_close(products, torch.diag(products.diagonal()), atol=1e-9, rtol=0)
    assert sorted(mode_shares(found), reverse=True) == mode_shares(found)
    torch.testing.assert_close(probe_intensity(found), probe_intensity(probe))
    torch.testing.assert_close(orthogonal_modes(probe[:1]), probe[:1])


def test_two_equal_modes_are_one_of_twice_the_power(noise):
    one = noise(1, 8, 8)
    assert mode_shares(orthogonal_modes(torch.cat([one, one]))) == pytest.approx([1, 0], abs=1e-9)


def test_mode_shares_by_hand():
    probe = torch.tensor([[[3.0]], [[1.0j]]])
    assert mode_shares(probe.to(torch.complex64)) == pytest.approx([0.9, 0.1])
