"""The commands from end to end on small scans: what the plan asks of training and inference.

Named after the plan's integration test requirements 1 and 2, and its success test's four commands.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from tiny_scan import saved_untrained

from ptycho.commands import cli
from ptycho.scan.raw_data import RawData

ROOT = Path(__file__).parents[2]


def simulate(path, n_frames):
    words = (
        f"--n_frames {n_frames} --scan fly --N 16 --step 2 --row_step 2.5 --jitter 0.2 "
        "--probe_fwhm 6 --photons 1e4 --amplitude_image leaves --phase_image clouds --quiet"
    )
    assert cli.simulate_main(["--output", str(path), *words.split()]) == 0
    return path


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """A fly scan of 625 frames of 16 x 16 pixels; no groups of it are cached yet."""
    return simulate(tmp_path_factory.mktemp("data") / "fly625.npz", 625)


@pytest.fixture
def small(tmp_path):
    """A fly scan of 64 frames in a folder of its own."""
    return simulate(tmp_path / "fly64.npz", 64)


def train(*words):
    assert cli.train_main([str(word) for word in words]) == 0


def inference(*words):
    assert cli.inference_main([str(word) for word in words]) == 0


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def settings_of(folder):
    return yaml.safe_load((folder / "settings_used.yaml").read_text())


def log_of(folder):
    return (folder / "run.log").read_text()


def test_512_groups_of_2x2_are_trained_on_and_the_log_says_so(scan, tmp_path, capsys):
    run = tmp_path / "run"
    train("--train_data_file", scan, "--output_dir", run, "--gridsize", 2, "--n-images=512",
          "--nepochs", 1)  # fmt: skip
    out, err = capsys.readouterr()
    assert out == f"{run}\n"
    for text in (err, log_of(run)):
        assert "n_images=512 refers to neighbor groups (gridsize=2) of 4 frames" in text
        assert "groups: 512 of " in text
        assert "(gridsize 2, K 8), 2,048 patterns, " in text
        assert "epoch 1 of 1: train_loss " in text
    told = json.loads((run / "settings.json").read_text())
    assert (told["gridsize"], told["neighbor_count"], told["training"]["n_frames"]) == (2, 8, 625)
    # What is not learned from is held out to watch, or lies between.
    assert 0.7 * 512 < told["training"]["n_groups"] < 512
    assert settings_of(run)["n_images"] == 512
    assert weights(run)


def test_the_cache_is_created_once_and_used_until_a_position_moves(small, tmp_path):
    cache = tmp_path / "fly64.g2k8.groups_cache.npz"
    runs = [tmp_path / name for name in ("first", "second", "moved")]

    def again(run):
        train("--train_data_file", small, "--gridsize", 2, "--n_images", 16, "--nepochs", 1,
              "--output_dir", run)  # fmt: skip
        return log_of(run)

    assert not cache.exists()
    assert f"groups cache created: {cache}" in again(runs[0])
    told = again(runs[1])
    assert f"groups cache used: {cache}" in told
    assert "groups cache created" not in told
    assert weights(runs[1]) == weights(runs[0])

    with np.load(small) as file:
        entries = dict(file)
    entries["xcoords"][7] += 0.5
    np.savez(small, **entries)
    told = again(runs[2])
    assert f"groups cache not used: {cache} (positions changed); recomputing the groups" in told
    assert f"groups cache created: {cache}" in told


def test_the_four_commands_of_the_plan(tmp_path):
    """Its flags as they stand there, each number about 1/80 of the plan's 10,304 frames."""
    data = simulate(tmp_path / "fly001_transposed.npz", 128)
    gs1, gs2, test1, test2 = (
        tmp_path / name
        for name in (
            "final_validation_gs1", "final_validation_gs2", "final_test_gs1", "final_test_gs2",
        )
    )  # fmt: skip
    train("--train_data_file", data, "--n_images", 128, "--gridsize", 1, "--nepochs", 1,
          "--output_dir", gs1)  # fmt: skip
    train("--train_data_file", data, "--n_images", 32, "--gridsize", 2, "--nepochs", 1,
          "--output_dir", gs2)  # fmt: skip
    inference("--model_path", gs1, "--test_data", data, "--n_images", 16, "--output_dir", test1)
    inference("--model_path", gs2, "--test_data", data, "--n_images", 4, "--gridsize", 2,
              "--output_dir", test2)  # fmt: skip

    assert "n_images=128 refers to individual images (gridsize=1): the first 128" in log_of(gs1)
    assert "n_images=32 refers to neighbor groups (gridsize=2)" in log_of(gs2)
    assert "n_images=16 refers to individual images (gridsize=1): the first 16" in log_of(test1)
    assert "groups: 4 of " in log_of(test2)
    assert "16 patterns, 16 distinct" in log_of(test2)
    for folder in (test1, test2):
        assert sorted(p.name for p in folder.iterdir()) == [
            "metrics.json", "reconstructed_amplitude.png", "reconstructed_phase.png",
            "reconstruction.npz", "report.html", "run.json", "run.log", "selection.npz",
            "settings_used.yaml",
        ]  # fmt: skip
        metrics = json.loads((folder / "metrics.json").read_text())
        assert metrics["n_frames"] == 16
        assert 0 < metrics["detector_residual"] < 0.2
        with np.load(folder / "reconstruction.npz") as found:
            assert len(found["frames"]) == 16
            assert np.isfinite(found["object"]).all()


