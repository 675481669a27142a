"""Training: it learns, repeats itself, keeps the best, leaks nothing, and stops in plain words."""

import csv
import io
import sys
import zipfile
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_scan import simulated, untrained

from ptycho import progress
from ptycho.commands import train
from ptycho.engines.reconstruction import reconstruct
from ptycho.errors import ConfigError, DataError, ModelError
from ptycho.grouping import GroupRule
from ptycho.learning import training
from ptycho.learning.model_folder import load_model
from ptycho.physics import LOSSES
from ptycho.physics.probe import probe_fwhm
from ptycho.runs.journal import FolderJournal
from ptycho.scan.dataset import GroupDataset
from ptycho.scan.scaling import scaled_probe
from ptycho.settings.reconstruct import InferenceConfig
from ptycho.settings.train import TrainConfig

BATCH = 8


class Terminal(io.StringIO):
    def isatty(self):
        return True


def fit(folder, model, data, validation=None, **changes):
    settings = {
        "epochs": 3,
        "batch_size": BATCH,
        "learning_rate": 3e-3,
        "loss": "amplitude",
        "seed": 0,
        "device": torch.device("cpu"),
        "progress": False,
        "journal": FolderJournal(folder),
    }
    return training.fit(model, data, validation, output_dir=folder, **settings | changes)


def mean_loss(model, data, size=BATCH, loss="amplitude"):
    """The loss of all groups, each batch by its number of groups."""
    with torch.inference_mode():
        each = [
            (LOSSES[loss](model(batch).intensity, batch.amplitude), len(batch.members))
            for batch in data.batches(size)
        ]
    return float(sum(value * n for value, n in each) / len(data))


def away(obj, truth):
    """Sine of the angle between two objects: what is left when scale and phase are fitted."""
    share = abs(np.vdot(obj, truth)) ** 2 / (np.vdot(obj, obj).real * np.vdot(truth, truth).real)
    return np.sqrt(1 - share)


# It learns


@pytest.mark.parametrize(
    ("network", "gridsize", "left"), [("lifted", 1, 0.85), ("lifted", 2, 0.8), ("unet", 2, 0.2)]
)
def test_a_tiny_scan_is_memorised(tmp_path, network, gridsize, left):
    """0.68, 0.55 and 0.08 of the loss were left: in front of a lifted network physics does most."""
    raw = simulated(9)
    groups = raw.select_groups(
        None, GroupRule(gridsize=gridsize), sampling="balanced", use_cache=False
    )
    model = untrained(raw, gridsize, network)
    before = mean_loss(model, GroupDataset(raw, groups))
    often = GroupDataset(raw, np.tile(groups, (12, 1)))
    fit(tmp_path, model, often, epochs=6, batch_size=len(groups), learning_rate=5e-3)
    assert mean_loss(model, GroupDataset(raw, groups)) < left * before

    config = InferenceConfig(model_path="m", test_data="s", output_dir="o", progress=False)
    found = reconstruct(model, raw, groups, scaled_probe(raw), config, torch.device("cpu"))
    row, col = found.origin
    truth = raw.obj[row : row + found.obj.shape[0], col : col + found.obj.shape[1]]
    lit = found.coverage > 0.1 * found.coverage.max()
    assert away(found.obj[lit], truth[lit]) < 0.8 * away(np.ones(lit.sum()), truth[lit])


