"""Scans spoiled in one way each are read right again; right ones stay as they are."""

import dataclasses
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import ptycho
from ptycho.api import calibration as api_calibration
from ptycho.calibration.calibrate import calibrate, fits
from ptycho.calibration.evidence import (
    _Option,
    _simplest,
    weigh,
)
from ptycho.calibration.probes import candidates
from ptycho.calibration.setup import Setup, described, in_memory
from ptycho.calibration.trial import Bench, Judged, better
from ptycho.calibration.value import Calibration, read_calibration
from ptycho.engines.nuisances import Refine
from ptycho.errors import ConfigError, DataError
from ptycho.grouping.compact import compact_part
from ptycho.io.orientation import FRAME_STEPS, POSITION_STEPS
from ptycho.io.start_probe import estimated_probe
from ptycho.metrics import well_covered
from ptycho.scan.scaling import scaled_probe
from ptycho.settings.reconstruct import ReconstructSettings


@pytest.fixture(scope="module")
def raw():
    return ptycho.simulate(
        n_frames=144, N=32, probe_fwhm=9.0, step=2.7, jitter=0.3, photons=1e5, probe="lens",
        aperture=0.2, progress=False,
    )  # fmt: skip


def moved(raw, positions):
    rows, cols = np.ascontiguousarray(positions.T)
    return replace(raw, ycoords=rows, xcoords=cols, xcoords_start=None, ycoords_start=None)


def without_probe(raw):
    probe = estimated_probe(raw.frames, None, raw.measurement)
    return replace(raw, probe=probe, probe_known=False)


def with_frames(raw, frames):
    return replace(raw, frames=np.ascontiguousarray(frames))


def likeness(first, second):
    overlap = np.abs(np.vdot(first, second))
    return overlap / np.linalg.norm(first) / np.linalg.norm(second)


def test_a_right_scan_fits(raw):
    assert fits(raw)
    part = in_memory(raw, compact_part(raw.positions, 100))
    found = weigh(Bench.of(part), Refine(), lambda each: None)
    assert found.refine == Refine()
    assert found.blur is None


@pytest.mark.parametrize("step", ["swap", "negate_rows", "reverse"])
def test_wrong_positions_are_found(raw, step):
    spoiled = moved(raw, POSITION_STEPS[step](raw.positions))
    assert not fits(spoiled)
    found = calibrate(spoiled)
    back = found.applied(spoiled).positions
    assert np.allclose(back - back.mean(0), raw.positions - raw.positions.mean(0), atol=1e-6)
    assert found.unexplained[1] < 0.2 * found.unexplained[0]


def test_corner_centred_frames_are_found(raw):
    spoiled = with_frames(raw, np.fft.ifftshift(np.asarray(raw.frames[:]), axes=(1, 2)))
    found = calibrate(spoiled)
    assert np.array_equal(found.applied(spoiled).frames[:], raw.frames[:])


@pytest.mark.parametrize("conjugate", [False, True], ids=["defocus", "other defocus"])
def test_a_missing_probe_is_found_with_the_sign_of_its_defocus(raw, conjugate):
    known = raw
    if conjugate:
        # The complex conjugate of every wave has the frame turned by 180 degrees.
        turned = np.roll(np.asarray(raw.frames[:])[:, ::-1, ::-1], (1, 1), axis=(1, 2))
        known = replace(with_frames(raw, turned), probe=np.conj(raw.probe))
    found = calibrate(without_probe(known))
    assert found.twin
    assert found.unexplained[1] < 0.1
    true = np.asarray(known.probe[0])
    assert likeness(found.probe[0], true) > 0.8
    assert likeness(found.probe[0], true) > likeness(found.probe[0], true.conj()) + 0.1


def test_turned_positions_are_turned_back(raw):
    angle = np.deg2rad(5.0)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = raw.positions.mean(axis=0)
    spoiled = moved(raw, (raw.positions - middle) @ matrix.T + middle)
    found = calibrate(spoiled, readings=False)
    assert "affine" in found.refine
    (a, _), (c, _) = found.setup.matrix
    assert np.rad2deg(np.arctan2(c, a)) == pytest.approx(-5.0, abs=1.0)


def test_a_background_is_weighed(raw):
    rng = np.random.default_rng(3)
    frames = np.asarray(raw.frames[:]).astype(np.uint32)
    spoiled = with_frames(raw, frames + rng.poisson(0.1 * frames.mean(), frames.shape))
    assert "background" in calibrate(spoiled, readings=False).refine


