"""A short training of a small network, and its loss: for the tests of what learns."""

import torch

from ptycho.learning import training
from ptycho.learning.plan import TrainingOutput, TrainingPlan
from ptycho.physics import LOSSES
from ptycho.runs.journal import FolderJournal

BATCH = 8


def fit(folder, model, data, validation=None, *, progress=False, pictures=None, **changes):
    """Train for three epochs; `changes` are fields of the plan."""
    plan = {"epochs": 3, "batch_size": BATCH, "learning_rate": 3e-3} | changes
    journal = FolderJournal(folder)
    journal.begin()
    output = TrainingOutput(folder=folder, journal=journal, progress=progress, pictures=pictures)
    return training.fit(model, data, validation, TrainingPlan(**plan), output)


def mean_loss(model, data, size=BATCH, loss="amplitude"):
    """The loss of all groups, each batch by its number of groups."""
    with torch.inference_mode():
        each = [
            (LOSSES[loss](model(batch).intensity, batch.amplitude), len(batch.members))
            for batch in data.batches(size)
        ]
    return float(sum(value * n for value, n in each) / len(data))
