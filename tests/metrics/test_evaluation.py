"""Evaluation: resolution levels, MS-SSIM, twins, frames explained, and the published numbers."""

import json
import math

import numpy as np
import pytest
import torch
from skimage import metrics as skimage_metrics
from tiny_scan import simulated

from ptycho.commands.cli import evaluate_main
from ptycho.engines.residuals import frame_deviances
from ptycho.io.npz import write_npz
from ptycho.metrics import (
    MS_SSIM_LEAST_SIDE,
    compare,
    fourier_ring_correlation,
    legacy_numbers,
    multiscale_similarity,
    peak_signal_to_noise,
    structural_similarity,
)
from ptycho.metrics.legacy import frc50_ring
from ptycho.physics.patches import Canvas
from ptycho.scan.dataset import GroupDataset
from ptycho.scan.scaling import scaled_probe


def noise(side, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(side, side)) + 1j * rng.normal(size=(side, side))


def picture(side, seed=0):
    """Something smooth, with amplitude and phase."""
    spectrum = np.fft.fft2(noise(side, seed))
    radius = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side))
    smooth = np.fft.ifft2(spectrum * np.exp(-((radius / 0.08) ** 2)))
    smooth = smooth / np.abs(smooth).max()
    return (0.7 + 0.2 * smooth.real) * np.exp(0.8j * smooth.imag)


# Resolution


def test_equal_objects_correlate_everywhere_and_cross_nothing():
    obj = noise(48)
    rings = fourier_ring_correlation(obj, obj)
    np.testing.assert_allclose(rings.correlation[1:], 1, rtol=1e-12)
    # The first rings hold so few pixels that a bit takes a correlation of nearly 1 there, not more.
    assert [rings.crossing(level) for level in rings.thresholds.values()] == [0.5, 0.5, 0.5]


def test_independent_noise_stays_below_every_level():
    rings = fourier_ring_correlation(noise(96, 0), noise(96, 1))
    assert np.abs(rings.correlation[8:]).max() < 0.25  # 5 sigma of a ring of some 400 pixels
    assert (rings.correlation[8:] < rings.half_bit[8:]).all()
    assert (rings.half_bit < rings.one_bit)[8:].all()


def test_levels_by_hand():
    """Ring 8 of 64 pixels: 2 pi 8 = 50.3 pixels, of which the window leaves 0.264 independent."""
    rings = fourier_ring_correlation(noise(64, 0), noise(64, 1))
    radius = np.hypot(np.fft.fftfreq(64)[:, None], np.fft.fftfreq(64)) * 64
    counted = int(((radius >= 7.5) & (radius < 8.5)).sum())
    window = np.hanning(66)[1:-1]
    independent = counted * (np.mean(window**2) ** 2 / np.mean(window**4)) ** 2
    x = 1 / math.sqrt(independent)
    assert rings.half_bit[8] == pytest.approx((0.2071 + 1.9102 * x) / (1.2071 + 0.9102 * x))
    assert rings.one_bit[8] == pytest.approx((0.5 + 2.4142 * x) / (1.5 + 1.4142 * x))
    # Very many pixels: 0.2071 / 1.2071 and 0.5 / 1.5.
    assert 0.2071 / 1.2071 < rings.half_bit[-1] < rings.one_bit[-1] < 0.6


# Pictures


def test_psnr_and_ssim_are_those_of_scikit_image():
    truth = np.abs(picture(64))
    found = truth + 0.05 * np.random.default_rng(0).normal(size=truth.shape)
    mask = np.ones(truth.shape, bool)
    assert peak_signal_to_noise(found - truth, 0.9) == pytest.approx(
        skimage_metrics.peak_signal_noise_ratio(truth, found, data_range=0.9)
    )
    _, similarity = skimage_metrics.structural_similarity(
        truth, found, data_range=0.9, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, full=True,
    )  # fmt: skip
    inner = similarity[5:-5, 5:-5].mean()
    assert structural_similarity(found, truth, mask, 0.9) == pytest.approx(inner, rel=1e-9)


def test_ms_ssim_is_one_for_equal_pictures_and_falls_with_noise():
    truth = np.abs(picture(MS_SSIM_LEAST_SIDE))
    rng = np.random.default_rng(0)
    found = [
        multiscale_similarity(truth + sigma * rng.normal(size=truth.shape), truth, 0.5)
        for sigma in (0.0, 0.02, 0.1)
    ]
    assert found[0] == pytest.approx(1)
    assert 1 > found[1] > found[2] > 0


