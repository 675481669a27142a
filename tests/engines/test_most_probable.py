"""The most probable object: its gradients, metric and prior, and that it is a better object."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from started_scan import ALONE, assert_same, scan, started
from tiny_scan import simulated, start_of

from ptycho.api.simulation import simulate
from ptycho.engines.descent import descend
from ptycho.engines.ending import Ending
from ptycho.engines.fused import FusedUpdater
from ptycho.engines.information import Information, excess_variance
from ptycho.engines.logarithms import as_object, logarithms
from ptycho.engines.most_probable import MostProbable, Posterior, most_probable
from ptycho.engines.nuisances import Refine
from ptycho.engines.problem import Estimate, Problem
from ptycho.engines.residuals import expected_frames
from ptycho.engines.spectral_prior import PowerLaw, SpectralPrior, first_prior, measured_prior
from ptycho.engines.sweeps import Sweeps
from ptycho.engines.updates import Sums, TensorUpdater
from ptycho.experiment import Experiment
from ptycho.metrics import compare
from ptycho.physics.detector import DIM
from ptycho.physics.patches import canvas_of
from ptycho.physics.probe import probe_intensity
from ptycho.progress import untracked
from ptycho.scan.dataset import GroupDataset
from ptycho.scan.scaling import scaled_probe


def test_a_parabola_by_hand():
    """3 (x - 2)^2 / 2: with the right metric one step from 0 ends at 2, 6 lower."""
    points = descend(lambda x: 3 * (x - 2), torch.zeros(1), lambda g: g / 3)
    (first, left), (second, nothing) = points
    assert float(first) == 0
    assert left == pytest.approx(6)
    assert float(second) == pytest.approx(2)
    assert nothing == pytest.approx(0)


def test_a_quadratic_function_of_many_numbers():
    """The minimum is found without knowing the metric; the decrease that remains is given."""
    generator = torch.Generator().manual_seed(0)
    turned, _ = torch.linalg.qr(torch.randn(30, 30, generator=generator, dtype=torch.float64))
    hessian = turned @ torch.diag(torch.logspace(0, 2, 30, dtype=torch.float64)) @ turned.T
    wanted = torch.randn(30, generator=generator, dtype=torch.float64)
    points = descend(lambda x: hessian @ (x - wanted), torch.zeros_like(wanted), lambda g: g)
    found = list(itertools.islice(points, 60))
    value = [float((x - wanted) @ hessian @ (x - wanted)) / 2 for x, _ in found]
    assert value[-1] < 1e-6 * value[0]
    # Near the end the given decrease is the one that remains.
    assert found[20][1] == pytest.approx(value[20], rel=1)


def test_steps_are_bounded_and_a_cliff_is_backed_away_from():
    """x^2 / 2 left of 3, undefined right of it; the metric overestimates the step tenfold."""

    def gradient(x):
        return torch.where(x < 3, x, torch.nan)

    found = [float(x) for x, _ in itertools.islice(
        descend(gradient, torch.tensor([-2.0]), lambda g: 10 * g, longest=4.0), 20)]  # fmt: skip
    assert np.abs(np.diff(found)).max() <= 4.0
    assert abs(found[-1]) < 1e-3


@pytest.mark.parametrize("size", [16, 64])
@pytest.mark.parametrize("excess", [0.0, 0.02])
def test_compiled_likelihood_steps_are_those_of_tensors(size, excess):
    problem, estimate = started(scan(size), n_modes=2, beam=True, background=True)
    ours, theirs = (
        updater.total(estimate, 10, Sums(), probe=True, excess=excess)
        for updater in (FusedUpdater(problem, ALONE), TensorUpdater(problem))
    )
    for name in ours._fields:
        assert_same(getattr(ours, name), getattr(theirs, name), name)


def _surprise(problem, estimate, excess):
    """Minus the log probability of the counts by SciPy, constants included; float64."""
    members = torch.from_numpy(problem.members.astype(np.int64))
    expected = expected_frames(problem, estimate, members).double().numpy() + DIM
    counted = np.rint(np.square(problem.batch(torch.arange(len(members)))[1].double().numpy()))
    law = stats.poisson(expected)
    if excess > 0:
        law = stats.nbinom(1 / excess, 1 / (1 + excess * expected))
    used = ~problem.held_out.excluded_in(members).numpy()
    return float(-(law.logpmf(counted) * used).sum())


@pytest.mark.parametrize("excess", [0.0, 0.05])
@pytest.mark.parametrize("blur", [0.0, 0.7])
def test_the_step_is_minus_the_gradient_of_the_likelihood(excess, blur):
    raw = replace(scan(), experiment=Experiment(blur=blur))
    problem, estimate = started(raw, n_modes=2, background=True)
    total = TensorUpdater(problem).total(estimate, 10, Sums(), excess=excess)
    generator = torch.Generator().manual_seed(3)
    along = torch.randn(estimate.obj.shape, generator=generator, dtype=torch.complex64)
    # Changes that are coarse, as single precision sums of many counts forgive no fine ones.
    step = 1e-3
    there, back = (
        _surprise(problem, estimate._replace(obj=estimate.obj + sign * step * along), excess)
        for sign in (1, -1)
    )
    slope = (there - back) / (2 * step)
    assert slope == pytest.approx(-2 * float((total.step.conj() * along).real.sum()), rel=2e-3)


def test_information_about_a_constant_is_that_of_all_photons():
    """4 N for the log-amplitude, nothing for the phase; half of it where the probe averages out."""
    probe = torch.zeros(1, 16, 16, dtype=torch.complex64)
    probe[0, 6:10, 6:10] = 3.0
    data = Information(level=100.0, share=1.0, probe=probe_intensity(probe))
    amplitude, phase = data.on((64, 64))
    assert float(amplitude[0, 0]) == pytest.approx(400)
    assert float(phase[0, 0]) == pytest.approx(0, abs=1e-3)
    assert float(amplitude[16, 0]) == pytest.approx(200, rel=1e-3)  # a quarter: zero of the square
    assert data.noise(9, 8)[0][0, 0] == pytest.approx(1 / 400)
    for sides in ((9, 8), (8, 9)):
        noise = data.noise(*sides)[0]
        flipped = np.roll(noise[::-1, ::-1], (1, 1), axis=(0, 1))
        np.testing.assert_allclose(noise, flipped, rtol=1e-4)  # that of a real picture


def test_the_information_predicts_the_curvature_of_the_likelihood():
    """In the mean over random changes of one frequency band, at the true object."""
    raw = simulated(n_frames=100, noise=False, photons=1e6)
    problem, estimate = _problem(raw)
    truth = _truth_on(problem, raw)
    exact = expected_frames(problem, estimate._replace(obj=truth), torch.arange(raw.n_frames))
    problem, _ = _problem(
        replace(raw, frames=exact.numpy(), measurement="intensity", photons_per_unit=1.0)
    )
    light = _light(problem, estimate)
    data = Information.of(problem, estimate._replace(obj=truth), light, 0.0)
    inside = (light > 0.5 * light.max()).float()
    generator = torch.Generator().manual_seed(0)
    white = torch.randn(2, *truth.shape, generator=generator)
    step = 1e-3

    def gradient(change):
        obj = truth * torch.polar(change[0].exp(), change[1])
        total = TensorUpdater(problem).total(
            estimate._replace(obj=obj), 20, Sums(), excess=0.0
        ).step  # fmt: skip
        both = 2 * total.conj() * obj
        return -torch.stack([both.real, -both.imag])

    for part in (0, 1):
        change = torch.zeros_like(white)
        change[part] = white[part] * inside
        curved = float(((gradient(step * change) - gradient(0 * change)) * change).sum()) / step
        expected = 2 * float(((light * truth.abs().square()) * change[part].square()).sum())
        assert curved == pytest.approx(expected, rel=0.25)
    assert data.level == pytest.approx(
        float((light * truth.abs().square())[light > 0.25 * light.max()].mean()), rel=1e-5
    )


def _problem(raw):
    canvas = canvas_of(torch.from_numpy(raw.positions), raw.frame_size)
    data = GroupDataset(raw, np.arange(raw.n_frames)[:, None])
    problem = Problem.of(data, canvas, device=torch.device("cpu"))
    return problem, start_of(raw, torch.ones(canvas.shape, dtype=torch.complex64),
                             scaled_probe(raw).probe)  # fmt: skip


def _truth_on(problem, raw):
    (row, col), (height, width) = problem.canvas
    padded = np.pad(raw.obj, 64, mode="edge")
    cut = padded[64 + row : 64 + row + height, 64 + col : 64 + col + width]
    return torch.from_numpy(np.ascontiguousarray(cut, np.complex64))


def _light(problem, estimate):
    lit = TensorUpdater(problem).total(estimate, 20, Sums()).illumination
    return lit


def test_a_prior_is_found_again_in_noise():
    """A picture with a known spectrum plus white noise of known power, filtered as a prior does."""
    rng = np.random.default_rng(0)
    side = 128
    law = PowerLaw(level=1e-3, slope=1.3, corner=1 / side)
    squared = np.add.outer(np.fft.fftfreq(side) ** 2, np.fft.fftfreq(side) ** 2)

    def picture():
        white = np.fft.fft2(rng.standard_normal((side, side)), norm="ortho")
        return np.fft.ifft2(white * np.sqrt(law.at(squared)), norm="ortho").real

    noise = np.full((2, side, side), 0.01)
    before = SpectralPrior(law._replace(level=3e-3, slope=1.0), law._replace(slope=1.6))
    found = []
    for each, spectrum in zip(before, noise, strict=True):
        noisy = picture() + rng.standard_normal((side, side)) * 0.1
        share = each.at(squared) / (each.at(squared) + spectrum)
        found.append(np.fft.ifft2(np.fft.fft2(noisy) * share).real)
    prior = measured_prior(np.stack(found), np.ones((side, side), bool), noise, before)
    for fitted in prior:
        assert fitted.slope == pytest.approx(1.3, abs=0.15)
        middle = 0.1**2  # where both are determined
        assert fitted.at(middle) == pytest.approx(law.at(middle), rel=0.25)


def test_the_first_prior_has_the_variance_of_the_object():
    rng = np.random.default_rng(0)
    pictures = np.stack([0.1 * rng.standard_normal((64, 64)), rng.standard_normal((64, 64))])
    prior = first_prior(pictures, np.ones((64, 64), bool))
    assert prior.log_amplitude.spread() == pytest.approx(0.1, rel=0.05)
    assert prior.phase.spread() == pytest.approx(1, rel=0.05)


def test_logarithms_are_those_of_the_object():
    """Also of a ramp over many turns with noise, where a phase is known up to 2 pi only."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 25, 80)[:, None] + 0.2 * rng.standard_normal((80, 60))
    obj = torch.from_numpy((0.5 + rng.random((80, 60)) / 2) * np.exp(1j * ramp)).to(torch.complex64)
    found = logarithms(obj, torch.ones(obj.shape, dtype=torch.bool))
    turned = as_object(found) / obj
    assert float((turned / turned[0, 0] - 1).abs().max()) < 1e-4
    assert float(found[1].diff(dim=0).abs().max()) < 2


