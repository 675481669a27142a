"""Laws of the detector, ideal and blurred, and values worked by hand."""

import math

import pytest
import torch

from ptycho.experiment import Experiment
from ptycho.physics.detector import BlurredDetector, Detector, Measured, detector_of
from ptycho.physics.probe import probe_intensity

CASES = [(8, 0.0), (7, 0.6), (8, 1.3), (5, 40.0)]
"""Frames of even and odd size, and blurs from none to one as wide as the frame."""


@pytest.fixture(params=CASES, ids=str)
def case(request):
    """A detector and the size of its frames."""
    size, blur = request.param
    return detector_of(Experiment(blur=blur), size), size


def frames(size, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.rand(3, size, size, dtype=torch.float64, generator=g) + 0.1


def test_the_spread_keeps_every_photon(case):
    detector, size = case
    photons = frames(size)
    torch.testing.assert_close(
        detector.spread(photons).sum(dim=(-2, -1)), photons.sum(dim=(-2, -1))
    )
    even = torch.ones(size, size, dtype=torch.float64)
    torch.testing.assert_close(detector.spread(even), even)


def test_the_spread_is_its_own_adjoint(case):
    detector, size = case
    one, other = frames(size), frames(size, seed=1)
    torch.testing.assert_close(
        (detector.spread(one) * other).sum(), (one * detector.spread(other)).sum()
    )


def test_the_spread_keeps_photons_positive_and_moves_with_the_frame(case):
    detector, size = case
    photons = frames(size)
    assert (detector.spread(photons) > 0).all()
    moved = photons.roll((2, -1), dims=(-2, -1))
    torch.testing.assert_close(
        detector.spread(moved), detector.spread(photons).roll((2, -1), dims=(-2, -1))
    )


def test_intensity_is_the_spread_sum_over_modes(case, noise):
    detector, size = case
    waves = noise(3, 2, size, size)
    seen = detector.intensity(waves)
    torch.testing.assert_close(seen, detector.spread(probe_intensity(waves)))
    each = [detector.intensity(waves[:, m : m + 1]) for m in range(2)]
    torch.testing.assert_close(seen, each[0] + each[1])


def test_no_blur_is_the_ideal_detector():
    assert type(detector_of(Experiment(), 8)) is Detector
    photons = frames(8)
    torch.testing.assert_close(
        detector_of(Experiment(blur=1e-3), 8).spread(photons), Detector().spread(photons)
    )
    assert Detector().spread(photons) is photons


def test_the_spread_of_a_point_by_hand():
    """A Gaussian of exp(-1 / (2 s^2)) = 1/2 over 3 pixels: (1/2, 1, 1/2) / 2 along each axis."""
    detector = detector_of(Experiment(blur=1 / math.sqrt(2 * math.log(2))), 3)
    point = torch.zeros(3, 3, dtype=torch.float64)
    point[1, 1] = 16.0
    expected = torch.tensor([[1, 2, 1], [2, 4, 2], [1, 2, 1]], dtype=torch.float64)
    torch.testing.assert_close(detector.spread(point), expected)


def test_the_blur_is_the_standard_deviation_in_pixels():
    detector = detector_of(Experiment(blur=1.5), 33)
    point = torch.zeros(33, 33, dtype=torch.float64)
    point[16, 16] = 1.0
    axis = torch.arange(33, dtype=torch.float64) - 16
    for along in (0, 1):
        variance = (detector.spread(point).sum(dim=along) * axis.square()).sum()
        assert float(variance) == pytest.approx(1.5**2, rel=1e-9)


@pytest.mark.parametrize("excluding", [False, True])
@pytest.mark.parametrize("with_background", [False, True])
@pytest.mark.parametrize("modes", [1, 2])
def test_the_correction_is_minus_the_gradient_of_the_misfit(
    case, noise, modes, with_background, excluding
):
    """Of sum (sqrt I - sqrt n)^2 over the pixels used, with respect to conj(Psi)."""
    detector, size = case
    waves = noise(3, modes, size, size).requires_grad_()
    background = frames(size, seed=2)[0] if with_background else None
    excluded = frames(size, seed=3)[0] > 0.8 if excluding else None
    amplitude = 2 * frames(size, seed=1)
    modelled = detector.intensity(waves)
    modelled = modelled if background is None else modelled + background
    misfit = (modelled.sqrt() - amplitude).square()
    misfit = misfit if excluded is None else misfit[:, ~excluded]
    (gradient,) = torch.autograd.grad(misfit.sum(), waves)  # torch's is twice that by conj(Psi)
    measured = Measured(amplitude, excluded, background)
    found = detector.corrected(waves.detach(), measured) - waves.detach()
    torch.testing.assert_close(found, -gradient / 2)


def test_waves_that_explain_the_frames_stay(case, noise):
    detector, size = case
    waves, background = noise(3, 2, size, size), frames(size)[0]
    amplitude = (detector.intensity(waves) + background).sqrt()
    measured = Measured(amplitude, background=background)
    torch.testing.assert_close(detector.corrected(waves, measured), waves)


def test_phases_and_the_shares_of_modes_stay(case, noise):
    detector, size = case
    waves = noise(3, 2, size, size)
    factor = detector.corrected(waves, Measured(frames(size))) / waves
    torch.testing.assert_close(factor.imag, torch.zeros_like(factor.imag), rtol=0, atol=1e-12)
    assert (factor.real > 0).all()
    torch.testing.assert_close(factor[:, 0], factor[:, 1])


def test_without_blur_the_modulus_becomes_the_measured_one(noise):
    waves, amplitude = noise(3, 2, 8, 8), frames(8)
    corrected = Detector().corrected(waves, Measured(amplitude))
    torch.testing.assert_close(Detector().intensity(corrected).sqrt(), amplitude)


def test_without_blur_excluded_pixels_stay(noise):
    """Whether pixels are excluded in all frames or in each frame others."""
    waves, amplitude = noise(3, 2, 8, 8), frames(8)
    for excluded in (frames(8, seed=1)[0] > 0.6, frames(8, seed=1) > 0.6):
        corrected = Detector().corrected(waves, Measured(amplitude, excluded))
        modulus, before = (probe_intensity(w).sqrt() for w in (corrected, waves))
        torch.testing.assert_close(modulus, torch.where(excluded, before, amplitude))


def test_what_excluded_pixels_hold_does_not_matter(case, noise):
    detector, size = case
    waves, amplitude = noise(3, 2, size, size), frames(size)
    excluded = frames(size, seed=1)[0] > 0.6
    one, other = (
        detector.corrected(waves, Measured(amplitude.masked_fill(excluded, value), excluded))
        for value in (0.0, 1e9)
    )
    torch.testing.assert_close(one, other)


def test_a_correction_by_hand():
    """|Psi|^2 = 3, b = 1, n = 16: sqrt(n / I) = 2. With n = 0 nothing remains."""
    wave = torch.tensor([[[math.sqrt(3.0) * 1j]]], dtype=torch.complex128)
    measured = Measured(
        torch.tensor([[4.0]], dtype=torch.float64), None, torch.ones(1, 1, dtype=torch.float64)
    )
    torch.testing.assert_close(Detector().corrected(wave, measured), 2 * wave)
    dark = measured._replace(amplitude=torch.zeros(1, 1, dtype=torch.float64))
    assert not Detector().corrected(wave, dark).any()


def test_dark_waves_stay_dark(case):
    detector, size = case
    dark = torch.zeros(3, 1, size, size, dtype=torch.complex64)
    for amplitude in (torch.zeros(3, size, size), torch.ones(3, size, size)):
        assert not detector.corrected(dark, Measured(amplitude)).any()


def test_a_photon_where_the_model_is_dark_is_ignored():
    """Modelled amplitudes below 1e-4 of the brightest, here 1e-6, grow 1e4-fold at most."""
    wave = torch.tensor([[[1.0, 1e-6]]], dtype=torch.complex128).expand(1, 2, 2)
    corrected = Detector().corrected(wave, Measured(torch.ones(2, 2, dtype=torch.float64)))
    torch.testing.assert_close(
        corrected, torch.tensor([[[1.0, 1e-2]]], dtype=torch.complex128).expand(1, 2, 2)
    )


def test_a_detector_moves_as_a_whole_and_keeps_the_precision(case):
    """To the one other device that is always there."""
    detector, size = case
    photons = torch.ones(size, size)
    assert detector.spread(photons).dtype == photons.dtype
    moved = detector.to("meta")
    assert moved.spread(photons.to("meta")).device.type == "meta"
    assert isinstance(moved, BlurredDetector) == isinstance(detector, BlurredDetector)
