"""The picture of the object while a training goes on: there, true, and of no consequence."""

from types import SimpleNamespace
from unittest.mock import Mock

import lightning as L
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_training import fit
from tiny_scan import simulated, untrained

from ptycho.api.training_picture import picture_of
from ptycho.io.npz import NpzFile
from ptycho.learning.callbacks import LivePicture, Picture, grey
from ptycho.physics.patches import canvas_of
from ptycho.runs.journal import PICTURE_FILE, FolderJournal
from ptycho.scan.dataset import GroupDataset


def trained(folder, **changes):
    raw = simulated(25)
    groups = np.arange(25)[:, None]
    device = torch.device("cpu")
    picture = picture_of(raw, groups, device)
    model = untrained(raw)
    settings = {"picture": picture, "picture_every": 2} | changes
    result = fit(folder, model, GroupDataset(raw, groups), epochs=4, **settings)
    return SimpleNamespace(raw=raw, picture=picture, result=result)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Four epochs, a picture in the first and in the third, if time allows."""
    folder = tmp_path_factory.mktemp("run")
    return SimpleNamespace(folder=folder, **vars(trained(folder)))


def test_the_picture_holds_the_object_of_some_epoch(run):
    found = NpzFile(run.folder / PICTURE_FILE)
    canvas = canvas_of(torch.from_numpy(run.raw.positions), run.raw.frame_size)
    assert found["object"].shape == found["coverage"].shape == canvas.shape
    assert found["object"].dtype == np.complex64
    assert tuple(found["origin"]) == canvas.origin
    assert int(found["epoch"]) in (1, 3)
    lit = found["coverage"] > 0.1 * found["coverage"].max()
    assert 0.3 < np.abs(found["object"])[lit].mean() < 1.5  # transmission, not a blank


def test_tensorboard_shows_amplitude_and_phase(run):
    events = EventAccumulator(str(run.folder / "logs/tensorboard"), size_guidance={"images": 0})
    events.Reload()
    assert set(events.Tags()["images"]) == {"object/amplitude", "object/phase"}
    steps = [image.step for image in events.Images("object/phase")]
    assert steps in ([1], [1, 3])
    shown = events.Images("object/amplitude")[0]
    shape = NpzFile(run.folder / PICTURE_FILE)["object"].shape
    assert (shown.height, shown.width) == shape


def test_the_weights_are_the_same_with_pictures_and_without(run, tmp_path):
    other = trained(tmp_path, picture=None)
    assert not (tmp_path / PICTURE_FILE).exists()
    ours, theirs = (found.result.model.state_dict() for found in (run, other))
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=0, atol=0)


def test_the_last_picture_is_what_the_model_makes_of_the_scan(tmp_path):
    """With steps of no length the first picture is that of the model in the end."""
    found = trained(tmp_path, learning_rate=1e-30, picture_every=100)
    now = found.picture(found.result.model)
    kept = NpzFile(tmp_path / PICTURE_FILE)["object"]
    np.testing.assert_allclose(kept, now.obj, atol=1e-5)


def test_a_picture_that_cannot_be_written_costs_a_warning(tmp_path, monkeypatch, caplog):
    def full(path, arrays):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("ptycho.runs.journal.write_npz", full)
    found = trained(tmp_path, picture_every=1)
    assert len(found.result.curves["train_loss"]) == 4
    assert sum("no picture of epoch" in text for text in caplog.messages) == 1


def test_pictures_take_at_most_a_tenth_of_the_time(tmp_path, monkeypatch):
    """Each takes 5 s of a clock by hand, epochs 10 s: the next one waits for 45 s."""
    clock, drawn = [0.0], []
    monkeypatch.setattr(
        "ptycho.learning.callbacks.time", SimpleNamespace(perf_counter=lambda: clock[0])
    )

    def picture(model):
        clock[0] += 5.0
        return Picture(np.ones((4, 4), np.complex64), np.ones((4, 4), np.float32), (0, 0))

    live = LivePicture(picture, 1, FolderJournal(tmp_path))
    (tmp_path / "logs").mkdir()
    trainer, module = Mock(spec=L.Trainer, loggers=[]), Mock(spec=L.LightningModule, training=True)
    module.model = None
    for epoch in range(12):
        clock[0] += 10.0
        before = clock[0]
        trainer.current_epoch = epoch
        live.on_train_epoch_end(trainer, module)
        drawn += [epoch] if clock[0] > before else []
    assert drawn == [0, 5, 10]


def test_grey_levels_by_hand():
    values = np.array([[0.0, 1.0], [2.0, 9.0]])
    known = np.array([[True, True], [True, False]])
    # percentiles of 0, 1, 2 are 0.02 and 1.98
    np.testing.assert_array_equal(grey(values, known), [[0, 128], [255, 0]])