def test_a_dark_pixel_takes_the_phase_of_its_neighbours():
    obj = torch.ones(8, 8, dtype=torch.complex64)
    obj[3, 3] = -1e-6
    found = logarithms(obj, torch.ones(8, 8, dtype=torch.bool))
    assert float(found[1].abs().max()) < 1e-6
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("excess", [0.0, 0.02])
def test_the_excess_variance_of_counts_is_found_again(excess):
    raw = simulated(n_frames=100, noise=False, photons=1e5)
    problem, estimate = _problem(raw)
    estimate = estimate._replace(obj=_truth_on(problem, raw))
    members = torch.arange(100)
    expected = expected_frames(problem, estimate, members).double().numpy()
    rng = np.random.default_rng(0)
    gain = rng.gamma(1 / excess, excess, expected.shape) if excess else 1.0
    noisy = replace(raw, frames=rng.poisson(expected * gain).astype(np.uint32))
    found = excess_variance(_problem(noisy)[0], estimate)
    assert found == pytest.approx(excess, rel=0.1, abs=2e-4)


def _decibels(raw, problem, obj):
    lit = TensorUpdater(problem).total(
        Estimate(torch.ones_like(obj), _problem(raw)[1].nuisances), 20, Sums()
    ).illumination  # fmt: skip
    mask = (lit > 0.3 * lit.max()).numpy()
    numbers = compare(obj.numpy(), raw.obj, mask, estimate_origin=problem.canvas.origin).numbers
    return numbers["phase_psnr_db"], numbers["amplitude_psnr_db"]


