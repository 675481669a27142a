"""`ptycho evaluate` without a truth, with halves, twins and the published metrics."""

import json

import numpy as np
import pytest
from tiny_scan import simulated

from ptycho.commands.cli import evaluate_main
from ptycho.io.npz import write_npz


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
        (("--test_data", "other.npz"), "that other.npz does not hold at these positions"),
    ],
)
def test_what_cannot_be_judged_is_one_line(home, tmp_path, capsys, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    simulated(9).save(tmp_path / "other.npz")
    assert evaluate_main(["--reconstruction", str(home / "all"), *words]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
