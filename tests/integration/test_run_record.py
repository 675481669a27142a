"""Every command records its run, and none loses the results or the inputs of another."""

import importlib.resources
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import yaml
from recorded import names
from tiny_scan import saved_untrained, simulated

from ptycho.commands import cli
from ptycho.io.atomic import file_checksum
from ptycho.runs import read_run
from ptycho.runs.files import FILES, LOCK_FILE
from ptycho.runs.lock import only_run_in


def ptycho(*words):
    return cli.main([str(word) for word in words])


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A scan, an untrained model, and a reconstruction of the one by the other."""
    folder = tmp_path_factory.mktemp("home")
    raw = simulated(36)
    raw.save(folder / "scan.npz")
    saved_untrained(folder / "model", raw)
    reconstruct(folder, folder / "object")
    return folder


@pytest.fixture
def lab(home, tmp_path):
    """A copy of that folder, to be changed."""
    return shutil.copytree(home, tmp_path / "lab")


def reconstruct(home, output, *more, scan=None):
    words = ["--model_path", home / "model", "--output_dir", output, "--iterations", 0]
    assert ptycho("reconstruct", *words, "--test_data", scan or home / "scan.npz", *more) == 0
    return output


def content(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def refused(capsys, *words):
    capsys.readouterr()
    assert ptycho(*words, "--quiet") == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    return line


# Each command


def test_a_reconstruction_records_its_inputs_and_numbers(home):
    run = read_run(home / "object")
    assert (run.kind, run.state) == ("reconstruct", "finished")
    scan, model = run.data
    assert (scan["role"], scan["path"]) == ("test_data", str(home / "scan.npz"))
    assert scan["sha256"] == file_checksum(home / "scan.npz")
    assert (scan["n_frames"], scan["frame_size"]) == (36, 16)
    assert model["sha256"] == file_checksum(home / "model" / "model.safetensors")
    assert run.results["detector_residual"] == run.metrics["detector_residual"]
    assert run.results["phase_psnr_db"] == run.metrics["object"]["phase_psnr_db"]
    assert run.record.stages["reconstruction"] > 0
    assert set(run.record.files) == set(names(home / "object"))
    assert yaml.safe_load((home / "object" / "settings_used.yaml").read_text()) == run.settings


def test_a_training_records_what_it_reached(lab):
    words = ["--nepochs", 1, "--finetune", lab / "model", "--no_report"]
    assert ptycho("train", lab / "scan.npz", lab / "trained", *words) == 0
    run = read_run(lab / "trained")
    assert (run.kind, run.state, len(run.epochs)) == ("train", "finished", 1)
    assert [entry["role"] for entry in run.data] == ["train_data_file", "finetune"]
    assert run.results["best_loss"] == run.model["training"]["best_loss"]
    assert set(run.record.files) == set(names(lab / "trained"))


def test_groups_are_a_run_too(lab):
    assert ptycho("groups", lab / "scan.npz", "--n_images", 5, "--output_dir", lab / "groups") == 0
    run = read_run(lab / "groups")
    assert (run.kind, run.state, run.scan["role"]) == ("groups", "finished", "data")
    assert run.coverage["n_groups"] == 5


def test_an_evaluation_is_added_to_the_run_that_it_evaluates(lab):
    before = read_run(lab / "object")
    assert ptycho("evaluate", lab / "object", lab / "scan.npz", "--twin") == 0
    run = read_run(lab / "object")
    assert (run.id, run.kind, run.settings) == (before.id, "reconstruct", before.settings)
    (part,) = run.record.additions
    assert (part["kind"], part["settings"]["twin"]) == ("evaluate", True)
    assert [entry["role"] for entry in part["data"]] == ["reconstruction", "truth"]
    assert not (lab / "object" / "earlier").exists()
    assert {"metrics.json", "comparison_plot.png"} <= set(run.record.files)


def test_an_evaluation_elsewhere_is_a_run_of_its_own(lab):
    words = [lab / "object", lab / "scan.npz", "--output_dir", lab / "score"]
    assert ptycho("evaluate", *words) == 0
    run = read_run(lab / "score")
    assert (run.kind, run.state) == ("evaluate", "finished")
    assert run.results["phase_psnr_db"] == run.metrics["object"]["phase_psnr_db"]
    assert not read_run(lab / "object").record.additions


def test_a_run_writes_no_file_that_its_kind_does_not_know(home):
    run = read_run(home / "object")
    assert set(names(home / "object")) <= {
        *FILES[run.kind], "run.json", "run.log", "settings_used.yaml", "report.html",
    }  # fmt: skip


# Two runs in one folder


def test_the_same_command_twice_keeps_both(lab):
    first = read_run(lab / "object")
    before = {path.name: path.read_bytes() for path in (lab / "object").iterdir()}
    reconstruct(lab, lab / "object", "--seed", 1)
    (place,) = (lab / "object" / "earlier").iterdir()
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before
    assert read_run(place).id == first.id
    assert read_run(lab / "object").settings["seed"] == 1
    assert ptycho("compare", lab / "object", place) == 0


def test_overwrite_keeps_the_later_only(lab):
    (lab / "object" / "notes.txt").write_text("mine")
    reconstruct(lab, lab / "object", "--overwrite")
    assert not (lab / "object" / "earlier").exists()
    assert (lab / "object" / "notes.txt").read_text() == "mine"


def test_two_at_once_the_second_refuses(lab, capsys):
    before = content(lab / "object")
    words = [lab / "scan.npz", lab / "object", "--model_path", lab / "model"]
    with only_run_in(lab / "object"):
        line = refused(capsys, "reconstruct", *words)
        assert f"{lab / 'object'} is in use by another run" in line
        assert "in use" in refused(capsys, "evaluate", lab / "object", lab / "scan.npz")
    assert content(lab / "object") == before
    assert not (lab / "object" / LOCK_FILE).exists()


def test_a_model_and_its_object_cannot_share_a_folder(lab, capsys):
    before = content(lab / "model")
    line = refused(
        capsys, "reconstruct", lab / "scan.npz", lab / "model", "--model_path", lab / "model"
    )
    assert "is model_path itself, which this run would overwrite" in line
    line = refused(capsys, "train", lab / "scan.npz", lab / "model", "--finetune", lab / "model")
    assert "is finetune itself" in line
    assert content(lab / "model") == before


# Inputs


def test_a_scan_called_as_the_result_is_not_overwritten(lab, capsys):
    folder = lab / "data"
    folder.mkdir()
    scan = shutil.copy(lab / "scan.npz", folder / "reconstruction.npz")
    before = content(folder)
    line = refused(capsys, "reconstruct", scan, folder, "--model_path", lab / "model")
    assert f"{scan}: is test_data itself" in line
    assert content(folder) == before


def test_a_scan_beside_the_results_is_fine(lab):
    reconstruct(lab, lab)
    assert read_run(lab).finished
    assert np.load(lab / "scan.npz")["diffraction"].shape == (36, 16, 16)


@pytest.mark.parametrize("command", ["simulate", "import"])
def test_an_existing_scan_is_replaced_only_when_asked(lab, capsys, command):
    output = lab / "other.npz"
    output.write_text("measured last night")
    words = {
        "simulate": ["simulate", output, "--n_frames", 9, "--N", 32],
        "import": ["import", lab / "scan.npz", output],
    }[command]
    assert f"output: {output} exists; expected a new file" in refused(capsys, *words)
    assert output.read_text() == "measured last night"
    assert ptycho(*words, "--overwrite") == 0
    assert "diffraction" in np.load(output)


def test_equal_scans_are_equal_files_with_and_without_overwrite(lab):
    for name, more in (("a.npz", []), ("b.npz", ["--overwrite"])):
        assert ptycho("simulate", lab / name, "--n_frames", 9, "--N", 32, *more) == 0
    assert (lab / "a.npz").read_bytes() == (lab / "b.npz").read_bytes()


# Names of classes

COMMANDS = """
from ptycho.commands import cli
for words in (
    ["groups", "scan.npz", "--n_images", "5", "--output_dir", "groups"],
    ["reconstruct", "scan.npz", "object", "--model_path", "model", "--iterations", "1",
     "--no_report"],
    ["evaluate", "object", "scan.npz", "--output_dir", "score", "--no_report"],
):
    assert cli.main([*words, "--no_cache"] if words[0] == "groups" else words) == 0
