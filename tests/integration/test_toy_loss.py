"""A loss of a test runs the whole way: train, save, noise floor, report."""

import json

import pytest
from tiny_scan import simulated

from ptycho.commands import cli
from ptycho.physics import LOSSES
from ptycho.physics.losses import Loss


def distance(expected, counted):
    """A distance without a known limit of its noise: Pearson's chi-squared."""
    return (expected - counted).square() / (counted + 1)


@pytest.mark.parametrize("validation", [0, 0.05])
def test_a_loss_of_one_row_runs_the_whole_way(tmp_path, monkeypatch, validation):
    monkeypatch.setitem(LOSSES, "pearson", Loss(distance))
    simulated(100).save(tmp_path / "scan.npz")
    words = ["train", "--train_data_file", tmp_path / "scan.npz", "--loss", "pearson",
             "--nepochs", 1, "--validation_fraction", validation,
             "--output_dir", tmp_path / "model"]  # fmt: skip
    assert cli.main([str(word) for word in words]) == 0
    training = json.loads((tmp_path / "model/settings.json").read_text())["training"]
    assert training["loss"] == "pearson"
    assert training["noise_floor"] > 0
    assert (training["loss_before"] is None) == (validation == 0)
    assert "pearson" in (tmp_path / "model/report.html").read_text(encoding="utf-8")


def test_an_unknown_loss_is_refused_before_the_training(tmp_path, capsys):
    simulated(25).save(tmp_path / "scan.npz")
    words = ["train", "--train_data_file", tmp_path / "scan.npz", "--loss", "pearson",
             "--output_dir", tmp_path / "model"]  # fmt: skip
    assert cli.main([str(word) for word in words]) == 2
    assert "loss: 'pearson'; expected one of amplitude, poisson" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()
