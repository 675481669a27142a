"""Files that are joined with a scan are recorded, found again and protected as the scan is."""

import json

import numpy as np
import pytest
from tiny_scan import saved_untrained, simulated

from ptycho.commands import cli
from ptycho.io.atomic import file_checksum
from ptycho.report.page import page_html
from ptycho.runs import read_run
from ptycho.scan.raw_data import RawData


def ptycho(*words):
    return cli.main([str(word) for word in words])


def in_parts(folder):
    """Frames, positions, a probe and a mask of one scan in files of their own."""
    raw = simulated(36)
    np.save(folder / "frames.npy", raw.frames[:])
    np.save(folder / "places.npy", raw.positions)
    np.save(folder / "mask.npy", np.eye(16) == 0)
    return raw


FLAGS = ["--join", "places.npy", "--mask", "mask.npy", "--positions_unit", "px",
         "--measurement", "intensity"]  # fmt: skip


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A reconstruction of a scan in parts, all named relative to their folder."""
    home = tmp_path_factory.mktemp("lab")
    raw = in_parts(home)
    saved_untrained(home / "model", raw)
    words = ["reconstruct", "frames.npy", "object", "--model_path", "model", "--sweeps", 1]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        assert ptycho(*words, "--skip_frames", 5, "--no_report", "--quiet", *FLAGS) == 0
    return home


def test_their_places_and_checksums_are_recorded(lab):
    entries = {entry["role"]: entry for entry in read_run(lab / "object").data}
    for role, name in (("test_data", "frames.npy"), ("join", "places.npy"), ("mask", "mask.npy")):
        assert entries[role]["path"] == str(lab / name)
        assert entries[role]["sha256"] == file_checksum(lab / name)
    assert entries["test_data"]["skipped"] == [5]


def test_page_and_evaluation_find_them_from_elsewhere(lab, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert '<figure id="frames"' in page_html(read_run(lab / "object"))
    words = ["evaluate", lab / "object", "--test_data", lab / "frames.npy", "--no_report"]
    assert ptycho(*words, "--output_dir", tmp_path / "score") == 0
    assert len(np.load(tmp_path / "score" / "evaluated_frames.npz")["frames"]) == 35
    run = read_run(tmp_path / "score")
    assert [entry["role"] for entry in run.data] == ["reconstruction", "test_data", "join"]


def test_a_joined_file_that_has_changed_lends_no_frames(lab):
    before = (lab / "places.npy").read_bytes()
    np.save(lab / "places.npy", 2 * simulated(36).positions)
    text = page_html(read_run(lab / "object"))
    (lab / "places.npy").write_bytes(before)
    assert f"No frames are shown: {lab / 'places.npy'} has changed since the run." in text


def test_frames_left_out_before_an_import_are_not_left_out_again(lab, tmp_path, monkeypatch):
    monkeypatch.chdir(lab)
    out = tmp_path / "scan.npz"
    assert ptycho("import", "frames.npy", out, "--skip_frames", 5, *FLAGS) == 0
    raw = RawData.from_file(out)
    assert (raw.n_frames, raw.skipped, raw.joined) == (35, (), ())
    assert ptycho("groups", out, "--n_images", 3, "--output_dir", tmp_path / "groups") == 0
    assert read_run(tmp_path / "groups").scan["skipped"] == []


@pytest.mark.parametrize(
    "words",
    [
        ["import", "frames.npy", "{part}"],
        ["convert", "frames.npy", "{part}", "--to", "npz"],
        ["export", "object", "{part}", "--to", "npz", "--test_data", "frames.npy"],
    ],
)
def test_they_are_never_replaced(lab, tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(lab)
    part = tmp_path / "places.npz"
    np.savez(part, places=simulated(36).positions)
    before = part.read_bytes()
    words = [word.format(part=part) for word in words]
    capsys.readouterr()
    assert ptycho(*words, "--overwrite", "--join", part, *FLAGS[2:], "--quiet") == 2
    err = capsys.readouterr().err
    assert "itself; expected another name" in err
    assert err.count("\n") == 1
    assert part.read_bytes() == before


def test_they_are_not_moved_out_of_the_output_folder(lab, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(lab)
    part = tmp_path / "coverage.json"
    part.write_text(json.dumps([]))
    capsys.readouterr()
    words = ["groups", "frames.npy", "--output_dir", tmp_path, "--join", part, "--n_images", 3]
    assert ptycho(*words, "--quiet") == 2
    assert f"{part}: is join itself, which this run would overwrite" in capsys.readouterr().err
    assert part.read_text() == "[]"


def test_a_missing_one_is_one_line(lab, capsys):
    capsys.readouterr()
    assert ptycho("inspect", lab / "frames.npy", "--join", lab / "gone.csv") == 2
    assert f"join: nothing at {lab / 'gone.csv'}; expected a scan file" in capsys.readouterr().err
