"""`ptycho groups`, the coverage beside every run, and `ptycho cache`."""

import json
import logging

import numpy as np
import pytest
from tiny_scan import simulated

from ptycho.api.coverage import save_coverage
from ptycho.api.grouping import choose_groups, groups_of, probe_diameter
from ptycho.commands.cli import main
from ptycho.grouping import (
    GroupRule,
    sample_groups,
)
from ptycho.physics.probe import largest_pair_distance
from ptycho.settings.groups import GroupsConfig
from ptycho.settings.shared import SelectionSettings


@pytest.fixture(autouse=True)
def no_other_caches(monkeypatch, tmp_path):
    """The user cache folder holds no cache of another test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user_cache"))


@pytest.fixture
def scan_file(tmp_path):
    path = tmp_path / "scan.npz"
    simulated(144).save(path)
    return path


def test_groups_compares_the_samplers_and_writes_numbers_and_picture(scan_file, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    out = tmp_path / "out"
    assert main(["groups", str(scan_file), "--n_images", "20", "--output_dir", str(out)]) == 0
    rows = [line for line in caplog.messages if line.split()[0] in ("uniform", "balanced")]
    assert len(rows) == 2
    assert "balanced: 20 groups, 80 patterns, 80 distinct (56 % of the scan)" in caplog.text
    found = json.loads((out / "coverage.json").read_text())
    assert (found["n_groups"], found["n_different"], found["exposures"]) == (20, 80, [64, 80])
    assert set(found["samplers"]) == {"uniform", "balanced", "sequential"}
    assert (out / "groups.png").stat().st_size > 10_000
    assert not list(scan_file.parent.glob("*groups_cache*"))


def test_groups_without_a_folder_writes_nothing(scan_file):
    assert main(["groups", str(scan_file)]) == 0
    assert list(scan_file.parent.iterdir()) == [scan_file]


def test_limits_no_group_can_keep_are_one_line_and_exit_2(scan_file, capsys):
    assert main(["groups", str(scan_file), "--max_distance", "0.5"]) == 2
    err = capsys.readouterr().err.strip().splitlines()[-1]
    assert err.startswith("ptycho groups: distance limits (at most 0.5 px): none of ")
    assert "expected wider limits" in err


@pytest.mark.parametrize("size", [30, 40_000])
def test_a_picture_is_drawn_of_few_and_of_many_positions(tmp_path, size):
    raw = simulated(36)
    x, y = np.random.default_rng(0).random((2, size)) * 90
    groups = sample_groups(x, y, GroupRule(), n=5)
    object.__setattr__(raw, "xcoords", x)
    object.__setattr__(raw, "ycoords", y)
    save_coverage(tmp_path, groups_of(raw, SelectionSettings(), groups))
    assert (tmp_path / "groups.png").stat().st_size > 10_000


def test_json_has_no_nan(tmp_path):
    raw = simulated(36)
    save_coverage(tmp_path, groups_of(raw, SelectionSettings(), np.arange(9)[:, None]))
    text = (tmp_path / "coverage.json").read_text()
    assert "NaN" not in text
    assert json.loads(text)["median_overlap"] is None


def test_an_overlap_becomes_a_distance_by_hand():
    assert largest_pair_distance(20.0, 0.5) == 10.0
    assert largest_pair_distance(20.0, 0.0) == 20.0
    with pytest.raises(ValueError, match="expected 0 to below 1"):
        largest_pair_distance(20.0, 1.0)


def test_min_overlap_keeps_only_groups_whose_probes_overlap_so_far(scan_file, caplog):
    caplog.set_level(logging.INFO)
    raw = simulated(144)
    config = GroupsConfig(data=scan_file, min_overlap=0.4, n_images=50)
    groups = choose_groups(raw, config, 2)
    furthest = max(
        np.hypot(*(raw.positions[groups[:, a]] - raw.positions[groups[:, b]]).T).max()
        for a in range(4) for b in range(a)
    )  # fmt: skip
    assert furthest <= 0.6 * probe_diameter(raw)
    assert "groups excluded" in caplog.text
    assert "median overlap" in caplog.text


@pytest.fixture
def cached(scan_file, capsys):
    for limits in ([], ["--max_distance", "3.2", "--metric", "steps"]):
        assert main(["groups", str(scan_file), "--cache", *limits]) == 0
    capsys.readouterr()
    return sorted(scan_file.parent.glob("*groups_cache.npz"))


def test_cache_lists_verifies_and_clears_what_lies_beside_scans(cached, scan_file, capsys):
    assert len(cached) == 2
    folder = str(scan_file.parent)
    assert main(["cache", "list", "--folder", folder]) == 0
    told = capsys.readouterr().err
    assert "gridsize 2, K 8" in told
    assert "max_distance 3.2 px" in told
    assert main(["cache", "verify", "--folder", folder]) == 0
    assert main(["cache", "clear", "--folder", str(scan_file)]) == 0
    assert list(scan_file.parent.iterdir()) == [scan_file]


def test_verify_finds_a_changed_entry_and_a_changed_scan(cached, scan_file, capsys):
    folder = str(scan_file.parent)
    with np.load(cached[0]) as file:
        arrays = dict(file)
    arrays["all_groups"][len(arrays["all_groups"]) // 2] += 1
    np.savez(cached[0], **arrays)
    assert main(["cache", "verify", "--folder", folder]) == 2
    assert "groups differ from those of the scan" in capsys.readouterr().err
    simulated(144, seed=5).save(scan_file)
    assert main(["cache", "verify", "--folder", folder]) == 2
    err = capsys.readouterr().err
    assert "positions changed" in err
    assert err.splitlines()[-1].startswith(f"ptycho cache: {folder}: 2 of 2 groups caches unfit")


def test_verify_survives_files_that_are_none(cached, scan_file, capsys):
    cached[0].write_bytes(b"no archive")
    scan_file.unlink()
    assert main(["cache", "list", "--folder", str(scan_file.parent)]) == 0
    assert "file damaged or unreadable" in capsys.readouterr().err
    assert main(["cache", "verify", "--folder", str(scan_file.parent)]) == 2
    assert "scan.npz is not there" in capsys.readouterr().err


def test_the_probe_of_the_simulated_scan_is_as_wide_as_it_was_made():
    assert probe_diameter(simulated(4)) == pytest.approx(6.0, abs=1.0)


def test_a_training_writes_its_coverage_and_sets_groups_aside(tmp_path):
    path, out = tmp_path / "scan.npz", tmp_path / "run"
    simulated(400, step=3.0).save(path)
    words = {
        "train_data_file": path, "output_dir": out, "gridsize": 2, "nepochs": 1, "n_images": 90,
        "test_fraction": 0.2, "held_out": "stripe", "validation_fraction": 0.2, "device": "cpu",
        "sampling": "balanced",
    }  # fmt: skip
    assert main(["train", *(str(part) for k, v in words.items() for part in (f"--{k}", v))]) == 0
    found = json.loads((out / "coverage.json").read_text())
    aside = np.load(out / "test_groups.npy")
    assert found["n_groups"] == 90
    assert found["split"]["n_test"] == len(aside) > 0
    assert found["split"]["n_guard_positions"] > 0
    assert (out / "groups.png").exists()