def test_the_object_is_drawn_beside_the_truth_when_asked(small, tmp_path):
    model = saved_untrained(tmp_path / "model", RawData.from_file(small))
    inference("--model_path", model, "--test_data", small, "--output_dir", tmp_path / "out",
              "--comparison-plot")  # fmt: skip
    picture = tmp_path / "out" / "comparison_plot.png"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_dashes_and_underscores_are_one_run(small, tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    train("--train-data-file", small, "--output-dir", one, "--n-images", 12, "--nepochs", 1,
          "--batch-size=4", "--learning-rate", "2e-3", "--no-progress")  # fmt: skip
    train("--train_data_file", small, "--output_dir", other, "--n_images", 12, "--nepochs", 1,
          "--batch_size=4", "--learning_rate", "2e-3", "--no_progress")  # fmt: skip
    assert settings_of(one) == settings_of(other) | {"output_dir": str(one)}
    assert weights(one) == weights(other)


def test_flags_win_over_the_file_and_the_saved_settings_make_the_run_again(small, tmp_path):
    written = tmp_path / "run.yaml"
    written.write_text(
        f"data: {{train_data_file: {small}}}\ntraining: {{nepochs: 3, seed: 4}}\nn_images: 12\n"
    )
    run, again = tmp_path / "run", tmp_path / "again"
    train("--config", written, "--nepochs", 1, "--output_dir", run)
    saved = settings_of(run)
    assert (saved["nepochs"], saved["seed"], saved["n_images"]) == (1, 4, 12)
    assert saved["train_data_file"] == str(small)
    assert json.loads((run / "settings.json").read_text())["training"]["epochs"] == 1

    train("--config", run / "settings_used.yaml", "--output_dir", again)
    assert settings_of(again) == saved | {"output_dir": str(again)}
    assert weights(again) == weights(run)


# The scripts, as processes of their own


def script(*words):
    return subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, cwd=ROOT
    )


@pytest.mark.parametrize(
    ("path", "flag"),
    [
        ("scripts/training/train.py", "--train_data_file"),
        ("scripts/inference/inference.py", "--model_path"),
    ],
)
def test_scripts_tell_their_flags(path, flag):
    done = script(path, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert flag in done.stdout


@pytest.mark.slow
def test_scripts_train_and_reconstruct(small, tmp_path):
    model, result = tmp_path / "model", tmp_path / "result"
    done = script(
        "scripts/training/train.py", "--train_data_file", small, "--n-images", 8, "--gridsize", 2,
        "--nepochs", 1, "--threads", 1, "--output_dir", model,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, f"{model}\n"), done.stderr
    assert "groups: 8 of " in done.stderr
    assert "(gridsize 2, K 8), 32 patterns, " in done.stderr
    assert "%|" not in done.stderr  # no progress bar where stderr is a pipe
    done = script(
        "scripts/inference/inference.py", "--model_path", model, "--test_data", small,
        "--threads", 1, "--output_dir", result,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, f"{result}\n"), done.stderr
    assert "reconstructed: 64 frames in " in done.stderr
    assert (result / "reconstruction.npz").exists()
