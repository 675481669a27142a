"""`ptycho_train`: what is trained on what, and what it leaves."""

import zipfile

import numpy as np
import pytest
import torch
from tiny_scan import simulated

from ptycho.commands import train
from ptycho.errors import ConfigError, DataError
from ptycho.grouping import GroupRule
from ptycho.learning import training
from ptycho.learning.model_folder import load_model
from ptycho.physics.probe import probe_fwhm
from ptycho.scan.scaling import scaled_probe
from ptycho.settings.train import TrainConfig


def configured(folder, **changes):
    """Settings of a short training on `folder/scan.npz`."""
    settings = {
        "train_data_file": folder / "scan.npz",
        "output_dir": folder / "run",
        "nepochs": 2,
        "device": "cpu",
        "progress": False,
    }
    return TrainConfig(**settings | changes)


class HandedOver(Exception):
    """Ends a run at the call of `fit`, with its arguments."""


@pytest.fixture
def handed(monkeypatch):
    """A function that returns the training and validation set a run would learn from."""

    def noting(model, data, validation, _plan, _output):
        raise HandedOver(model, data, validation)

    def of(config):
        with pytest.raises(HandedOver) as caught:
            train.run(config)
        return caught.value.args

    monkeypatch.setattr(training, "fit", noting)
    return of


@pytest.mark.parametrize("gridsize", [1, 2])
@pytest.mark.parametrize("seed", [0, 1])
def test_training_and_validation_share_no_frame_and_no_light(tmp_path, handed, gridsize, seed):
    raw = simulated(400)
    raw.save(tmp_path / "scan.npz")
    config = configured(tmp_path, gridsize=gridsize, seed=seed)
    model, data, validation = handed(config)
    learned, watched = np.unique(data.groups), np.unique(validation.groups)
    assert len(watched) >= 0.02 * raw.n_frames
    assert len(learned) >= 0.5 * raw.n_frames
    assert not np.intersect1d(learned, watched).size
    between = raw.positions[learned, None] - raw.positions[watched]
    distance = np.abs(between).max(axis=-1).min()  # the guard is a strip along rows and columns
    assert distance >= probe_fwhm(model.probe)


def test_another_scan_watches_instead_of_a_part_when_there_is_one(tmp_path, handed):
    simulated(100).save(tmp_path / "scan.npz")
    simulated(64, seed=1).save(tmp_path / "other.npz")
    config = configured(tmp_path, gridsize=2, test_data_file=tmp_path / "other.npz", n_images=7)
    _, data, validation = handed(config)
    assert (len(data), len(validation)) == (7, 7)
    assert (data.raw.n_frames, validation.raw.n_frames) == (100, 64)
    assert validation.raw.path == tmp_path / "other.npz"


def test_a_watching_scan_of_another_dose_is_seen_at_that_of_the_training(tmp_path, handed):
    simulated(100).save(tmp_path / "scan.npz")
    simulated(64, photons=1e3).save(tmp_path / "dim.npz")
    _, data, validation = handed(configured(tmp_path, test_data_file=tmp_path / "dim.npz"))
    assert validation.raw.photons_per_frame() == pytest.approx(data.raw.photons_per_frame())


def test_a_watching_scan_with_another_probe_is_refused(tmp_path):
    simulated(100).save(tmp_path / "scan.npz")
    simulated(64, probe="gaussian", probe_fwhm=2.5).save(tmp_path / "other.npz")
    with pytest.raises(ConfigError, match=r"agrees to .* % with that of the training"):
        train.run(configured(tmp_path, test_data_file=tmp_path / "other.npz"))


def test_a_bad_frame_anywhere_is_found_before_anything_is_written(tmp_path):
    raw = simulated(900, step=0.5)
    frames = raw.frames.copy()
    frames[71, 2, 3] = np.nan
    changed = {"diffraction": frames, "probeGuess": raw.probe, "measurement": "intensity"}
    np.savez(tmp_path / "scan.npz", xcoords=raw.xcoords, ycoords=raw.ycoords, **changed)
    with pytest.raises(DataError, match="frame 71 holds nan"):
        train.run(configured(tmp_path))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("gridsize", [1, 2])
def test_the_sample_learned_from_is_the_one_asked_for(tmp_path, handed, gridsize):
    raw = simulated(100)
    raw.save(tmp_path / "scan.npz")
    config = configured(tmp_path, gridsize=gridsize, n_images=60, validation_fraction=0, seed=3)
    _, data, validation = handed(config)
    assert validation is None
    np.testing.assert_array_equal(
        data.groups, raw.select_groups(60, GroupRule(gridsize=gridsize), seed=3)
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a finished training, gridsize 2."""
    folder = tmp_path_factory.mktemp("trained")
    simulated(100).save(folder / "scan.npz")
    return train.run(configured(folder, gridsize=2, nepochs=1))


def test_outside_the_checkpoints_there_is_nothing_to_unpickle(trained):
    kept = [p for p in trained.rglob("*") if p.is_file() and "checkpoints" not in p.parts]
    names = {str(p.relative_to(trained)) for p in kept}
    assert {"model.safetensors", "settings.json", "settings_used.yaml"} <= names
    for path in kept:
        assert path.suffix not in {".ckpt", ".pt", ".pth", ".pkl"}
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                assert all(arrays[name].dtype.kind in "iufcbU" for name in arrays)
        else:
            assert not zipfile.is_zipfile(path)  # what torch.save writes
        assert not path.read_bytes().startswith(b"\x80")  # what pickle writes
    assert not [p for p in trained.iterdir() if p.name.startswith(".")]  # no half-written file


def test_the_settings_tell_what_was_trained(trained):
    model, settings = load_model(trained)
    assert (settings.gridsize, settings.neighbor_count, settings.frame_size) == (2, 8, 16)
    raw = simulated(100)
    torch.testing.assert_close(model.probe, scaled_probe(raw).probe)
    told = settings.training
    assert (told["data"], told["n_frames"], told["seed"], told["epochs"]) == ("scan.npz", 100, 0, 1)
    assert told["best_loss"] > 0
    assert told["loss_before"] > 0
    assert (trained / "training_curves.png").read_bytes().startswith(b"\x89PNG")


def test_training_again_into_the_same_folder_replaces_the_model(trained, tmp_path):
    folder = tmp_path / "again"
    simulated(100).save(tmp_path / "scan.npz")
    first = train.run(configured(tmp_path, output_dir=folder, nepochs=1, gridsize=2, seed=1))
    once = (first / "model.safetensors").read_bytes()
    train.run(configured(tmp_path, output_dir=folder, nepochs=1, gridsize=2, seed=0))
    assert (folder / "model.safetensors").read_bytes() != once
    torch.testing.assert_close(
        dict(load_model(folder)[0].state_dict()), dict(load_model(trained)[0].state_dict())
    )
    assert sorted(p.name for p in (folder / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]


def test_an_unknown_loss_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(ConfigError, match="loss: 'cubic'; expected one of amplitude, poisson"):
        configured(tmp_path, loss="cubic")
