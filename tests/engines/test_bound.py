"""The smallest error by its formula is that of the whole Fisher matrix, and simulations meet it."""

import numpy as np
import pytest
import torch
from numpy.fft import fft2, fftfreq, ifft2

from ptycho.engines.bound import bound_of, illumination_levels
from ptycho.engines.ending import Ending
from ptycho.engines.most_probable import most_probable
from ptycho.engines.nuisances import Nuisances, Refine
from ptycho.engines.problem import Estimate, Problem
from ptycho.engines.spectral_prior import SpectralPrior, power_law
from ptycho.engines.sweeps import Sweeps
from ptycho.metrics import compare
from ptycho.physics.patches import canvas_of
from ptycho.progress import untracked
from ptycho.scan.dataset import GroupDataset
from ptycho.simulation.probes import make_probe
from ptycho.simulation.scans import place_scan, raster_scan
from ptycho.simulation.simulate import simulate_scan

N, WIDTH, FIELD = 16, 6.0, 14


def prior(field=FIELD, amplitude=0.15, phase=0.45):
    return SpectralPrior(*(power_law(s**2, 1.4, 1 / field) for s in (amplitude, phase)))


def probe(photons, size=N, width=WIDTH):
    return torch.from_numpy(make_probe("gaussian", size, fwhm=width, photons=photons))


def drawn(shape, law, rng):
    """A picture with the spectrum of a power law, not periodic."""
    large = (2 * shape[0], 2 * shape[1])
    squared = np.add.outer(*(fftfreq(side) ** 2 for side in large))
    white = fft2(rng.standard_normal(large), norm="ortho")
    return ifft2(white * np.sqrt(law.at(squared)), norm="ortho").real[: shape[0], : shape[1]]


def raster(step, field=FIELD):
    along = torch.arange(0, field + 0.1, step, dtype=torch.float64)
    return torch.cartesian_prod(along, along)


def exact(photons, positions, obj, law):
    """Root mean square posterior deviations of the phase and of the log-amplitude, by matrices."""
    wave, side = probe(photons)[0].numpy(), len(obj)
    corners = np.floor(positions.numpy() + 0.5).astype(int)
    lit = np.zeros((side, side))
    for row, col in corners:
        lit[row : row + N, col : col + N] += np.abs(wave) ** 2
    used = lit > 2e-3 * lit.max()
    number = np.full((side, side), -1)
    number[used] = np.arange(used.sum())
    n = int(used.sum())
    along = np.exp(-2j * np.pi * np.outer(np.arange(N), np.arange(N)) / N) / np.sqrt(N)
    transform = np.einsum("ur,vc->uvrc", along, along).reshape(N * N, N * N)
    fisher = np.zeros((2 * n, 2 * n))
    for row, col in corners:
        leaving = (obj[row : row + N, col : col + N] * wave).ravel()
        there = transform @ leaving
        jacobian = 2 * (there.conj() / np.sqrt(np.abs(there) ** 2 + 1e-9))[:, None]
        jacobian = jacobian * transform * leaving
        index = number[row : row + N, col : col + N].ravel()
        known = index >= 0
        both = np.concatenate([jacobian.real[:, known], -jacobian.imag[:, known]], axis=1)
        place = np.concatenate([index[known], index[known] + n])
        fisher[np.ix_(place, place)] += both.T @ both
    rows, cols = np.nonzero(used)
    squared = np.add.outer(*(fftfreq(2 * side) ** 2,) * 2)
    for part, each in enumerate(law):
        covariance = ifft2(each.at(squared)).real
        apart = (rows[:, None] - rows) % (2 * side), (cols[:, None] - cols) % (2 * side)
        inverse = np.linalg.inv(covariance[apart] + 1e-9 * np.eye(n))
        fisher[part * n : (part + 1) * n, part * n : (part + 1) * n] += inverse
    left = np.linalg.inv(fisher)
    well = (lit > 0.25 * lit.max())[used]
    phase = left[n:, n:][np.ix_(well, well)]
    count = well.sum()
    return (
        np.sqrt((np.trace(phase) - phase.sum() / count) / count),
        np.sqrt(left[:n, :n].diagonal()[well].mean()),
    )


