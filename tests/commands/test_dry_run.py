"""`--dry_run`: it tells the truth about the run, and nothing is left behind."""

import re

import pytest
from tiny_scan import saved_untrained, simulated

from ptycho.api import pretraining
from ptycho.commands.cli import main
from ptycho.durations import duration
from ptycho.grouping import GroupRule, count_groups
from ptycho.simulation.random_scans import RandomScans


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "scan.npz"
    simulated().save(path)
    return path


def told(capsys, *argv) -> dict[str, str]:
    """What a dry run says, by the names of its rows and settings."""
    assert main([str(word) for word in argv] + ["--dry_run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "dry run: nothing was written"
    entries = [line.split(None, 1) for line in lines[1:] if line != "settings"]
    rows: dict[str, str] = {}
    for name, text in entries:
        rows.setdefault(name.rstrip(":"), text)  # rows come before the settings
    return rows


def files(folder) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.2, "under 1 s"), (4.4, "4 s"), (59.7, "1 min 0 s"), (370, "6 min 10 s"),
     (7502, "2 h 5 min")],
)  # fmt: skip
def test_durations_by_hand(seconds, expected):
    assert duration(seconds) == expected


def test_a_training_is_told_exactly_and_leaves_nothing(scan, tmp_path, capsys):
    before = files(tmp_path)
    rows = told(
        capsys, "train", scan, tmp_path / "run", "--gridsize", 2, "--n_images", 20, "--nepochs", 7,
        "--batch_size", 3, "--validation_fraction", 0.1,
    )  # fmt: skip
    raw = simulated()
    exact = count_groups(raw.xcoords, raw.ycoords, GroupRule(K=8))
    assert rows["groups"].startswith(f"{exact:,} valid ones; 20 of them, uniform: 20 groups")
    train, watch = map(
        int, re.match(r"(\d+) groups for training, (\d+) for validation", rows["split"]).groups()
    )
    assert train + watch <= 20
    assert f"7 epochs of {-(-train // 3)} steps of 3 groups" in rows["time"]
    assert re.search(r"\d [MG]B", rows["memory"])
    assert rows["gridsize"] == "2"
    assert rows["finetune"] == "none"
    assert rows["output"] == f"{tmp_path / 'run'}, new"
    assert files(tmp_path) == before  # no groups cache either


def test_a_training_by_the_clock_takes_that_long(scan, tmp_path, capsys):
    rows = told(capsys, "train", scan, tmp_path / "run", "--budget", "90s")
    assert rows["time"].startswith("1 min 30 s as asked for")


def test_a_reconstruction_is_told_and_leaves_nothing(scan, tmp_path, capsys):
    model = saved_untrained(tmp_path / "model", simulated(), gridsize=2)
    before = files(tmp_path)
    rows = told(
        capsys, "reconstruct", scan, tmp_path / "rec", "--model_path", model, "--sweeps", 2,
        "--trust", 3,
    )  # fmt: skip
    assert "5 reconstructions, measured with the 49 frames" in rows["time"]
    assert "lifted" in rows["network"]
    assert files(tmp_path) == before


def test_a_simulation_is_told_and_leaves_nothing(tmp_path, capsys):
    output = tmp_path / "scan.npz"
    rows = told(capsys, "simulate", "--output", output, "--n_frames", 300, "--N", 32)
    assert rows["frames"].startswith("300 of 32 x 32 (uint16, counts)")
    assert rows["output"] == f"{output}, 0.614 MB"  # 300 x 32 x 32 x 2 bytes
    assert files(tmp_path) == {}


def test_equal_scans_are_equal_files_whatever_was_said_about_them(tmp_path):
    for name, more in (("a.npz", []), ("b.npz", ["--json_log"])):
        assert main(["simulate", "--output", str(tmp_path / name), "--n_frames", "9", *more]) == 0
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_what_would_be_replaced_is_told(scan, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "settings_used.yaml").write_text(
        "# Every setting of this run (train, ptycho 0.1.0)\nseed: 0\n"
    )
    rows = told(capsys, "train", scan, tmp_path / "run")
    assert "holds a run; its results would be moved to earlier" in rows["output"]


def test_a_mistake_is_refused_as_in_earnest(scan, tmp_path, capsys):
    argv = ["train", scan, tmp_path / "run", "--N", 32, "--dry_run"]
    assert main([str(word) for word in argv]) == 2
    assert "frames of 16 pixels; expected 32" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_pretraining_is_told_after_seconds_of_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("ptycho.commands.pretrain.TRIED_S", 1.0)
    monkeypatch.setattr(
        pretraining, "RandomScans",
        lambda seed, frame_size: RandomScans(seed, frame_size=frame_size, pictures=2, probes=2),
    )  # fmt: skip
    rows = told(
        capsys, "pretrain", tmp_path / "general", "--budget", "2min", "--width", 8, "--N", 32
    )
    assert rows["time"].startswith("2 min 0 s as asked for: about ")
    assert files(tmp_path) == {}


def test_a_refinement_is_told_and_leaves_nothing(scan, tmp_path, capsys):
    pytest.importorskip("ptychi", reason="pty-chi is not installed")
    model = saved_untrained(tmp_path / "model", simulated(), gridsize=2)
    assert main(["reconstruct", str(scan), str(tmp_path / "rec"), "--model_path", str(model)]) == 0
    before = files(tmp_path)
    capsys.readouterr()
    rows = told(capsys, "refine", tmp_path / "rec", scan, tmp_path / "more", "--epochs", 10)
    assert "10 iterations of" in rows["time"]
    assert files(tmp_path) == before
