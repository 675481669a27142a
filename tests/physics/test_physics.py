"""Laws of the physics rooms, each with a value worked by hand."""

import math

import pytest
import torch

from ptycho.physics.forward import back_project, detector_intensity, exit_waves, pull_of
from ptycho.physics.patches import canvas_of, cut_patches, place_patches, window_corners
from ptycho.physics.probe import (
    probe_fwhm,
    probe_intensity,
    probe_window,
    scale_probe,
    shift_probe,
)
from ptycho.physics.propagation import to_detector, to_sample


def complex_noise(*shape, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.complex128, generator=g)


@pytest.mark.parametrize("size", [7, 8])
def test_propagation_keeps_energy_and_is_undone_by_its_adjoint(size):
    wave = complex_noise(3, size, size)
    seen = to_detector(wave)
    torch.testing.assert_close(seen.abs().square().sum(), wave.abs().square().sum())
    torch.testing.assert_close(to_sample(seen), wave)
    other = complex_noise(3, size, size, seed=1)
    left = torch.vdot(seen.flatten(), other.flatten())
    right = torch.vdot(wave.flatten(), to_sample(other).flatten())
    torch.testing.assert_close(left, right)


def test_a_flat_wave_of_one_lands_on_the_centre_pixel_with_the_root_of_the_pixel_count():
    seen = to_detector(torch.ones(4, 4, dtype=torch.complex128))
    expected = torch.zeros(4, 4, dtype=torch.complex128)
    expected[2, 2] = 4.0  # 16 pixels of 1, divided by sqrt(16)
    torch.testing.assert_close(seen, expected)


@pytest.mark.parametrize(("height", "width", "size"), [(16, 16, 5), (17, 12, 4)])
def test_place_is_the_adjoint_of_cut(height, width, size):
    g = torch.Generator().manual_seed(0)
    draw = [torch.randint(0, n - size, (2, 9), generator=g) for n in (height, width)]
    corners = torch.stack(draw, dim=-1)
    obj = complex_noise(2, height, width)
    patches = complex_noise(2, 9, size, size, seed=1)
    left = torch.vdot(cut_patches(obj, corners, size).flatten(), patches.flatten())
    right = torch.vdot(obj.flatten(), place_patches(patches, corners, (height, width)).flatten())
    torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)  # float64, 450 terms


def test_cut_takes_the_window_that_starts_at_the_corner():
    obj = torch.arange(20.0).reshape(4, 5)
    cut = cut_patches(obj, torch.tensor([[1, 2]]), 2)
    torch.testing.assert_close(cut, torch.tensor([[[7.0, 8.0], [12.0, 13.0]]]))


@pytest.mark.parametrize("corner", [(-1, 0), (0, 4), (3, 0)])
def test_a_window_that_leaves_the_canvas_is_refused(corner):
    with pytest.raises(ValueError, match="expected inside a canvas"):
        cut_patches(torch.zeros(4, 5), torch.tensor([corner]), 2)


def test_corners_round_half_up_and_keep_the_rest():
    positions = torch.tensor([[10.5, 3.25], [-0.75, 7.0]], dtype=torch.float64)
    corners, rest = window_corners(positions, 4)
    assert corners.tolist() == [[9, 1], [-3, 5]]
    torch.testing.assert_close(rest, torch.tensor([[-0.5, 0.25], [0.25, 0.0]]))


def test_the_canvas_holds_every_window_and_no_more():
    positions = torch.tensor([[10.5, 3.25], [-0.75, 7.0]], dtype=torch.float64)
    canvas = canvas_of(positions, 4)
    assert canvas == ((-3, 1), (16, 8))  # rows -3 .. 12, cols 1 .. 8


def test_a_whole_pixel_shift_rolls_the_probe():
    probe = complex_noise(2, 8, 8)
    shifted = shift_probe(probe, torch.tensor([[1.0, -2.0]], dtype=torch.float64))
    torch.testing.assert_close(shifted[0], torch.roll(probe, (1, -2), dims=(-2, -1)))


def test_shifts_keep_energy_and_add_up():
    probe = complex_noise(2, 8, 8)
    half = torch.tensor([0.5, -0.25], dtype=torch.float64)
    once = shift_probe(probe, half)
    torch.testing.assert_close(
        once.abs().square().sum(dim=(-2, -1)), probe.abs().square().sum(dim=(-2, -1))
    )
    twice = shift_probe(once, half)
    torch.testing.assert_close(twice, shift_probe(probe, 2 * half))


def test_moving_the_probe_equals_moving_the_object_the_other_way():
    """A shift of probe and object together leaves the intensity as it is."""
    probe, obj = complex_noise(1, 16, 16), complex_noise(16, 16, seed=2)
    shift = torch.tensor([0.3, -0.4], dtype=torch.float64)
    product = exit_waves(obj, probe)
    moved = shift_probe(product, shift)
    torch.testing.assert_close(detector_intensity(moved), detector_intensity(product))