# It repeats itself, and keeps the best


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A short training that is watched on other frames, and what it left."""
    folder = tmp_path_factory.mktemp("run")
    raw = simulated(49)
    data = GroupDataset(raw, np.arange(30)[:, None])
    watched = GroupDataset(raw, np.arange(30, 49)[:, None])
    result = fit(folder, untrained(raw), data, watched, epochs=10)
    return SimpleNamespace(folder=folder, raw=raw, data=data, watched=watched, result=result)


def rows_of(folder):
    with (folder / "logs/csv/metrics.csv").open() as file:
        return list(csv.DictReader(file))


def numbers(rows, key):
    return [float(row[key]) for row in rows if row.get(key)]


def test_the_same_seed_gives_the_same_curves_and_another_seed_others(tmp_path):
    raw = simulated(25)
    data, watched = (
        GroupDataset(raw, np.arange(25)[half, None]) for half in (slice(16), slice(16, 25))
    )
    curves = [
        fit(tmp_path / str(run), untrained(raw), data, watched, epochs=2, seed=seed).curves
        for run, seed in enumerate((0, 0, 1))
    ]
    assert curves[0] == curves[1]
    assert curves[0] != curves[2]
    assert [len(values) for values in curves[0].values()] == [2, 2]


def test_the_model_returned_is_the_one_with_the_lowest_validation_loss(ran):
    result = ran.result
    assert result.monitored == "val_loss"
    assert result.best_loss == pytest.approx(min(result.curves["val_loss"]), rel=1e-6)
    # The same weights on the same batches; only the order of the sum differs.
    assert mean_loss(result.model, ran.watched) == pytest.approx(result.best_loss, rel=1e-4)
    assert not result.model.training


def test_a_run_that_gets_worse_returns_the_weights_of_before(tmp_path):
    """It learns from frames of four times the photons of those that watch."""
    raw = simulated(25)
    every = np.arange(25)[:, None]
    data, watched = (
        GroupDataset(replace(raw, photons_per_unit=4.0), every),
        GroupDataset(raw, every),
    )
    result = fit(tmp_path, untrained(raw, network="unet"), data, watched, epochs=4)
    losses = result.curves["val_loss"]
    assert losses[-1] > 1.5 * min(losses)
    assert mean_loss(result.model, watched) == pytest.approx(min(losses), rel=1e-4)


def test_without_validation_the_training_loss_chooses(tmp_path):
    raw = simulated(16)
    result = fit(tmp_path, untrained(raw), GroupDataset(raw, np.arange(16)[:, None]), epochs=2)
    assert result.monitored == "train_loss"
    assert result.best_loss == pytest.approx(min(result.curves["train_loss"]), rel=1e-6)
    assert result.curves["val_loss"] == []


def test_checkpoints_and_both_logs_are_there(ran):
    assert sorted(p.name for p in (ran.folder / "checkpoints").iterdir()) == [
        "best.ckpt",
        "last.ckpt",
    ]
    rows = rows_of(ran.folder)
    for name, values in ran.result.curves.items():
        assert numbers(rows, name) == pytest.approx(values, rel=1e-5)
    events = list((ran.folder / "logs/tensorboard").glob("events.out.tfevents.*"))
    assert len(events) == 1
    assert b"val_loss" in events[0].read_bytes()


def test_checkpoints_hold_the_best_and_the_last_weights_and_no_code(ran):
    best, last = (
        torch.load(ran.folder / f"checkpoints/{name}.ckpt", weights_only=True)
        for name in ("best", "last")
    )
    for name, value in ran.result.model.state_dict().items():
        torch.testing.assert_close(best["state_dict"][f"model.{name}"], value, rtol=0, atol=0)
    assert last["epoch"] == 9


def test_the_learning_rate_rises_and_falls(ran):
    rates = numbers(rows_of(ran.folder), "lr-AdamW")
    top = int(np.argmax(rates))
    assert len(rates) == 10
    assert rates[0] == pytest.approx(3e-3 / 25)  # one cycle starts at a 25th of its peak
    assert 0 < top < 5
    assert rates[top] == pytest.approx(3e-3, rel=0.05)
    assert all(np.diff(rates[: top + 1]) > 0)
    assert all(np.diff(rates[top:]) < 0)
    assert rates[-1] < 3e-3 / 10


def test_one_step_is_a_training_too(tmp_path):
    raw = simulated(16)
    data = GroupDataset(raw, np.arange(16)[:, None])
    result = fit(tmp_path, untrained(raw), data, epochs=1, batch_size=16)
    # The loss is that of before the only step.
    assert result.curves["train_loss"] == pytest.approx(
        [mean_loss(untrained(raw), data, size=16)], rel=1e-4
    )


@pytest.mark.parametrize("steps", range(1, 13))
def test_a_training_of_any_number_of_steps_runs(tmp_path, steps):
    raw = simulated(16)
    data = GroupDataset(raw, np.arange(4 * steps)[:, None] % 16)
    fit(tmp_path, untrained(raw), data, epochs=1, batch_size=4)
    assert rows_of(tmp_path)


def test_each_epoch_is_one_line_where_no_bar_is_drawn(tmp_path, caplog):
    raw = simulated(16)
    data = GroupDataset(raw, np.arange(16)[:, None])
    with caplog.at_level("INFO", logger="ptycho"):
        result = fit(tmp_path, untrained(raw), data, data, epochs=2)
    told = [r.getMessage() for r in caplog.records if "epoch" in r.getMessage()]
    assert len(told) == 2
    for number, line in enumerate(told):
        train_loss, val_loss = (values[number] for values in result.curves.values())
        assert line.startswith(
            f"epoch {number + 1} of 2: train_loss {train_loss:.4g}, val_loss {val_loss:.4g}, "
        )


def test_a_budget_promises_no_number_of_epochs(tmp_path, caplog):
    raw = simulated(16)
    data = GroupDataset(raw, np.arange(16)[:, None])
    with caplog.at_level("INFO", logger="ptycho"):
        fit(tmp_path, untrained(raw), data, data, budget_s=1.0)
    told = [r.getMessage() for r in caplog.records if r.getMessage().startswith("epoch")]
    assert told[0].startswith("epoch 1: train_loss ")


@pytest.mark.parametrize("budget", [None, 0.5])
def test_one_bar_tells_of_the_whole_training(tmp_path, monkeypatch, budget):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(progress, "_PATIENCE_S", 0.0)
    raw = simulated(16)
    data = GroupDataset(raw, np.arange(16)[:, None])
    fit(tmp_path, untrained(raw), data, data, progress=True, budget_s=budget)
    drawn = [part for part in screen.getvalue().split("\r") if part.startswith("training:")]
    counted = "0/6 [00:00<?, ? steps/s]" if budget is None else "00:00<"
    assert counted in drawn[0]  # three epochs of two batches, or the time that remains


# It stops in plain words


@pytest.mark.parametrize(
    ("weight", "rate", "step"), [(np.nan, 1e-3, "epoch 1, step 1"), (None, 1e30, "epoch 1, step 2")]
)
def test_a_loss_that_is_no_number_stops_the_training_in_one_line(tmp_path, weight, rate, step):
    raw = simulated(16)
    model = untrained(raw)
    if weight is not None:
        next(model.parameters()).data.fill_(weight)
        model.network.step.body.head.weight.data.fill_(1.0)  # 0 x NaN is NaN, but let it be sure
    with pytest.raises(
        ModelError, match=f"the loss is not a number in {step}; .* lower --lea"
    ) as e:
        fit(tmp_path, model, GroupDataset(raw, np.arange(16)[:, None]), batch_size=4,
            learning_rate=rate)  # fmt: skip
    assert "\n" not in str(e.value)


def test_weights_spoiled_by_the_last_step_are_not_returned(tmp_path):
    raw = simulated(16)
    data = GroupDataset(raw, np.arange(16)[:, None])
    with pytest.raises(ModelError, match="val_loss is not a number after the last step"):
        fit(tmp_path, untrained(raw), data, data, epochs=1, batch_size=16, learning_rate=1e30)


def test_a_step_is_never_longer_than_the_clip_allows(tmp_path, monkeypatch):
    norms = []
    monkeypatch.setattr(
        torch.optim.AdamW, "step",
        lambda self, closure=None: (closure() and None) or norms.append(
            torch.stack([p.grad.norm() for p in self.param_groups[0]["params"]]).norm().item()
        ),
    )  # fmt: skip
    raw = simulated(16)
    data = GroupDataset(raw, np.arange(16)[:, None])
    fit(tmp_path, untrained(raw, network="unet"), data, epochs=1)
    assert norms
    assert max(norms) <= training._GRADIENT_CLIP * (1 + 1e-4)


# The workflow


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

    def noting(model, data, validation, **_settings):
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
    with pytest.raises(ConfigError, match=r"agrees to .* % with the one trained with"):
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
