"""Laws of every propagator, and the values of each worked by hand."""

import math

import pytest
import torch

from ptycho.errors import ConfigError
from ptycho.experiment import Experiment, Geometry
from ptycho.physics import PROPAGATORS
from ptycho.physics.propagation import FarField, NearField

SIZES = [(7, 0.6), (8, 0.6), (8, 40.0), (33, 1.0), (32, 1 / 32)]
"""Frames of odd and even size, and Fresnel numbers down to the smallest allowed."""


def near(size, number):
    return PROPAGATORS["near"](Experiment(propagation="near", fresnel_number=number), size)


@pytest.fixture(params=PROPAGATORS)
def name(request):
    return request.param


@pytest.fixture(params=SIZES, ids=str)
def case(request, name):
    """A propagator and the size of its frames."""
    size, number = request.param
    return PROPAGATORS[name](Experiment(propagation=name, fresnel_number=number), size), size


def mirrored(wave):
    """The wave turned by 180 degrees about pixel N//2."""
    last = 1 - wave.shape[-1] % 2
    return torch.roll(wave.flip((-2, -1)), (last, last), dims=(-2, -1))


def test_energy_is_kept(case, noise):
    propagator, size = case
    wave = noise(3, 2, size, size)
    seen = propagator.to_detector(wave)
    torch.testing.assert_close(
        seen.abs().square().sum(dim=(-2, -1)), wave.abs().square().sum(dim=(-2, -1))
    )


def test_the_way_back_is_the_inverse(case, noise):
    propagator, size = case
    wave = noise(3, size, size)
    torch.testing.assert_close(propagator.to_sample(propagator.to_detector(wave)), wave)
    torch.testing.assert_close(propagator.to_detector(propagator.to_sample(wave)), wave)


def test_the_way_back_is_the_adjoint(case, noise):
    propagator, size = case
    wave, other = noise(3, size, size), noise(3, size, size, seed=1)
    left = torch.vdot(other.flatten(), propagator.to_detector(wave).flatten())
    right = torch.vdot(propagator.to_sample(other).flatten(), wave.flatten())
    torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)  # float64, 3,000 terms


def test_propagation_is_linear(case, noise):
    propagator, size = case
    one, other = noise(size, size), noise(size, size, seed=1)
    together = propagator.to_detector((2 - 1j) * one + other)
    torch.testing.assert_close(
        together, (2 - 1j) * propagator.to_detector(one) + propagator.to_detector(other)
    )


def test_the_conjugate_wave_goes_backwards(case, noise):
    propagator, size = case
    wave = noise(size, size)
    torch.testing.assert_close(
        propagator.to_sample(wave.conj()).conj(), propagator.to_detector(wave)
    )


def test_a_mirrored_wave_arrives_mirrored(case, noise):
    propagator, size = case
    wave = noise(size, size)
    torch.testing.assert_close(
        propagator.to_detector(mirrored(wave)), mirrored(propagator.to_detector(wave))
    )


def test_precision_and_leading_axes_stay(case):
    propagator, size = case
    wave = torch.ones(2, 1, size, size, dtype=torch.complex64)
    for seen in (propagator.to_detector(wave), propagator.to_sample(wave)):
        assert (seen.dtype, seen.shape) == (wave.dtype, wave.shape)


def test_a_propagator_moves_as_a_whole(case):
    """To the one other device that is always there."""
    propagator, size = case
    wave = torch.ones(size, size, dtype=torch.complex64, device="meta")
    assert propagator.to("meta").to_detector(wave).device.type == "meta"


def test_a_flat_wave_lands_on_the_centre_of_the_far_field():
    seen = FarField().to_detector(torch.ones(4, 4, dtype=torch.complex128))
    expected = torch.zeros(4, 4, dtype=torch.complex128)
    expected[2, 2] = 4.0  # 16 pixels of 1, divided by sqrt(16)
    torch.testing.assert_close(seen, expected)


def test_a_point_beside_the_axis_is_a_ramp_in_the_far_field():
    """One row below the centre of four: exp(-2 pi i k / 4) / 4 along rows k = -2 .. 1."""
    point = torch.zeros(4, 4, dtype=torch.complex128)
    point[3, 2] = 1.0
    seen = FarField().to_detector(point)
    ramp = torch.tensor([-1, 1j, 1, -1j], dtype=torch.complex128) / 4
    torch.testing.assert_close(seen, ramp[:, None].expand(4, 4))