def test_scaled_probe_has_the_photons_asked_for():
    probe = scale_probe(torch.full((2, 2, 2), 3.0, dtype=torch.complex128), 32.0)
    torch.testing.assert_close(probe, torch.full((2, 2, 2), 2.0, dtype=torch.complex128))
    with pytest.raises(ValueError, match="expected both above 0"):
        scale_probe(torch.zeros(1, 2, 2, dtype=torch.complex64), 1.0)


def test_fwhm_of_a_gaussian_is_its_fwhm():
    grid = torch.arange(64) - 32
    sigma = 6.0
    amplitude = torch.exp(-(grid[:, None] ** 2 + grid**2) / (4 * sigma**2))
    expected = 2 * math.sqrt(2 * math.log(2)) * sigma  # of the intensity exp(-r^2 / 2 sigma^2)
    assert probe_fwhm(amplitude[None].to(torch.complex64)) == pytest.approx(expected, rel=0.03)


def test_window_holds_the_share_of_energy():
    probe = torch.zeros(1, 32, 32, dtype=torch.complex64)
    probe[0, 12:20, 12:20] = 1.0
    assert probe_window(probe, 0.999, 4) == 8
    assert probe_window(torch.ones(1, 32, 32, dtype=torch.complex64), 0.999, 8) == 32


def test_empty_space_keeps_the_photons():
    probe = scale_probe(complex_noise(3, 8, 8), 500.0)
    counted = detector_intensity(exit_waves(torch.ones(8, 8, dtype=torch.complex128), probe))
    torch.testing.assert_close(counted.sum(), torch.tensor(500.0, dtype=torch.float64))


def test_modes_add_in_intensity():
    probe = complex_noise(2, 8, 8)
    patch = complex_noise(8, 8, seed=3)
    both = detector_intensity(exit_waves(patch, probe))
    each = [detector_intensity(exit_waves(patch, probe[m : m + 1])) for m in range(2)]
    torch.testing.assert_close(both, each[0] + each[1])


AT_ZERO = torch.zeros(1, 2, dtype=torch.int64)


@pytest.mark.parametrize("modes", [1, 2])
def test_back_projection_asks_nothing_of_the_true_object(modes):
    probe, patch = complex_noise(modes, 8, 8), complex_noise(8, 8, seed=4)
    amplitude = detector_intensity(exit_waves(patch, probe)).sqrt()
    found = back_project(patch, AT_ZERO, probe[None], amplitude[None])
    torch.testing.assert_close(found.step, torch.zeros_like(patch), rtol=0, atol=1e-12)
    torch.testing.assert_close(found.light, probe_intensity(probe))


def test_the_pull_on_a_uniform_absorber_by_hand():
    """Flat probe 1, truth 0.5, start 1: psi' - psi = -0.5, so the pull is -0.5 / (1 + 0.1)."""
    probe = torch.ones(1, 4, 4, dtype=torch.complex128)
    truth = torch.full((4, 4), 0.5, dtype=torch.complex128)
    amplitude = detector_intensity(exit_waves(truth, probe)).sqrt()
    found = back_project(torch.ones_like(truth), AT_ZERO, probe[None], amplitude[None])
    pull = pull_of(found.step, found.light, damping=0.1)
    torch.testing.assert_close(pull, torch.full((4, 4), -0.5 / 1.1, dtype=torch.complex128))


def test_the_step_is_minus_the_gradient_of_the_amplitude_misfit():
    probe, obj = complex_noise(3, 2, 8, 8), complex_noise(12, 12, seed=5).requires_grad_()
    corners = torch.tensor([[0, 0], [2, 3], [4, 1]])
    amplitude = complex_noise(3, 8, 8, seed=6).abs()
    waves = exit_waves(cut_patches(obj, corners, 8), probe)
    misfit = (detector_intensity(waves).sqrt() - amplitude).square().sum()
    (gradient,) = torch.autograd.grad(misfit, obj)  # torch's is twice that by conj(o)
    found = back_project(obj.detach(), corners, probe, amplitude)
    torch.testing.assert_close(found.step, -gradient / 2)


def test_back_projection_survives_dark_frames():
    probe = complex_noise(1, 1, 8, 8)
    dark = torch.zeros(8, 8, dtype=torch.float64)
    found = back_project(dark.to(torch.complex128), AT_ZERO, probe, dark[None])
    assert torch.isfinite(torch.view_as_real(found.step)).all()


def test_probe_intensity_sums_modes():
    probe = torch.tensor([[[3.0 + 4.0j]], [[1.0j]]])
    assert probe_intensity(probe).item() == 26.0
