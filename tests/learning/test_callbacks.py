"""What accompanies a training: pictures in their time, grey levels."""

from types import SimpleNamespace
from unittest.mock import Mock

import lightning as L
import numpy as np

from ptycho.learning.callbacks import LivePicture, grey
from ptycho.learning.plan import NoJournal, Picture


def test_pictures_take_at_most_a_tenth_of_the_time(monkeypatch):
    """Each takes 5 s of a clock by hand, epochs 10 s: the next one waits for 45 s."""
    clock, drawn = [0.0], []
    monkeypatch.setattr(
        "ptycho.learning.callbacks.time", SimpleNamespace(perf_counter=lambda: clock[0])
    )

    def picture():
        clock[0] += 5.0
        return Picture(np.ones((4, 4), np.complex64), np.ones((4, 4), np.float32), (0, 0))

    live = LivePicture(picture, 1, NoJournal())
    trainer, module = Mock(spec=L.Trainer, loggers=[]), Mock(spec=L.LightningModule, training=True)
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