def test_a_reconstruction_reads_a_spoiled_scan_right(raw, tmp_path):
    spoiled = moved(raw, POSITION_STEPS["swap"](raw.positions))
    options = {"iterations": 12, "progress": False, "cache": False, "verdict": False}
    right = ptycho.reconstruct(raw, calibrate="off", **options)
    wrong = ptycho.reconstruct(spoiled, calibrate="off", **options)
    found = ptycho.reconstruct(spoiled, **options)
    decibels = [r.metrics["object"]["phase_psnr_db"] for r in (right, found)]
    assert decibels[1] == pytest.approx(decibels[0], abs=0.3)
    assert wrong.calibration is None
    assert any("--positions swap" in text for text in found.warnings)
    spoiled.save(tmp_path / "scan.npz")
    found.save(tmp_path / "run", report=False)
    # Read again by the run's own calibration.
    score = ptycho.evaluate(tmp_path / "run", test_data=tmp_path / "scan.npz")
    known = well_covered(found.coverage)
    assert score.frames is not None
    again = ptycho.reconstruct(spoiled, calibration=tmp_path / "run" / "calibration.npz", **options)
    assert np.allclose(again.obj[known], found.obj[known])


def test_file_round_trip(tmp_path):
    probe = np.arange(32, dtype=np.complex64).reshape(2, 4, 4)
    setup = Setup(positions=("swap",), frames=("fliplr",), matrix=((1.0, 0.25), (0.0, 1.0)))
    written = Calibration(
        frame_size=4, setup=setup, probe=probe, refine=("probe",), unexplained=(0.5, 0.01),
        twin=True, readings=({"words": "as read", "unexplained": 0.5},), seconds=1.0,
    )  # fmt: skip
    written.save(tmp_path / "c.npz")
    read = read_calibration(tmp_path / "c.npz")
    assert read.document() == written.document()
    assert np.array_equal(read.probe, probe)
    assert json.dumps(read.document())
    (tmp_path / "bad.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"bad\.npz"):
        read_calibration(tmp_path / "bad.npz")
    np.savez(tmp_path / "other.npz", x=1)
    with pytest.raises(DataError, match="calibration"):
        read_calibration(tmp_path / "other.npz")


def test_frames_of_another_size_are_refused(raw):
    with pytest.raises(ConfigError, match="frames of 64 pixels; this scan has 32"):
        Calibration(frame_size=64).applied(raw)


def test_setups_undo_what_they_name(raw):
    steps = Setup(frames=("transpose",), positions=("negate_rows",))
    once = steps.applied(raw, None)
    assert np.array_equal(once.frames[:5], FRAME_STEPS["transpose"](raw.frames[:5]))
    twice = steps.applied(once, None)
    assert np.array_equal(twice.frames[:], raw.frames[:])
    assert np.allclose(twice.positions, raw.positions)
    assert steps.words() == "--positions negate_rows --frames transpose"
    assert Setup().words() == "as read"


def test_maps_in_words():
    cos, sin = np.cos(0.1), np.sin(0.1)
    assert described(((cos, -sin), (sin, cos))) == "positions turned by 5.73 degrees"
    assert described(((1.1, 0.0), (0.0, 1.1))) == "positions scaled by 1.1"
    assert described(((1.0, 0.5), (0.0, 1.0))) == "positions sheared by 0.5000"


def judged(*excess, spread=1e-9):
    excess = np.array(excess)
    return Judged(excess=excess, variation=30.0, noise=1.0, spread=np.full(excess.shape, spread))


def test_gains_by_hand():
    before, after = judged(4.0, 8.0, 18.0), judged(1.0, 2.0, 18.0)
    share, sigmas = better(before, after)
    # Logarithms fall by ln 4, ln 4 and 0: mean ln 4 / 1.5, standard error ln 4 / 3.
    assert share == pytest.approx(1 - 4 ** (-2 / 3))
    assert sigmas == pytest.approx(2.0)
    assert before.unexplained == 1.0


def test_one_frame_at_the_rim_does_not_decide():
    before = judged(*[4.0] * 20, 400.0)
    assert better(before, judged(*[4.4] * 20, 40.0))[1] < 0.5
    assert better(before, judged(*[3.0] * 20, 900.0))[1] > 2.0


def test_a_gain_below_the_counting_noise_is_none():
    before, after = judged(0.5, -0.4, 0.2, 0.1, spread=20.0), judged(-1.0, 0.3, 0.1, 0.0, spread=20)
    share, _ = better(before, after)
    assert abs(share) < 0.02


def test_the_true_object_leaves_nothing_unexplained_and_a_shifted_one_much(raw):
    bench = Bench.of(in_memory(raw, np.arange(raw.n_frames)))
    row, col = bench.canvas.origin
    whole = np.ones(bench.canvas.shape, np.complex64)
    height, width = raw.obj.shape
    inside = slice(max(0, -row), -row + height), slice(max(0, -col), -col + width)
    cut = whole[inside].shape
    scale = scaled_probe(raw).transmission
    whole[inside] = raw.obj[: cut[0], : cut[1]] / scale
    estimate = bench.start()._replace(obj=torch.from_numpy(whole))
    assert bench.judge(estimate, Refine()).unexplained < 0.01
    shifted = estimate.nuisances._replace(positions=estimate.nuisances.positions + 4.0)
    wrong = estimate._replace(nuisances=shifted)
    assert bench.judge(wrong, Refine()).unexplained > 0.2


def test_candidates_have_the_power_spectrum_of_the_mean_frame(raw):
    mean = np.asarray(raw.frames[:]).mean(axis=0)
    found = candidates(raw)
    assert len({c.name for c in found}) == len(found) >= 5
    for each in found:
        if each.defocus == 0:
            continue
        spectrum = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(each.probe[0]), norm="ortho"))
        assert np.abs(spectrum) ** 2 == pytest.approx(mean, rel=0.2, abs=0.05 * mean.max())


