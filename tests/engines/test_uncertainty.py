"""How far an object may be trusted: laws of the spread, the halves, and the whole way."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_scan import SIDE, problem_of, simulated, start_of

from ptycho.api.reconstruction import reconstruct
from ptycho.api.uncertainty import on_canvas
from ptycho.engines.resampling import (
    CALIBRATION,
    UNKNOWN_PHASE,
    count_again,
    half_data,
    same_gauge,
    uncertainty,
)
from ptycho.metrics import well_covered
from ptycho.physics.patches import canvas_of
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
    found = uncertainty(obj, samples, misfit_ratio=4.0, calibration=1.5)
    # sqrt((0.09 + 0.16) / 2) = 0.35355, times 1.5 sqrt(4)
    np.testing.assert_allclose(found.amplitude_std, 3 * 0.35355, rtol=1e-4)
    np.testing.assert_allclose(found.phase_std, 3 * 0.1, rtol=1e-4)


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


def test_scans_counted_again_scatter_about_what_the_object_predicts():
    raw = simulated(16, photons=1e4)
    scaled = scaled_probe(raw)
    canvas = canvas_of(torch.from_numpy(raw.positions), SIDE)
    (row, col), (height, width) = canvas
    obj = raw.obj[row : row + height, col : col + width] / scaled.transmission
    problem = problem_of(raw, canvas)
    estimate = start_of(raw, torch.from_numpy(obj.astype(np.complex64)), scaled.probe)
    drawn = [
        count_again(problem, estimate, batch_size=5, rng=np.random.default_rng(seed))
        for seed in (0, 0, 1)
    ]  # fmt: skip
    np.testing.assert_array_equal(drawn[0].frames, drawn[1].frames)
    assert (drawn[0].frames != drawn[2].frames).any()
    expected = raw.intensity(np.arange(16))  # noise-free: the object is the true one
    bright = expected > 20
    away = (drawn[2].intensity(np.arange(16)) - expected)[bright] / np.sqrt(expected[bright])
    # Poisson: of variance 1 in units of sqrt(I), told to sqrt(2 / 1,500).
    assert away.var() == pytest.approx(1, abs=0.15)
    assert abs(away.mean()) < 0.1


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


def test_the_calibration_is_the_one_that_was_fitted():
    found = json.loads((Path(__file__).parents[2] / "docs/benchmarks/trust.json").read_text())
    assert found["factor"] == CALIBRATION
