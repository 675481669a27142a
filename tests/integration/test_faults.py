"""A mistake is one line on stderr, exit code 2, and nothing half-written, whoever meets it.

Mistakes in the flags alone are tested with the command line, every fault of a scan file with
RawData; here a few of each kind go through the commands, and all that a model folder can lack.
"""

import json
import shutil

import numpy as np
import pytest
from tiny_scan import saved_untrained, simulated

from ptycho.commands import cli


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A sound scan and models of gridsize 1 and 2."""
    folder = tmp_path_factory.mktemp("home")
    raw = simulated(36)
    raw.save(folder / "scan.npz")
    for gridsize in (1, 2):
        saved_untrained(folder / f"model{gridsize}", raw, gridsize)
    return folder


@pytest.fixture
def refused(home, tmp_path, capsys):
    """A function that runs a command which must refuse, and returns the line it said."""

    def of(command, *more, scan=home / "scan.npz", model=home / "model1", out=tmp_path / "out"):
        before = sorted(out.parent.rglob("*"))
        main, words = {
            "train": (cli.train_main, ["--train_data_file", scan, "--nepochs", 1]),
            "inference": (cli.inference_main, ["--test_data", scan, "--model_path", model]),
        }[command]
        words = ["--quiet", *words, "--output_dir", out, "--device", "cpu", *more]
        assert main([str(word) for word in words]) == 2
        said, line = capsys.readouterr()
        assert (said, line.count("\n")) == ("", 1)
        assert line.startswith(f"ptycho_{command}: ")
        assert sorted(out.parent.rglob("*")) == before
        return line

    return of


def damaged(home, path, **changes):
    """A copy of the sound scan with some entries changed; None takes one away."""
    with np.load(home / "scan.npz") as file:
        entries = dict(file) | {"_metadata": None, "objectGuess": None} | changes
    np.savez(path, **{name: value for name, value in entries.items() if value is not None})
    return path


def frames(**at):
    """The frames of the sound scan, some pixels of the first few changed."""
    found = simulated(36).frames.copy()
    for frame, value in at.items():
        found[int(frame.removeprefix("frame")), 2, 3] = value
    return found


# Scans


@pytest.mark.parametrize("command", ["train", "inference"])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"xcoords": None}, "no entry"),
        ({"diffraction": None}, "no entry"),
        ({"ycoords": np.zeros(35)}, "ycoords holds 35 positions and xcoords 36"),
        ({"diffraction": np.ones((36, 16, 12))}, "frames of shape (36, 16, 12)"),
        ({"diffraction": np.ones((35, 16, 16))}, "36 positions for 35 diffraction frames"),
        ({"probeGuess": np.ones((8, 8))}, "probe of shape (1, 8, 8); expected (16, 16)"),
        ({"xcoords": np.append(np.zeros(35), np.nan)}, "xcoords holds 1 values of 36"),
        ({"diffraction": frames(frame17=np.nan)}, "frame 17 holds nan in 1 of 256 pixels"),
        ({"diffraction": frames(frame0=-1)}, "frame 0 holds -1.0 in 1 of 256 pixels"),
        ({"diffraction": 0 * frames()}, "0 photons per frame; expected more than 0"),
        ({"diffraction": np.full(36, None)}, "diffraction cannot be read"),
        ({"measurement": None}, "may hold intensity or amplitude"),
    ],
)
def test_a_scan_with_a_fault(home, refused, tmp_path, command, changes, words):
    scan = damaged(home, tmp_path / "bad.npz", **changes)
    line = refused(command, scan=scan)
    assert str(scan) in line
    assert words in line


@pytest.mark.parametrize("command", ["train", "inference"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_scan_cut_short(home, refused, tmp_path, command, share):
    content = (home / "scan.npz").read_bytes()
    scan = tmp_path / "cut.npz"
    scan.write_bytes(content[: int(share * len(content))])
    found = "unknown kind of file" if share == 0 else "cannot be opened"
    assert f"{scan}: {found}" in refused(command, scan=scan)


@pytest.mark.parametrize("command", ["train", "inference"])
def test_a_file_that_is_no_scan(home, refused, tmp_path, command):
    text = tmp_path / "scan.txt"
    text.write_text("x y\n")
    assert "text without a table of numbers" in refused(command, scan=text)
    other = tmp_path / "scan.bin"
    other.write_bytes(bytes(range(256)))
    assert "unknown kind of file" in refused(command, scan=other)
    assert "a folder; expected a scan file" in refused(command, scan=home)


@pytest.mark.parametrize("command", ["train", "inference"])
@pytest.mark.parametrize(("n", "words"), [(3, "3 in the largest scan"), (1, "1 in the largest")])
def test_fewer_positions_than_a_group_holds(home, refused, tmp_path, command, n, words):
    scan = tmp_path / "few.npz"
    simulated(36).first(n).save(scan)
    line = refused(
        command, "--gridsize", 2, "--n_images", 1, scan=scan, model=home / "model2"
    )  # fmt: skip
    assert words in line
    assert "expected at least 4" in line


def late_fault(path):
    """A scan whose one bad frame no look at a part of the scan meets; its number."""
    raw = simulated(300)
    looked_at = np.unique(np.linspace(0, 299, 256).astype(int))
    number = int(np.setdiff1d(np.arange(300), looked_at)[20])
    bad = raw.frames.copy()
    bad[number, 1, 1] = np.nan
    raw.save(path)
    damaged(path.parent, path, diffraction=bad)
    return number


def test_a_bad_frame_met_late_leaves_no_reconstruction(refused, tmp_path):
    scan = tmp_path / "scan.npz"
    number = late_fault(scan)
    assert f"{scan}: frame {number} holds nan in 1" in refused("inference", scan=scan)


def test_a_bad_frame_met_during_training_leaves_no_model(tmp_path, capsys):
    number, out = late_fault(tmp_path / "scan.npz"), tmp_path / "out"
    words = ["--quiet", "--train_data_file", str(tmp_path / "scan.npz"), "--batch_size", "8"]
    whole = ["--validation_fraction", "0", "--output_dir", str(out), "--device", "cpu"]
    assert cli.train_main([*words, *whole]) == 2
    said, line = capsys.readouterr()
    assert (said, line.count("\n")) == ("", 1)
    assert f"frame {number} holds nan in 1 of 256 pixels" in line
    assert not list(out.glob("model*"))
    assert not (out / "settings.json").exists()


def test_the_scan_that_watches_is_looked_at_too(home, refused, tmp_path):
    bad = damaged(home, tmp_path / "bad.npz", xcoords=np.full(36, np.nan))
    assert f"{bad}: xcoords holds 36 values" in refused("train", "--test_data_file", bad)
    simulated(30, N=24).save(tmp_path / "large.npz")
    assert "large.npz" in refused("train", "--test_data_file", tmp_path / "large.npz")


# Settings that only the scan or the model can refuse


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        ("train", ["--N", 32], "frames of 16 pixels; expected 32"),
        ("inference", ["--N", 32], "frames of 16 pixels; expected 32"),
        ("train", ["--gridsize", 5], "gridsize = 5: expected 1 to 4"),
        ("train", ["--gridsize", 2, "--K", 70], "K = 70 neighbours: expected 3 to 64"),
        ("inference", ["--K", 2, "--n_images", 9], "K = 2 neighbours"),
    ],
)
def test_settings_that_do_not_fit_the_scan(home, refused, command, words, message):
    assert message in refused(command, *words, model=home / "model2")


def test_inference_refuses_what_training_refuses(home, refused, tmp_path):
    assert "test_data: nothing at" in refused("inference", scan=tmp_path / "absent.npz")
    assert "model_path: nothing at" in refused("inference", model=tmp_path / "absent")
    assert "--nepochs: no such flag" in refused("inference", "--nepochs", 3)
    taken = tmp_path / "taken"
    taken.write_text("mine")
    assert "is a file; expected a folder" in refused("inference", out=taken)
    assert taken.read_text() == "mine"


@pytest.mark.parametrize("command", ["train", "inference"])
def test_a_refused_run_leaves_an_older_one_as_it_was(home, refused, tmp_path, command):
    older = tmp_path / "older"
    shutil.copytree(home / "model1", older)
    (older / "run.log").write_text("older\n")
    content = {path: path.read_bytes() for path in older.iterdir()}
    bad = damaged(home, tmp_path / "bad.npz", diffraction=frames(frame17=np.nan))
    refused(command, scan=bad, out=older)
    assert {path: path.read_bytes() for path in older.iterdir()} == content


# Models


@pytest.fixture
def model(home, tmp_path):
    """A sound model to be damaged."""
    return shutil.copytree(home / "model1", tmp_path / "model")


@pytest.mark.parametrize("name", ["settings.json", "model.safetensors"])
def test_a_model_without_one_of_its_files(refused, model, name):
    (model / name).unlink()
    assert f"{model}: no {name}; expected the output folder of a fin" in refused(
        "inference", model=model
    )


def test_a_file_is_no_model(home, refused):
    line = refused("inference", model=home / "scan.npz")
    assert "scan.npz: no settings.json; expected the output folder" in line


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_weights_cut_short(refused, model, share):
    path = model / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    line = refused("inference", model=model)
    assert f"{path}: " in line
    assert "expected safetensors weights; train again" in line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected JSON settings; train again"),
        ("weights: none", "expected JSON settings; train again"),
        ("[1, 2]", "format_version None; expected 2; train again"),
        ("{}", "format_version None; expected 2; train again"),
        ('{"format_version": 1}', "format_version 1; expected 2; train again"),
        ('{"format_version": 2}', "expected one of lifted, unet"),
    ],
)
def test_settings_that_are_none(refused, model, text, message):
    path = model / "settings.json"
    path.write_text(text)
    line = refused("inference", model=model)
    assert f"{path}: " in line
    assert message in line


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 0}, "format_version 0; expected 2; train again"),
        ({"network": "transformer"}, "'transformer'; expected one of lifted, unet"),
        ({"frame_size": 32}, "expected the weights that settings.json describes"),
        ({"n_modes": 3}, "expected the weights that settings.json describes"),
    ],
)
def test_settings_of_another_model(refused, model, change, message):
    path = model / "settings.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert message in refused("inference", model=model)