@pytest.mark.parametrize("fused", [True, False])
def test_it_is_a_better_object_than_that_of_the_sweeps(fused):
    raw = simulate(
        n_frames=256, N=32, step=2.0, jitter=0.3, probe_fwhm=8.0, photons=1e4,
        amplitude_image="leaves", phase_image="clouds",
    )  # fmt: skip
    problem, start = _problem(raw)
    swept = Sweeps(fused=fused).solve(problem, start, Ending(), Refine(), untracked)
    found = most_probable(problem, swept, Ending(), fused=fused)
    before, after = _decibels(raw, problem, swept.obj), _decibels(raw, problem, found.obj)
    assert after[0] > before[0] + 3
    assert after[1] > before[1] + 1
    assert found.free_residual[-1] < min(swept.free_residual)
    assert len(found.free_residual) < len(swept.free_residual) + 100


def test_a_start_that_predicts_better_is_kept():
    """From the truth without noise, one bad step is no better, and so is not taken."""
    raw = simulated(n_frames=64, noise=False, photons=1e5)
    problem, start = _problem(raw)
    exact = Sweeps().solve(
        problem, start._replace(obj=_truth_on(problem, raw)), Ending(iterations=1), Refine(),
        untracked,
    )  # fmt: skip
    found = most_probable(problem, exact, Ending())
    assert math.isfinite(found.free_residual[-1])
    assert found.free_residual[-1] <= 1.05 * max(exact.free_residual[-1], 1e-4)


