"""Laws of every shape of the probe, and values worked by hand."""

import numpy as np
import pytest
import torch

from ptycho.errors import ConfigError
from ptycho.physics.probe import probe_fwhm
from ptycho.physics.propagation import FarField
from ptycho.simulation import PROBES
from ptycho.simulation.probes import (
    falling_powers,
    gaussian_probe,
    incoherent_modes,
    make_probe,
)


def intensity(probe):
    return (np.abs(probe) ** 2).sum(axis=0, dtype=np.float64)


@pytest.mark.parametrize("shape", PROBES)
@pytest.mark.parametrize("n_modes", [1, 2, 5])
@pytest.mark.parametrize("size", [32, 64])
def test_power_of_all_modes_is_the_photons_per_frame(shape, n_modes, size):
    probe = make_probe(shape, size, fwhm=size / 4, photons=1.5e4, n_modes=n_modes)
    assert probe.shape == (n_modes, size, size)
    assert probe.dtype == np.complex64
    assert intensity(probe).sum() == pytest.approx(1.5e4, rel=1e-5)  # complex64


@pytest.mark.parametrize("shape", PROBES)
def test_all_but_a_thousandth_of_the_light_falls_in_the_middle_three_quarters(shape):
    light = intensity(make_probe(shape, 64, fwhm=16, photons=1.0))
    assert light[8:56, 8:56].sum() >= 0.999


@pytest.mark.parametrize("shape", PROBES)
@pytest.mark.parametrize("fwhm", [10.0, 16.0, 20.0])
def test_width_is_the_one_asked_for(shape, fwhm):
    probe = make_probe(shape, 64, fwhm=fwhm, photons=1.0)
    # The area above half maximum is counted in whole pixels, in rings of up to 8: 0.8 px.
    assert probe_fwhm(torch.from_numpy(probe)) == pytest.approx(fwhm, abs=0.8)


@pytest.mark.parametrize("shape", PROBES)
@pytest.mark.parametrize("n_modes", [1, 3])
def test_centre_of_mass_is_pixel_half_n(shape, n_modes):
    light = intensity(make_probe(shape, 64, fwhm=16, photons=1.0, n_modes=n_modes))
    axis = np.arange(64)
    centre = [light.sum(axis=1) @ axis, light.sum(axis=0) @ axis]
    np.testing.assert_allclose(centre, 32.0, atol=0.05)  # the grid has one row more above 32


@pytest.mark.parametrize("n_modes", [2, 4])
def test_further_modes_of_an_even_probe_are_its_products_with_x_and_y(n_modes):
    """Row by row they begin with the wave times col, then times row (degree 1)."""
    wave, axis = gaussian_probe(32, 8.0), np.arange(32) - 16
    modes = incoherent_modes(wave, falling_powers(n_modes, 0.5))
    for mode, factor in zip(modes[1:3], (axis[None], axis[:, None]), strict=False):
        expected = (wave * factor).ravel()
        cosine = abs(np.vdot(mode, expected)) / np.linalg.norm(mode) / np.linalg.norm(expected)
        assert cosine == pytest.approx(1.0, abs=1e-9)


def test_gaussian_falls_to_a_half_at_half_its_width_by_hand():
    wave = np.abs(gaussian_probe(64, 16.0)) ** 2
    assert wave[32, 32] == pytest.approx(1.0)
    assert wave[32, 32 + 8] == pytest.approx(0.5)
    assert wave[32 + 16, 32] == pytest.approx(0.5**4)


def test_lens_throws_a_disc_of_its_aperture_on_the_detector():
    probe = make_probe("lens", 64, fwhm=16, photons=1.0, aperture=0.15)
    bright = FarField().to_detector(torch.from_numpy(probe)).abs().square().sum(dim=0).numpy()
    radius = np.hypot(*(np.indices((64, 64)) - 32))
    assert bright[radius < 0.10 * 64].sum() > 0.4  # (0.10 / 0.15)^2 of an even disc
    assert bright[radius > 0.20 * 64].sum() < 0.01


def test_modes_are_orthogonal_with_the_stated_powers():
    powers = falling_powers(4, 0.3)
    modes = incoherent_modes(gaussian_probe(48, 12.0), powers).reshape(4, -1)
    np.testing.assert_allclose(modes.conj() @ modes.T, np.diag(powers), atol=1e-12)  # float64


def test_falling_powers_by_hand():
    np.testing.assert_allclose(falling_powers(3, 0.5), [4 / 7, 2 / 7, 1 / 7])


def test_first_mode_is_the_wave_itself():
    wave = gaussian_probe(32, 8.0)
    first = incoherent_modes(wave, falling_powers(3, 0.3))[0]
    np.testing.assert_allclose(first / first[16, 16], wave, atol=1e-12)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"shape": "square"}, "probe: 'square'; expected one of disc, lens, gaussian"),
        ({"fwhm": 40.0}, "probe_fwhm: 40 in frames of 64; expected 2 to 32"),
        ({"aperture": 0.5}, "aperture: 0.5; expected 0.02 to 0.35"),
        ({"aperture": 0.02, "fwhm": 8.0}, "aperture: 0.02 focuses no narrower"),
        ({"n_modes": 2, "mode_decay": 1.5}, "mode_decay: 1.5; expected above 0"),
    ],
)
def test_impossible_probes_are_refused(changed, message):
    settings = {"shape": "lens", "size": 64, "fwhm": 16.0, "photons": 1.0, **changed}
    with pytest.raises(ConfigError, match=message):
        make_probe(settings.pop("shape"), settings.pop("size"), **settings)
