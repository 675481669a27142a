"""A sampling method of a test is a choice of every command: flag, help, groups, page."""

import logging

import numpy as np
import pytest
from tiny_scan import simulated

from ptycho.commands import cli
from ptycho.grouping import SAMPLERS, Sampler
from ptycho.grouping.enumerate import tabulate
from ptycho.settings.base import describe
from ptycho.settings.groups import GroupsConfig


class Last(Sampler):
    """The valid groups from the last one on."""

    def draw(self, neighbourhood, n, seed):
        return tabulate(neighbourhood)[::-1][:n]


@pytest.fixture(autouse=True)
def last(monkeypatch):
    monkeypatch.setitem(SAMPLERS, "last", Last)


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "scan.npz"
    simulated(36).save(path)
    return path


def test_help_lists_it(capsys):
    cli.main(["groups", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "[uniform|balanced|sequential|last]" in shown
    text = describe(GroupsConfig)["sampling"].text
    assert "last (The valid groups from the last one on)" in " ".join(text.split())


def test_groups_compares_it_with_the_others(scan, caplog):
    caplog.set_level(logging.INFO)
    assert cli.main(["groups", str(scan), "--sampling", "last", "--n_images", "5"]) == 0
    assert [line.split()[0] for line in caplog.messages if line.startswith(("uniform", "last "))]
    assert "last: 5 groups, 20 patterns, " in caplog.text


def test_a_training_uses_it(scan, tmp_path):
    out = tmp_path / "out"
    words = ["--gridsize", "2", "--sampling", "last", "--n_images", "5", "--nepochs", "1"]
    run = ["train", "--train_data_file", str(scan), "--output_dir", str(out), "--no_report"]
    assert cli.main([*run, *words]) == 0
    with np.load(out / "selection.npz") as found:
        assert found["groups"].max() == 35  # the last position


def test_an_unknown_method_is_refused_with_all_names(scan, capsys):
    assert cli.main(["groups", str(scan), "--sampling", "first"]) == 2
    assert "expected one of uniform, balanced, sequential, last" in capsys.readouterr().err
