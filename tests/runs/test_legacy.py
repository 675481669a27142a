"""Folders that ptycho 0.1 wrote are read: training, reconstruction, evaluation."""

import shutil
from datetime import datetime
from pathlib import Path

import pytest

from ptycho.report.side_by_side import side_by_side
from ptycho.runs import add_to, is_run, read_run

LEGACY = Path(__file__).parents[1] / "data" / "run_of_0.1"


@pytest.mark.parametrize(
    ("name", "kind"), [("model", "train"), ("object", "reconstruct"), ("score", "evaluate")]
)
def test_each_kind_is_known_and_finished(name, kind):
    run = read_run(LEGACY / name)
    assert is_run(LEGACY / name)
    assert (run.kind, run.state, run.finished, run.version) == (kind, "finished", True, "0.1.0")
    assert len(run.id) == 8
    assert run.id == read_run(LEGACY / name).id


def test_a_training_has_its_epochs_picture_and_the_times_of_the_later_run():
    run = read_run(LEGACY / "model")
    assert [entry["epoch"] for entry in run.epochs] == [1, 2, 3]
    assert run.epochs[-1]["train_loss"] == pytest.approx(run.results["best_loss"], rel=1e-6)
    assert {"object", "coverage", "origin", "epoch"} == set(run.picture)
    assert run.selection.groups.shape == (16, 4)
    assert run.coverage["n_groups"] == 16
    assert run.settings["network"] == run.model["network"] == "unet"
    begin, end = run.times
    assert begin == datetime(2026, 11, 25, 22, 35, 30)
    assert end == datetime(2026, 11, 25, 22, 35, 36)
    assert run.warnings == ()  # the one in the log is of the run before


def test_a_reconstruction_has_its_arrays_numbers_and_warnings():
    run = read_run(LEGACY / "object")
    assert run.arrays["object"].shape == run.arrays["phase_std"].shape
    assert run.results["phase_psnr_db"] == run.metrics["object"]["phase_psnr_db"]
    assert run.results["misfit_ratio"] == run.metrics["uncertainty"]["misfit_ratio"]
    assert run.results["free_residual"] in run.metrics["free_residual"]
    assert len(run.warnings) == 2
    assert run.warnings[1] == "1 frames hold no light; they tell nothing"
    assert (run.scan["path"], run.scan["n_frames"], run.scan["frame_size"]) == (
        "/data/scan.npz", 64, 32,
    )  # fmt: skip
    assert run.scan["role"] == "test_data"
    assert run.record.versions["python"].startswith("3.")


def test_old_and_old_are_compared():
    document = side_by_side([read_run(LEGACY / name) for name in ("object", "score")])
    assert document["run"]["kind"] == ["reconstruct", "evaluate"]
    assert None not in document["results"]["phase_psnr_db"]


def test_without_its_first_line_an_old_folder_is_of_no_run(tmp_path):
    shutil.copytree(LEGACY / "score", tmp_path / "score")
    path = tmp_path / "score" / "settings_used.yaml"
    path.write_text("\n".join(path.read_text().splitlines()[1:]))
    assert not is_run(tmp_path / "score")


def test_an_evaluation_gives_an_old_run_a_record(tmp_path):
    folder = shutil.copytree(LEGACY / "object", tmp_path / "object")
    before = read_run(folder)
    with add_to(folder, kind="evaluate", settings={"truth": "scan.npz"}) as addition:
        addition.finish({"phase_psnr_db": 1.0})
    run = read_run(folder)
    assert (folder / "run.json").exists()
    assert (run.id, run.kind, run.times, run.version) == (
        before.id, before.kind, before.times, before.version,
    )  # fmt: skip
    assert run.results == {**before.results, "phase_psnr_db": 1.0}
    assert run.warnings == before.warnings