@pytest.mark.parametrize(
    ("gains", "kept"),
    [
        ({"modes": 0.78, "affine": 0.72}, "affine"),  # 1.51 and 1.27 as logarithms
        ({"modes": 0.95, "affine": 0.72}, "modes"),  # 3.0 and 1.27
        ({"positions": 0.28, "search": 0.31, "variation": 0.32, "intensity": 0.1}, "positions"),
        ({"positions": 0.2, "search": 0.4}, "search"),  # 0.22 and 0.51,
        ({}, None),
    ],
)
def test_of_candidates_that_explain_about_as_much_the_simplest_is_kept(gains, kept):
    options = [_Option(gain, 9.0, name, None, None) for name, gain in gains.items()]
    found = _simplest(options)
    assert (found and found.name) == kept


def test_too_few_frames_are_refused(raw):
    with pytest.raises(ConfigError, match="calibrate: 10 frames; expected 36"):
        ptycho.calibrate(raw.first(10))
    assert fits(raw.first(10))


def test_every_field_of_a_setup_is_in_its_document():
    names = {field.name for field in dataclasses.fields(Setup)}
    assert set(Calibration(frame_size=8).document()["setup"]) == names


def test_a_reading_that_explains_hardly_more_is_not_applied_unasked(monkeypatch, raw, caplog):
    """As on a right scan of thin overlap, where no reading predicts the frames held out."""

    def calibrated(share):
        found = Calibration(
            frame_size=32, setup=Setup(positions=("swap",)), unexplained=(0.6, share * 0.6)
        )
        monkeypatch.setattr(api_calibration, "fits", lambda _raw: False)
        monkeypatch.setattr(api_calibration, "calibrated", lambda *_args, **_options: found)
        return api_calibration.prepared_scan(raw, ReconstructSettings())[2]

    with caplog.at_level("INFO"):
        assert calibrated(0.9) is None
    assert "60.0 % of what varies predicted wrongly as read, 54.0 % calibrated" in caplog.text
    assert calibrated(0.3) is not None


def test_a_trial_whose_numbers_overflow_is_a_fault_of_the_data(raw, monkeypatch):
    def fail(*_args, **_options):
        raise torch.linalg.LinAlgError("the input matrix contained non-finite values")

    monkeypatch.setattr("ptycho.calibration.trial.Sweeps.solve", fail)
    with pytest.raises(DataError, match="non-finite values; expected photons and positions"):
        Bench.of(raw).trial(Refine(), 8)


def test_more_photons_than_can_be_counted_are_refused(raw):
    with pytest.raises(ConfigError, match="at most 1e\\+16"):
        scaled_probe(replace(raw, photons_per_unit=1e13))
