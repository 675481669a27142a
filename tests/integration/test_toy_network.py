"""A network of a test runs the whole way: train, save, load, reconstruct, report."""

import inspect
import json

import numpy as np
import pytest
import toy_network
from tiny_scan import simulated

from ptycho.commands import cli
from ptycho.learning.model_folder import load_model
from ptycho.networks import NETWORKS


@pytest.fixture
def scan(tmp_path, monkeypatch):
    """A scan; one row of the table is all that the package is given."""
    monkeypatch.setitem(NETWORKS, "toy", toy_network.ToyNetwork)
    simulated(36).save(tmp_path / "scan.npz")
    return tmp_path / "scan.npz"


def run(*words):
    assert cli.main([str(word) for word in words]) == 0


def test_the_network_takes_forty_lines_at_most():
    assert inspect.getsource(toy_network).count("\n") <= 40


@pytest.mark.parametrize("gridsize", [1, 2])
def test_it_runs_the_whole_way(scan, tmp_path, gridsize):
    model, out = tmp_path / "model", tmp_path / "out"
    run("train", "--train_data_file", scan, "--network", "toy", "--gridsize", gridsize,
        "--nepochs", 2, "--output_dir", model)  # fmt: skip
    loaded, described = load_model(model)
    assert described.network == "toy"
    assert isinstance(loaded.network, toy_network.ToyNetwork)
    assert "toy" in (model / "report.html").read_text(encoding="utf-8")
    # A network for any gridsize also serves groups of another one.
    run("inference", "--model_path", model, "--test_data", scan, "--output_dir", out,
        "--sweeps", 1, "--gridsize", 3 - gridsize)  # fmt: skip
    metrics = json.loads((out / "metrics.json").read_text())
    assert np.isfinite(metrics["object"]["object_residual"])
    assert (out / "report.html").exists()
