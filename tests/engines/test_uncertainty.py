"""How far an object may be trusted: laws of the spread, the halves, and the whole way."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_scan import SIDE, problem_of, simulated, start_of

from ptycho.api.reconstruction import reconstruct
from ptycho.api.simulation import simulate
from ptycho.api.uncertainty import on_canvas
from ptycho.engines.bound import bound_of, illumination_levels
from ptycho.engines.ending import Ending, Monitor, Patience
from ptycho.engines.fused import updating
from ptycho.engines.most_probable import Posterior, climbed, most_probable
from ptycho.engines.nuisances import Refine
from ptycho.engines.posterior_samples import posterior_samples, resampled
from ptycho.engines.sweeps import Sweeps
from ptycho.engines.uncertainty import (
    UNKNOWN_PHASE,
    half_data,
    same_gauge,
    uncertainty,
)
from ptycho.metrics import well_covered
from ptycho.physics.patches import canvas_of
from ptycho.progress import untracked
from ptycho.scan.scaling import scaled_probe


def textured(seed=0, side=40):
    rng = np.random.default_rng(seed)
    obj = rng.uniform(0.6, 1.0, (side, side)) * np.exp(1j * rng.uniform(-0.5, 0.5, (side, side)))
    return obj.astype(np.complex64)


def noise(rng, shape, std):
    return std * (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)


def test_samples_equal_to_the_object_leave_no_uncertainty():
    obj = textured()
    found = uncertainty(obj, [obj] * 3)
    assert not found.amplitude_std.any()
    assert found.phase_std.max() < 1e-6  # rounding of float32 angles


def test_the_spread_by_hand():
    # Two samples of a uniform object: amplitudes off by 0.3 and 0.4, phases by -0.1 and 0.1 rad.
    obj = np.ones((12, 12), np.complex64)
    samples = [1.3 * np.exp(-0.1j) * obj, 0.6 * np.exp(0.1j) * obj]
    found = uncertainty(obj, samples, misfit_ratio=4.0)
    # sqrt((0.09 + 0.16) / 2) = 0.35355, times sqrt(4)
    np.testing.assert_allclose(found.amplitude_std, 2 * 0.35355, rtol=1e-4)
    np.testing.assert_allclose(found.phase_std, 2 * 0.1, rtol=1e-4)


def test_frames_explained_better_than_chance_do_not_shrink_it():
    obj = textured()
    samples = [obj * np.exp(0.1j)]
    plain, better = (uncertainty(obj, samples, misfit_ratio=ratio) for ratio in (1.0, 0.5))
    np.testing.assert_array_equal(plain.phase_std, better.phase_std)


def test_no_phase_is_less_known_than_one_on_the_whole_circle():
    obj = np.ones((8, 8), np.complex64)
    found = uncertainty(obj, [-obj])
    np.testing.assert_allclose(found.phase_std, UNKNOWN_PHASE)
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, 100_000)
    assert angles.std() == pytest.approx(UNKNOWN_PHASE, rel=0.01)


def test_where_a_sample_is_unknown_the_uncertainty_is_nan():
    obj = textured()
    sample = obj.copy()
    sample[:5] = np.nan
    found = uncertainty(obj, [obj, sample])
    for std in found:
        assert np.isnan(std[:5]).all()
        assert np.isfinite(std[5:]).all()


def test_halves_tell_the_error_of_the_whole_of_a_mean():
    # The toy estimator: a mean over n frames. Halves are n/2 each, so theory needs no simulation of
    # ptychography: noise s per frame, s / sqrt(n) in the whole.
    rng = np.random.default_rng(0)
    obj, n, s = textured(side=64), 16, 0.02
    frames = obj + noise(rng, (n, *obj.shape), s)
    mask = np.ones(obj.shape, bool)
    found = half_data(frames[: n // 2].mean(0), frames[n // 2 :].mean(0), mask, shift=False)
    # 4,096 pixels tell a standard deviation to 1.1 %.
    assert found.amplitude_std == pytest.approx(s / np.sqrt(n), rel=0.05)
    whole = np.abs(frames.mean(0)) - np.abs(obj)
    assert found.amplitude_std == pytest.approx(whole.std(), rel=0.05)


def test_equal_halves_agree_up_to_nyquist_in_any_gauge():
    obj = textured(side=64)
    rows = np.arange(64)[:, None]
    other = 1.1 * obj * np.exp(1j * (0.7 + 0.01 * rows))
    found = half_data(obj, other.astype(np.complex64), np.ones(obj.shape, bool), shift=False)
    assert found.rings.crossing(found.rings.half_bit) == 0.5
    assert found.phase_std < 1e-4
    assert found.amplitude_std < 1e-4


def test_crossing_leaves_out_the_first_rings():
    obj = textured(side=64)
    found = half_data(obj, obj, np.ones(obj.shape, bool), shift=False)
    correlation = found.rings.correlation.copy()
    correlation[1] = 0  # a ring of eight pixels
    dipped = replace(found.rings, correlation=correlation)
    assert dipped.crossing(0.5) == 0
    assert found._replace(rings=dipped).crossing(0.5) == 0.5
    correlation[10:] = 0  # ring 9 is the last above; halfway to ring 10, in 64ths
    assert found._replace(rings=dipped).crossing(0.5) == pytest.approx(9.5 / 64)


def test_gauge_is_gone_and_the_rest_stays():
    obj = textured(side=48)
    rows, cols = np.indices(obj.shape)
    turned = obj * np.exp(1j * (0.4 + 0.02 * rows - 0.01 * cols))
    back = same_gauge(turned.astype(np.complex64), obj, np.ones(obj.shape, bool), shift=False)
    np.testing.assert_allclose(back, obj, atol=1e-4)
    spot = turned.copy()
    spot[20:24, 20:24] *= np.exp(0.5j)
    left = np.angle(same_gauge(spot, obj, np.ones(obj.shape, bool), shift=False) * obj.conj())
    assert left[21, 21] == pytest.approx(0.5, abs=0.02)


def test_resampled_frames_scatter_about_what_the_object_predicts():
    raw = simulated(16, photons=1e4)
    scaled = scaled_probe(raw)
    canvas = canvas_of(torch.from_numpy(raw.positions), SIDE)
    (row, col), (height, width) = canvas
    obj = raw.obj[row : row + height, col : col + width] / scaled.transmission
    problem = problem_of(raw, canvas)
    estimate = start_of(raw, torch.from_numpy(obj.astype(np.complex64)), scaled.probe)
    every = np.arange(16)

    def counted(seed, excess=0.0):
        rng = np.random.default_rng(seed)
        again = resampled(problem, estimate, excess=excess, rng=rng)
        return again.frames.raw.intensity(every)

    np.testing.assert_array_equal(counted(0), counted(0))
    assert (counted(0) != counted(1)).any()
    expected = raw.intensity(every)  # noise-free: the object is the true one
    bright = expected > 5
    assert bright.sum() > 300
    for excess in (0.0, 0.05):
        spread = np.sqrt(expected + excess * expected**2)[bright]
        away = (counted(1, excess) - expected)[bright] / spread
        # Variance I + c I^2; its tails are longer than those of a normal distribution.
        assert away.var() == pytest.approx(1, abs=4 * np.sqrt(3 / away.size))
        assert abs(away.mean()) < 4 / np.sqrt(away.size)


def test_samples_scatter_as_the_posterior_of_the_bound():
    """Their root mean square distance is the smallest error that the counts and the prior allow."""
    raw = simulate(
        n_frames=256, N=32, step=2.0, jitter=0.3, probe_fwhm=8.0, photons=1e4,
        amplitude_image="leaves", phase_image="clouds",
    )  # fmt: skip
    canvas = canvas_of(torch.from_numpy(raw.positions), 32)
    problem = problem_of(raw, canvas)
    wave = scaled_probe(raw).probe
    start = start_of(raw, torch.ones(canvas.shape, dtype=torch.complex64), wave)
    swept = Sweeps().solve(problem, start, Ending(), Refine(), untracked)
    found = most_probable(problem, swept, Ending())
    rng = np.random.default_rng(0)
    drawn = posterior_samples(problem, found.estimate, 4, probe=False, rng=rng)
    assert drawn.misfit_ratio == pytest.approx(1, abs=0.1)
    inside = np.zeros(canvas.shape, bool)
    inside[14:-14, 14:-14] = True
    obj = found.obj.numpy()
    phases = [
        np.angle(same_gauge(each.numpy(), obj, inside, shift=False) * obj.conj())[inside]
        for each in drawn.objects
    ]
    with updating(problem, Refine(), compiled=True) as updater:
        posterior = Posterior(problem, found.estimate, updater, probe=False)
        climbed(posterior, Monitor(Ending(), Patience(most=60)), iter(range(60)))
    least = bound_of(
        wave, illumination_levels(wave, torch.from_numpy(raw.positions)), posterior.prior,
        transmission=float((found.obj.abs()[torch.from_numpy(inside)] ** 2).mean()), field=32,
    )  # fmt: skip
    assert typical(np.stack(phases)) == pytest.approx(least.phase, rel=0.35)


def trust_of(raw, samples=2, seed=0, sweeps=5):
    """The reconstruction by the general model and its uncertainty."""
    result = reconstruct(raw, iterations=sweeps, uncertainty=samples, seed=seed, progress=False)
    return result, result.uncertainty


def small_scan(photons):
    return simulated(49, noise=True, photons=photons, N=32, step=4.0, probe_fwhm=10.0)


@pytest.fixture(scope="module")
def at_doses():
    raws = {dose: small_scan(dose) for dose in (1e3, 1e5)}
    return {dose: (raw, *trust_of(raw)) for dose, raw in raws.items()}


def typical(std):
    return float(np.sqrt(np.nanmean(std.astype(np.float64) ** 2)))


def test_more_dose_is_less_uncertainty(at_doses):
    (_, _, few), (_, _, many) = (at_doses[dose] for dose in (1e3, 1e5))
    for name in ("phase_std", "amplitude_std"):
        low, high = (typical(getattr(trust.pixels, name)) for trust in (many, few))
        assert low < 0.9 * high


@pytest.mark.parametrize("dose", [1e3, 1e5])
def test_what_the_map_says_is_the_error_within_a_factor(at_doses, dose):
    raw, result, trust = at_doses[dose]
    (row, col), (height, width) = result.origin, result.obj.shape
    mask = well_covered(result.coverage)
    whole = raw.obj[row : row + height, col : col + width]
    truth = same_gauge(whole, result.obj, mask, shift=False)
    errors = np.angle(truth * result.obj.conj()), np.abs(truth) - np.abs(result.obj)
    said = trust.pixels.phase_std, trust.pixels.amplitude_std
    for error, std in zip(errors, said, strict=True):
        # The benchmark's cells lie between 0.7 and 1.6; one small scan may do a little worse.
        assert 0.5 < typical(error) / typical(std) < 2


def test_the_same_seed_gives_the_same_map(at_doses):
    raw, _, trust = at_doses[1e3]
    _, same = trust_of(raw)
    _, other = trust_of(raw, seed=1)
    np.testing.assert_array_equal(same.pixels.phase_std, trust.pixels.phase_std)
    assert not np.array_equal(other.pixels.phase_std, trust.pixels.phase_std)


def test_the_map_lies_on_the_canvas_and_is_unknown_where_the_object_is(at_doses):
    _, result, trust = at_doses[1e3]
    unknown = ~well_covered(result.coverage)
    for std in trust.pixels:
        assert std.shape == result.obj.shape
        assert std.dtype == np.float32
        np.testing.assert_array_equal(np.isnan(std), unknown)


def test_a_half_lies_in_its_place_on_the_canvas_of_all(at_doses):
    _, result, _ = at_doses[1e3]
    part = replace(
        result,
        obj=result.obj[3:-2, 5:-1], coverage=result.coverage[3:-2, 5:-1],
        origin=(result.origin[0] + 3, result.origin[1] + 5),
    )  # fmt: skip
    obj, seen = on_canvas(part, result)
    np.testing.assert_array_equal(obj[3:-2, 5:-1], result.obj[3:-2, 5:-1])
    assert not seen[:3].any()
    assert not seen[:, -1].any()
