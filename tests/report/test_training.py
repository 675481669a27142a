"""Whether a training has changed anything: each case by hand."""

import pytest
from run_folders import in_memory

from ptycho.report.training import loss_change


def change(tmp_path, val_losses, **training):
    """Return the change of a run with these validation losses."""
    epochs = tuple({"epoch": n, "train_loss": 1.0, "val_loss": loss}
                   for n, loss in enumerate(val_losses, start=1))  # fmt: skip
    return loss_change(in_memory(tmp_path, epochs=epochs, model={"training": training}))


def test_a_training_that_changed_nothing_says_so_with_figures(tmp_path):
    found = change(tmp_path, [0.0056, 0.00554], loss_before=0.00558)
    assert found.negligible
    assert found.sentence() == (
        "Training improved the validation loss from 0.00558 to 0.00554 (0.72 %): the result is "
        "that of the starting point."
    )


def test_a_training_that_learned(tmp_path):
    found = change(tmp_path, [0.5, 0.25, 0.3], loss_before=1.0)
    assert not found.negligible
    assert found.sentence() == "Training improved the validation loss from 1 to 0.25 (75 %)."


def test_a_small_part_of_the_loss_can_be_all_that_exceeds_the_noise(tmp_path):
    losses = {"val_losses": [0.99], "loss_before": 1.0}
    assert change(tmp_path, **losses).negligible
    assert not change(tmp_path, **losses, noise_floor=0.98).negligible


def test_a_training_that_made_it_worse(tmp_path):
    found = change(tmp_path, [1.2, 1.1], loss_before=1.0)
    assert found.negligible
    assert found.sentence() == (
        "Training did not improve the validation loss from 1 to 1.1: the result is that of the "
        "starting point."
    )


def test_without_a_loss_before_training_the_first_epoch_counts(tmp_path):
    found = change(tmp_path, [0.002773, 0.00276, 0.00275])
    assert found.sentence() == (
        "Training improved the validation loss after the first epoch from 0.002773 to 0.00275 "
        "(0.83 %): the later epochs changed almost nothing."
    )


@pytest.mark.parametrize("losses", [[], [0.5]])
def test_one_value_is_no_change(tmp_path, losses):
    assert change(tmp_path, losses) is None


def test_a_loss_of_zero_is_no_division(tmp_path):
    assert change(tmp_path, [0.0], loss_before=0.0).share == 0