def test_the_engine_counts_its_sweeps():
    raw = simulated()
    problem, start = _problem(raw)
    found = MostProbable().solve(problem, start, Ending(iterations=3), Refine(), untracked)
    assert len(found.free_residual) > 3


@pytest.mark.parametrize("probe", [False, True])
def test_the_gradient_of_the_posterior_is_that_of_its_value(probe):
    """By differences of the likelihood of SciPy and of the prior written out, along a line."""
    problem, estimate = started(scan(), n_modes=2, background=True)
    posterior = Posterior(problem, estimate, TensorUpdater(problem), probe=probe)
    at = posterior.start
    height, width = problem.canvas.shape

    def value(point):
        pictures = point[: 2 * height * width].unflatten(0, (2, height, width)).double()
        spectra = torch.fft.rfft2(pictures, norm="ortho").abs().square()
        twice = torch.full((width // 2 + 1,), 2.0)
        twice[0] = 1
        if width % 2 == 0:
            twice[-1] = 1
        surprise = float((spectra / posterior.prior.power((height, width)) * twice).sum()) / 2
        return surprise + _surprise(problem, posterior.estimate_at(point), posterior.excess)

    generator = torch.Generator().manual_seed(5)
    along = torch.randn(at.shape, generator=generator)
    if probe:  # only where there is light, as differences of single precision need
        along[2 * height * width :] *= posterior.start[2 * height * width :].abs()
    step = 1e-3
    slope = (value(at + step * along) - value(at - step * along)) / (2 * step)
    assert slope == pytest.approx(float(posterior.gradient(at) @ along), rel=5e-3)


def test_a_wrong_probe_is_found_with_the_object():
    """One iteration of the sweeps has hardly found it; what is left is found here."""
    raw = simulate(
        n_frames=256, N=32, step=2.0, jitter=0.3, probe_fwhm=8.0, photons=1e5,
        amplitude_image="leaves", phase_image="clouds",
    )  # fmt: skip
    size = raw.frame_size
    ramp = torch.fft.fftfreq(size)
    defocus = torch.polar(torch.ones(size, size), 12 * (ramp[:, None] ** 2 + ramp**2))
    true = torch.from_numpy(np.asarray(raw.probe, np.complex64))
    wrong = torch.fft.ifft2(torch.fft.fft2(true) * defocus)
    problem, start = _problem(replace(raw, probe=wrong.numpy()))
    few = Ending(iterations=6)
    swept = Sweeps().solve(problem, start, few, Refine(probe=True), untracked)
    fixed, found = (most_probable(problem, swept, Ending(), probe=each) for each in (False, True))

    def likeness(solution):
        probe = solution.nuisances.probe
        overlap = torch.fft.ifft2(torch.fft.fft2(probe) * torch.fft.fft2(true).conj()).abs().max()
        return float(overlap / (probe.norm() * true.norm()))

    assert 1 - likeness(found) < (1 - likeness(fixed)) / 2
    assert found.free_residual[-1] < fixed.free_residual[-1]


def test_a_probe_does_not_become_a_point():
    """Light of a point falls on all of the detector, that of a probe on its own spectrum."""
    raw = simulated(n_frames=100, N=32, probe_fwhm=12.0)
    problem, start = _problem(raw)
    posterior = Posterior(problem, start, TensorUpdater(problem), probe=True)
    wave = start.nuisances.probe
    pull = torch.zeros(*wave.shape, 2)
    pull[0, 14, 18, 0] = 1e6
    at = torch.zeros_like(posterior.start)
    at[-pull.numel() :] = pull.flatten()
    moved = posterior.metric(at)[-pull.numel() :].unflatten(0, tuple(pull.shape))
    spectrum = torch.fft.fft2(torch.view_as_complex(moved.contiguous()))[0].abs()
    beam = torch.fft.fft2(wave)[0].abs()
    inside = beam > 0.3 * beam.max()
    assert float(spectrum[~inside].min()) < 0.05 * float(spectrum[inside].mean())