@pytest.mark.parametrize("size", [7, 8])
def test_a_plane_wave_stays_in_the_near_field(size):
    """On the axis unchanged; k cycles per pixel off it, turned by -pi k^2 / f."""
    flat = torch.ones(size, size, dtype=torch.complex128)
    torch.testing.assert_close(near(size, 0.5).to_detector(flat), flat)
    k = 2 / size
    tilted = torch.exp(2j * math.pi * k * torch.arange(size, dtype=torch.float64)).expand(
        size, size
    )
    turned = tilted * torch.exp(torch.tensor(-1j * math.pi * k**2 / 0.5))
    torch.testing.assert_close(near(size, 0.5).to_detector(tilted), turned)


def test_no_distance_is_the_identity(noise):
    """A Fresnel number of 1e12: phases of 1e-12."""
    wave = noise(8, 8)
    torch.testing.assert_close(near(8, 1e12).to_detector(wave), wave, rtol=0, atol=1e-10)


def test_two_half_distances_are_the_whole(noise):
    wave, half = noise(9, 9), near(9, 2.0)
    torch.testing.assert_close(
        half.to_detector(half.to_detector(wave)), near(9, 1.0).to_detector(wave)
    )


@pytest.mark.parametrize("number", [0.02, 0.1, 1.0])
def test_a_gaussian_beam_spreads_as_in_the_textbook(number):
    """exp(-r^2 / w^2) becomes exp(-r^2 / (w^2 (1 + i q))) / (1 + i q), q = z / zR = 1 / (pi w^2 f).

    Saleh & Teich, Fundamentals of Photonics, section 3.1. Its width is w sqrt(1 + q^2).
    """
    size, waist = 128, 5.0
    axis = torch.arange(size, dtype=torch.float64) - size // 2
    squared = axis[:, None] ** 2 + axis**2
    q = 1 / (math.pi * waist**2 * number)
    seen = near(size, number).to_detector(torch.exp(-squared / waist**2).to(torch.complex128))
    expected = torch.exp(-squared / (waist**2 * (1 + 1j * q))) / (1 + 1j * q)
    torch.testing.assert_close(seen, expected, rtol=0, atol=1e-9)  # tails at the rim
    intensity = seen.abs().square()
    width = 2 * torch.sqrt((intensity * axis**2).sum() / intensity.sum())  # exp(-2 r^2 / w^2)
    assert float(width) == pytest.approx(waist * math.sqrt(1 + q**2), rel=1e-9)


def test_the_fresnel_number_of_the_geometry_is_used_where_none_is_given(noise):
    geometry = Geometry(wavelength_m=1e-9, distance_m=2.0, detector_pixel_m=50e-6)  # f = 1.25
    wave = noise(8, 8)
    by_geometry = PROPAGATORS["near"](Experiment(propagation="near", geometry=geometry), 8)
    torch.testing.assert_close(by_geometry.to_detector(wave), near(8, 1.25).to_detector(wave))
    given = Experiment(propagation="near", geometry=geometry, fresnel_number=3.0)
    torch.testing.assert_close(
        PROPAGATORS["near"](given, 8).to_detector(wave), near(8, 3.0).to_detector(wave)
    )


def test_a_near_field_of_unknown_distance_is_refused():
    geometry = Geometry(wavelength_m=1e-9, distance_m=2.0)
    with pytest.raises(ConfigError, match=r"^propagation near: no fresnel_number; expected it, or"):
        PROPAGATORS["near"](Experiment(propagation="near", geometry=geometry), 8)


def test_a_distance_too_far_for_the_frame_is_refused():
    assert isinstance(near(64, 1 / 64), NearField)
    with pytest.raises(
        ConfigError, match=r"^fresnel_number: 0.0156 in frames of 64 .* expected 0.0156 or more"
    ):
        near(64, 0.99999 / 64)
    with pytest.raises(ConfigError, match=r"^fresnel_number: 0.01 in frames of 64 .*as far field$"):
        near(64, 0.01)


def test_the_kernel_is_sampled_finely_enough_down_to_the_smallest_number():
    """Neighbouring phases differ by less than pi, and just so at f = 1 / N."""
    size = 64
    kernel = near(size, 1 / size).kernel
    steps = torch.angle(kernel[0, 1 : size // 2 + 1] * kernel[0, : size // 2].conj())
    exact = -math.pi * size * torch.diff((torch.arange(size // 2 + 1) / size).double().square())
    torch.testing.assert_close(steps, exact)