"""


def renamed_package(folder):
    """A copy of the package in which every settings class has another name."""
    package = shutil.copytree(
        Path(str(importlib.resources.files("ptycho"))), folder / "ptycho",
        ignore=shutil.ignore_patterns("__pycache__"),
    )  # fmt: skip
    classes = {
        name
        for path in (package / "settings").glob("*.py")
        for name in re.findall(r"^class (\w+)", path.read_text(), re.MULTILINE)
    }
    assert "InferenceConfig" in classes
    for path in package.rglob("*.py"):
        text = re.sub(r"\b\w+\b", lambda m: f"Zebra{m[0]}" if m[0] in classes else m[0],
                      path.read_text())  # fmt: skip
        path.write_text(text)
    return folder


def recorded_by(home, folder, path):
    """What the commands of a package leave in a folder, by file, without what every run differs in.

    Args:
        home: with scan and model.
        folder: to work in.
        path: of the package.
    """
    shutil.copytree(home, folder, ignore=shutil.ignore_patterns("object"))
    subprocess.run(
        [sys.executable, "-c", COMMANDS], cwd=folder, check=True, capture_output=True,
        env={"PYTHONPATH": str(path), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1",
             "HOME": str(folder), "MPLCONFIGDIR": mpl.get_cachedir()},
    )  # fmt: skip
    found = {}
    for file in sorted(folder.glob("*/*")):
        if file.suffix == ".json":
            document = json.loads(file.read_text())
            for name in ("id", "times", "process"):
                document.pop(name, None)
            found[file.relative_to(folder)] = json.dumps(document).replace(str(folder), "")
        elif file.suffix in (".yaml", ".npz", ".png"):
            found[file.relative_to(folder)] = file.read_bytes()
    return found


def test_renaming_every_settings_class_changes_no_file(home, tmp_path):
    package = Path(str(importlib.resources.files("ptycho"))).parent
    ours = recorded_by(home, tmp_path / "ours", package)
    theirs = recorded_by(home, tmp_path / "theirs", renamed_package(tmp_path / "renamed"))
    assert {Path("groups/run.json"), Path("object/reconstruction.npz")} <= set(ours)
    assert ours == theirs
