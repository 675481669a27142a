"""The folder of a run read back: finished, going on, damaged, foreign."""

import json
import subprocess
import sys

import numpy as np
import pytest
from run_folders import begun
from tiny_scan import saved_untrained, simulated

from ptycho.commands import cli
from ptycho.errors import DataError
from ptycho.runs.folder import (
    Selection,
    is_run,
    read_run,
    write_selection,
)
from ptycho.runs.journal import FolderJournal
from ptycho.settings.evaluate import EvaluateConfig


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "scan.npz"
    simulated().save(path)
    return path


def a_run(folder):
    """A folder with settings and nothing else: what any run begins with."""
    config = EvaluateConfig(reconstruction="a", truth="b")
    begun(folder, config)
    return folder


def selection(**changes):
    values = {
        "positions": np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]),
        "groups": np.array([[0, 2], [1, 2]]),
        "scan_index": np.zeros(3, int),
        "probe": np.ones((1, 4, 4), np.complex64),
    }
    return Selection(**values | changes)


def test_a_training_is_read_back_with_one_entry_for_each_epoch(scan, tmp_path):
    folder = tmp_path / "model"
    words = ["--train_data_file", scan, "--output_dir", folder, "--nepochs", 2, "--quiet"]
    assert cli.train_main([str(word) for word in words]) == 0
    run = read_run(folder)
    assert (run.kind, run.finished, run.settings["nepochs"]) == ("train", True, 2)
    assert [entry["epoch"] for entry in run.epochs] == [1, 2]
    told = json.loads((folder / "settings.json").read_text())["training"]
    best = min(entry[told["monitored"]] for entry in run.epochs)
    assert best == pytest.approx(told["best_loss"], rel=1e-6)  # float32 against its digits
    assert all(1 / 3 < entry["power_ratio"] < 3 for entry in run.epochs)
    begin, end = run.times
    assert begin <= end


def test_an_inference_is_read_back_with_its_arrays(scan, tmp_path):
    model = saved_untrained(tmp_path / "model", simulated())
    folder = tmp_path / "object"
    words = ["--model_path", model, "--test_data", scan, "--output_dir", folder, "--sweeps", 0]
    assert cli.inference_main([str(word) for word in words]) == 0
    run = read_run(folder)
    assert (run.kind, run.finished, run.epochs) == ("reconstruct", True, ())
    assert run.arrays["object"].shape == run.arrays["coverage"].shape
    assert run.metrics["n_frames"] == len(run.arrays["frames"]) == 49


def test_a_run_that_has_just_begun_is_one_and_not_finished(tmp_path):
    run = read_run(a_run(tmp_path / "run"))
    assert (run.kind, run.state, run.finished, run.metrics) == ("evaluate", "running", False, None)
    assert (dict(run.arrays), run.selection, run.log) == ({}, None, ())


def test_a_line_still_being_written_is_passed_over(tmp_path):
    folder = a_run(tmp_path / "run")
    journal = FolderJournal(folder)
    journal.begin()
    journal.note({"epoch": 1, "train_loss": 0.5})
    journal.note({"epoch": 1, "finding": "the network has collapsed"})
    with (folder / "history.jsonl").open("a") as file:
        file.write('{"epoch": 2, "train_l')
    run = read_run(folder)
    assert run.epochs == ({"epoch": 1, "train_loss": 0.5},)
    assert run.findings == ((1, "the network has collapsed"),)


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir(), lambda p: p.write_text("")])
def test_what_is_no_run_is_told_in_one_line(tmp_path, make):
    path = tmp_path / "foreign"
    make(path)
    assert not is_run(path)
    with pytest.raises(DataError, match=r"no run\.json of a run; expected the output"):
        read_run(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("metrics.json", "{", "no JSON"),
        ("metrics.json", "[1]", "holds a list; expected names and values"),
        ("metrics.json", '{"object": 3}', "object is a int; expected a dict"),
        ("metrics.json", '{"free_residual": "abc"}', "free_residual is a str; expected a list"),
        ("reconstruction.npz", "PK", "cannot be read"),
        ("selection.npz", "", "cannot be read"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, name, content, message):
    folder = a_run(tmp_path / "run")
    (folder / name).write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        read_run(folder)
    assert str(folder / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_selection_comes_back_as_written(tmp_path):
    folder, written = a_run(tmp_path / "run"), selection()
    write_selection(folder, written)
    found = read_run(folder).selection
    for name in ("positions", "groups", "scan_index", "probe"):
        np.testing.assert_array_equal(getattr(found, name), getattr(written, name))


def test_groups_beyond_the_scan_are_refused(tmp_path):
    folder = a_run(tmp_path / "run")
    write_selection(folder, selection(groups=np.array([[0, 3]])))
    with pytest.raises(DataError, match=r"groups \(1, 2\) of positions \(3, 2\)"):
        read_run(folder)


def test_reading_a_folder_loads_neither_torch_nor_figures():
    asked = (
        "import sys, ptycho.runs.folder; print({'torch', 'matplotlib', 'bokeh'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_of_two_runs_in_one_folder_the_earlier_is_moved_aside(scan, tmp_path):
    model = saved_untrained(tmp_path / "model", simulated())
    words = ["--model_path", model, "--test_data", scan, "--output_dir", tmp_path / "object",
             "--sweeps", 0, "--no_report", "--n_images"]  # fmt: skip
    for n_images in (20, 30):
        assert cli.inference_main([str(word) for word in [*words, n_images]]) == 0
    (earlier,) = (tmp_path / "object" / "earlier").iterdir()
    assert "n_images=20 " in (earlier / "run.log").read_text()
    assert (earlier / "reconstruction.npz").exists()
    told = "\n".join(read_run(tmp_path / "object").log)
    assert "n_images=30 " in told
    assert "n_images=20 " not in told
