"""A scan format of a test runs the whole way: simulate, train, reconstruct, report, evaluate."""

import inspect
import json

import numpy as np
import pytest
import toy_format
from tiny_scan import simulated

from ptycho.commands import cli
from ptycho.io import FORMATS
from ptycho.scan.raw_data import RawData


@pytest.fixture
def scan(tmp_path, monkeypatch):
    """A file of the toy format; one row of the table is all that the package is given."""
    monkeypatch.setitem(FORMATS, "toy", toy_format.ROW)
    path = tmp_path / "scan.toy"
    toy_format.write(path, simulated(36))
    return path


def run(*words):
    assert cli.main([str(word) for word in words]) == 0


def test_the_format_takes_forty_lines_at_most():
    assert inspect.getsource(toy_format).count("\n") - 15 <= 40  # 15 lines write its files


def test_its_scans_run_the_whole_way(scan, tmp_path, capsys):
    model, out, other = tmp_path / "model", tmp_path / "out", tmp_path / "imported.npz"
    run("train", "--train_data_file", scan, "--gridsize", 2, "--n_images", 9, "--nepochs", 1,
        "--output_dir", model, "--no_report")  # fmt: skip
    assert (tmp_path / "scan.toy.g2k8.groups_cache.npz").exists()
    run("cache", "verify", "--folder", scan)
    assert "1 groups cache in" in capsys.readouterr().err
    run("inference", "--model_path", model, "--test_data", scan, "--output_dir", out,
        "--sweeps", 1)  # fmt: skip
    assert "scan.toy" in (out / "report.html").read_text(encoding="utf-8")
    run("evaluate", out, scan)
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["truth"] == "scan.toy"
    assert np.isfinite(metrics["object"]["object_residual"])
    run("import", scan, other)
    np.testing.assert_array_equal(RawData.from_file(other).frames, RawData.from_file(scan).frames)