@pytest.mark.parametrize("photons", [1e3, 1e5])
@pytest.mark.parametrize("step", [1.5, 3.0])
def test_the_formula_is_the_inverse_of_the_fisher_matrix(photons, step):
    rng = np.random.default_rng(0)
    side, law = FIELD + N, prior()
    log_amplitude, phase = (drawn((side, side), each, rng) for each in law)
    obj = np.exp(log_amplitude - log_amplitude.mean() + 1j * phase)
    positions = raster(step)
    wave = probe(photons)
    found = bound_of(
        wave, illumination_levels(wave, positions), law,
        transmission=float(np.mean(np.abs(obj) ** 2)), field=FIELD + WIDTH,
    )  # fmt: skip
    of_phase, of_amplitude = exact(photons, positions, obj, law)
    assert found.phase == pytest.approx(of_phase, rel=0.25)
    assert found.log_amplitude == pytest.approx(of_amplitude, rel=0.25)


def bound(photons, step=2.0):
    wave = probe(photons)
    return bound_of(
        wave, illumination_levels(wave, raster(step, 60)), prior(60), transmission=0.6, field=60
    )


def test_many_photons_tell_with_the_root_of_their_number():
    """A hundred times the photons, a tenth of the error, once the prior no longer counts."""
    assert bound(1e8).phase / bound(1e10).phase == pytest.approx(10, rel=0.03)


def test_without_light_the_error_is_the_spread_of_the_sample():
    assert bound(1e-3).log_amplitude == pytest.approx(0.15, rel=0.1)
    assert bound(1e-3).frequency < 0.05


def test_more_light_and_more_overlap_never_harm():
    phases = [bound(photons).phase for photons in (1e2, 1e3, 1e4, 1e6)]
    assert phases == sorted(phases, reverse=True)
    resolutions = [bound(1e2, step).resolution for step in (1.0, 2.0, 4.0)]
    assert resolutions == sorted(resolutions)


def test_photons_on_a_pixel_by_hand():
    """1e4 photons per frame, steps of 2 px: a frame on 4 pixels."""
    assert bound(1e4).photons_per_pixel == pytest.approx(1e4 / 4 * 0.6, rel=0.05)


@pytest.mark.parametrize(("photons", "step"), [(1e3, 2.4), (1e6, 2.4), (1e6, 4.8)])
def test_the_most_probable_object_of_a_simulation_comes_close(photons, step):
    """Of a sample drawn from the prior: no better than the bound, and hardly worse."""
    rng = np.random.default_rng(1)
    path = raster_scan(int(60 // step + 1) ** 2, step=step, jitter=0.3, rng=rng)
    positions, shape = place_scan(path, 32)
    law = prior(60)
    log_amplitude, phase = (drawn(shape, each, rng) for each in law)
    obj = np.exp(log_amplitude - log_amplitude.mean() - 0.3 + 1j * phase).astype(np.complex64)
    wave = make_probe("disc", 32, fwhm=12.0, photons=photons)
    raw = simulate_scan(obj, wave, positions, rng=rng)
    canvas = canvas_of(torch.from_numpy(raw.positions), 32)
    data = GroupDataset(raw, np.arange(raw.n_frames)[:, None])
    problem = Problem.of(data, canvas, device=torch.device("cpu"))
    flat = torch.ones(canvas.shape, dtype=torch.complex64)
    start = Estimate(flat, Nuisances.given(torch.from_numpy(wave), data))
    swept = Sweeps().solve(problem, start, Ending(), Refine(), untracked)
    found = most_probable(problem, swept, Ending())
    inside = np.zeros(canvas.shape, bool)
    inside[18:-18, 18:-18] = True
    errors = compare(found.obj.numpy(), obj, inside, estimate_origin=canvas.origin).numbers
    modes = torch.from_numpy(wave)
    least = bound_of(
        modes, illumination_levels(modes, torch.from_numpy(positions)), law,
        transmission=float(np.mean(np.abs(obj) ** 2)), field=60,
    )  # fmt: skip
    # A comparison removes a ramp, too, so the phase may seem a little better than it is.
    assert 0.8 < errors["phase_rmse_rad"] / least.phase < 1.6
    relative = errors["amplitude_rmse"] / np.abs(obj).mean()
    assert 0.85 < relative / least.log_amplitude < 1.4
