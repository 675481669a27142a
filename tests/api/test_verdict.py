"""The verdict of a result: in the value, on disk, and what it does to the uncertainty."""

import dataclasses
import json

import numpy as np
import pytest

import ptycho
from ptycho.api.uncertainty import judged_uncertainty
from ptycho.api.verdict import connected_share
from ptycho.commands.cli import main
from ptycho.engines.uncertainty import HalfData, Uncertainty, widened
from ptycho.engines.verdict import Verdict
from ptycho.io.orientation import POSITION_STEPS
from ptycho.metrics import fourier_ring_correlation

SCAN = {"n_frames": 64, "N": 32, "step": 3.0, "probe_fwhm": 9.0, "photons": 1e5, "seed": 3}
OFF = {"iterations": 10, "progress": False, "cache": False, "calibrate": "off"}


@pytest.fixture(scope="module")
def scan():
    return ptycho.simulate(**SCAN, amplitude_image="leaves")


@pytest.fixture(scope="module")
def swapped(scan):
    rows, cols = POSITION_STEPS["swap"](scan.positions).T
    return dataclasses.replace(scan, ycoords=rows, xcoords=cols)


def test_a_right_scan_is_consistent_and_swapped_axes_are_wrong(scan, swapped):
    words = [ptycho.reconstruct(s, **OFF).verdict.word for s in (scan, swapped)]
    assert words == ["consistent", "wrong"]


def test_few_frames_are_doubtful_and_no_verdict_is_none(scan):
    few = scan.subset(np.arange(9))
    judged = ptycho.reconstruct(few, iterations=1, progress=False, cache=False)
    assert judged.verdict.word == "doubtful"
    silent = ptycho.reconstruct(few, iterations=1, progress=False, cache=False, verdict=False)
    assert silent.verdict is None
    assert "verdict" not in silent.metrics


def test_islands_are_counted():
    near = np.stack(np.meshgrid(np.arange(4.0), np.arange(5.0)), axis=-1).reshape(-1, 2)
    assert connected_share(near, 4.0) == 1.0
    assert connected_share(np.concatenate([near, near[:10] + 50.0]), 4.0) == pytest.approx(2 / 3)
    # Where a position is repeated changes nothing.
    assert connected_share(np.repeat(near, 3, axis=0), 4.0) == 1.0


def test_the_command_ends_with_the_verdict_and_strict_exits_with_3(
    swapped, tmp_path, capsys, monkeypatch
):
    swapped.save(tmp_path / "scan.npz")
    monkeypatch.chdir(tmp_path)
    command = ["reconstruct", "--test_data", "scan.npz", "--output_dir", "out", "--iterations",
               "10", "--no_report", "--no_cache", "--calibrate", "off"]  # fmt: skip
    assert main([*command, "--strict"]) == 3
    assert "verdict wrong" in capsys.readouterr().err.splitlines()[-1]
    assert main([*command, "--overwrite"]) == 0
    lines = capsys.readouterr().err.splitlines()
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert record["results"]["verdict"] == metrics["verdict"]["word"] == "wrong"
    reasons = record["results"]["verdict_reasons"]
    assert reasons == metrics["verdict"]["reasons"]
    last = ["verdict: wrong", *(f"  {reason}" for reason in reasons)]
    assert lines[-len(last) :] == last


def test_the_uncertainty_of_a_wrong_object_is_withheld(scan):
    result = ptycho.reconstruct(scan, iterations=1, progress=False, cache=False, verdict=False)
    wrong = dataclasses.replace(result, verdict=Verdict(word="wrong", reasons=("test",)))

    def never(other):
        raise AssertionError("nothing is reconstructed again")

    assert judged_uncertainty(wrong, never, result.settings) is None


def test_widening_reaches_the_spread_of_the_halves_and_never_narrows():
    obj = np.random.default_rng(0).standard_normal((16, 16)) + 0j
    rings = fourier_ring_correlation(obj, obj)
    std = np.full((4, 4), 0.1, np.float32)
    std[0, 0] = np.nan
    halves = HalfData(rings=rings, amplitude_std=0.3, phase_std=0.05)
    found, factors = widened(Uncertainty(std, std), halves)
    assert factors == pytest.approx((3.0, 1.0))
    np.testing.assert_allclose(found.amplitude_std[1:], 0.3, rtol=1e-6)
    np.testing.assert_array_equal(found.phase_std, std)