def test_ms_ssim_of_a_brighter_picture_by_hand():
    """Flat pictures differ in luminance only, which counts at the coarsest scale, to 0.1333."""
    side, range_ = MS_SSIM_LEAST_SIDE, 1.0
    dark, bright = np.full((side, side), 0.5), np.full((side, side), 0.6)
    luminance = (2 * 0.5 * 0.6 + 0.01**2) / (0.5**2 + 0.6**2 + 0.01**2)
    assert multiscale_similarity(bright, dark, range_) == pytest.approx(luminance**0.1333, rel=1e-4)


def test_ms_ssim_that_does_not_fit_is_no_number():
    small = np.abs(picture(MS_SSIM_LEAST_SIDE - 1))
    assert math.isnan(multiscale_similarity(small, small, 1.0))


def test_everything_removed_at_once_is_told():
    """Shift (2, -1), ramp, scale and phase of one object: found, and nothing is left."""
    wide = picture(96)
    truth, moved = wide[10:80, 10:80], wide[8:78, 11:81]
    rows, cols = np.indices(moved.shape)
    estimate = 1.3 * moved * np.exp(1j * (0.5 + 0.01 * rows - 0.02 * cols))
    found = compare(estimate, truth, np.ones(truth.shape, bool))
    numbers = found.numbers
    shift = numbers["removed_shift_row_px"], numbers["removed_shift_col_px"]
    np.testing.assert_allclose(shift, (-2, 1), atol=0.02)
    ramp = numbers["removed_ramp_row_rad_per_px"], numbers["removed_ramp_col_rad_per_px"]
    np.testing.assert_allclose(ramp, (-0.01, 0.02), atol=1e-4)
    assert numbers["removed_scale"] == pytest.approx(1 / 1.3, rel=1e-3)
    assert numbers["object_residual"] < 1e-5


# The published numbers


