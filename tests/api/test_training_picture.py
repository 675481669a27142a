"""The picture of the object during a training: it is there, right, and changes no weights."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from short_training import fit
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_scan import simulated, untrained

from ptycho.api.training_picture import picture_of
from ptycho.io.npz import NpzFile
from ptycho.learning.plan import Pictures
from ptycho.physics.patches import canvas_of
from ptycho.runs.journal import PICTURE_FILE
from ptycho.scan.dataset import GroupDataset


def trained(folder, every=2, **changes):
    """Four epochs with a picture every few ones; 0 makes none."""
    raw = simulated(25)
    groups = np.arange(25)[:, None]
    picture = picture_of(raw, groups, torch.device("cpu"))
    pictures = Pictures(make=picture, every=every) if every else None
    data = GroupDataset(raw, groups)
    result = fit(folder, untrained(raw), data, epochs=4, pictures=pictures, **changes)
    return SimpleNamespace(raw=raw, picture=picture, result=result)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A picture in the first epoch and, if time allows, in the third."""
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
    other = trained(tmp_path, every=0)
    assert not (tmp_path / PICTURE_FILE).exists()
    ours, theirs = (found.result.model.state_dict() for found in (run, other))
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=0, atol=0)


def test_the_last_picture_is_what_the_model_makes_of_the_scan(tmp_path):
    """With steps of no length the first picture is that of the model in the end."""
    found = trained(tmp_path, every=100, learning_rate=1e-30)
    now = found.picture(found.result.model)
    kept = NpzFile(tmp_path / PICTURE_FILE)["object"]
    np.testing.assert_allclose(kept, now.obj, atol=1e-5)


def test_a_picture_that_cannot_be_written_costs_a_warning(tmp_path, monkeypatch, caplog):
    def full(path, arrays):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("ptycho.runs.journal.write_npz", full)
    found = trained(tmp_path, every=1)
    assert len(found.result.curves["train_loss"]) == 4
    assert sum("no picture of epoch" in text for text in caplog.messages) == 1