def test_legacy_numbers_by_hand():
    """An amplitude of 1 and 3 for 1 and 2, in equal parts: scaled by 1.5 / 2, off by a quarter."""
    side = 32
    truth = np.where(np.indices((side, side))[0] < side // 2, 1.0, 2.0).astype(complex)
    estimate = np.where(truth.real == 1, 1.0, 3.0).astype(complex)
    numbers = legacy_numbers(estimate, truth)
    assert numbers["legacy_amplitude_mae"] == pytest.approx(0.25)
    assert numbers["legacy_amplitude_mse"] == pytest.approx(0.0625)
    psnr = 10 * math.log10(255**2 / 0.0625)
    assert numbers["legacy_amplitude_psnr_255_db"] == pytest.approx(psnr)
    assert math.isnan(numbers["legacy_phase_ms_ssim_product"])


def test_legacy_numbers_of_equal_objects_and_a_plane():
    obj = picture(128)
    rows, _ = np.indices(obj.shape)
    numbers = legacy_numbers(obj * np.exp(0.001j * rows), obj)
    assert numbers["legacy_phase_mae"] < 1e-9
    assert numbers["legacy_amplitude_ms_ssim_product"] == pytest.approx(1)
    assert numbers["legacy_amplitude_frc50_ring"] == 65  # 64 rings, none below


def test_legacy_ring_is_where_the_band_ends():
    """One of the two is noise beyond ring 20; smoothing by two rings blurs the edge."""
    spectrum = np.fft.fft2(noise(128, 0).real)
    along = np.fft.fftfreq(128) * 128
    beyond = np.hypot(along[:, None], along) > 20
    other = np.where(beyond, np.fft.fft2(noise(128, 1).real), spectrum)
    pair = (np.fft.ifft2(each).real for each in (spectrum, other))
    assert abs(frc50_ring(*pair) - 20.5) <= 2


# Frames


def test_deviance_by_hand():
    """Twice the photons of a true model in every pixel: 2 (I - 2 I + 2 I ln 2) = 0.7726 I."""
    raw = simulated(4)
    probe = scaled_probe(raw).probe
    canvas = Canvas((0, 0), raw.obj.shape)
    data = GroupDataset(raw, np.arange(4)[:, None])
    obj = torch.from_numpy(np.asarray(raw.obj, dtype=np.complex64))
    full = frame_deviances(obj * scale_of(raw), canvas, probe, data, batch_size=2)
    half = frame_deviances(obj * scale_of(raw) / 2**0.5, canvas, probe, data, batch_size=4)
    photons = np.square(raw.amplitude(np.arange(4))).mean(axis=(1, 2))
    assert full.max() < 1e-3 * photons.min()
    np.testing.assert_allclose(half, (2 * math.log(2) - 1) * photons, rtol=2e-3)


def scale_of(raw):
    """What takes the true object to the scale of the probe that explains the frames."""
    return 1 / scaled_probe(raw).transmission


# The command


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A scan and reconstructions of it: the truth, its halves, and its twin."""
    folder = tmp_path_factory.mktemp("evaluation")
    raw = simulated(49)
    raw.save(folder / "scan.npz")
    coverage = np.ones(raw.obj.shape, np.float32)
    frames = np.arange(49)
    made = {
        "all": (raw.obj, frames),
        "first": (raw.obj, frames[::2]),
        "second": (raw.obj, frames[1::2]),
        "twin": (raw.obj[::-1, ::-1].conj(), frames),
    }
    for name, (obj, used) in made.items():
        (folder / name).mkdir()
        write_npz(folder / name / "reconstruction.npz", {
            "object": np.ascontiguousarray(obj).astype(np.complex64), "coverage": coverage,
            "origin": np.zeros(2), "frames": used, "positions": raw.positions[used],
            "probe": raw.probe, "pixel_size_m": np.float64(1e-8),
        })  # fmt: skip
    return folder


def evaluated(home, tmp_path, *words):
    assert evaluate_main([*map(str, words), "--output_dir", str(tmp_path), "--no_report"]) == 0
    return json.loads((tmp_path / "metrics.json").read_text())


def test_a_reconstruction_alone_is_judged_by_its_frames(home, tmp_path):
    found = evaluated(
        home, tmp_path, "--reconstruction", home / "all", "--test_data", home / "scan.npz"
    )
    assert found["detector_residual"] < 1e-3
    assert found.get("object") is None
    with np.load(tmp_path / "evaluated_frames.npz") as kept:
        assert len(kept["residuals"]) == len(kept["deviances"]) == 49
        assert found["poisson_deviance_per_pixel"] == pytest.approx(kept["deviances"].mean())


def test_two_halves_are_called_so(home, tmp_path):
    halves = ("--reconstruction", home / "first", "--truth", home / "second")
    assert evaluated(home, tmp_path / "a", *halves)["disjoint_frames"] is True
    same = ("--reconstruction", home / "first", "--truth", home / "all")
    assert evaluated(home, tmp_path / "b", *same)["disjoint_frames"] is False
    truth = ("--reconstruction", home / "first", "--truth", home / "scan.npz")
    found = evaluated(home, tmp_path / "c", *truth)
    assert found["disjoint_frames"] is None
    assert found["object"]["frc_one_bit_full_period_m"] == pytest.approx(2e-8)


def test_a_twin_is_found_only_when_asked_for(home, tmp_path):
    words = ("--reconstruction", home / "twin", "--truth", home / "scan.npz")
    without = evaluated(home, tmp_path / "a", *words)
    found = evaluated(home, tmp_path / "b", *words, "--twin")
    assert without["removed_turn"] == "none"
    assert found["removed_turn"] == "conjugate, turned by 180 degrees"
    assert found["object"]["object_residual"] < 1e-6 < without["object"]["object_residual"]


def test_legacy_numbers_stand_beside_the_others(home, tmp_path):
    words = ("--reconstruction", home / "all", "--truth", home / "scan.npz")
    found = evaluated(home, tmp_path, *words, "--metrics", "ptychopinn-legacy")
    assert found["legacy"]["legacy_amplitude_mae"] < 1e-6
    assert found["object"]["amplitude_psnr_db"] is None or found["object"]["amplitude_psnr_db"] > 90


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "truth: none, and no test_data; expected one, or both"),
        (("--test_data", "other.npz"), "that other.npz does not have there"),
    ],
)
def test_what_cannot_be_judged_is_one_line(home, tmp_path, capsys, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    simulated(9).save(tmp_path / "other.npz")
    assert evaluate_main(["--reconstruction", str(home / "all"), *words]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
