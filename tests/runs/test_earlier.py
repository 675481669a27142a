"""A run into a folder that holds another: nothing is lost, nothing foreign is touched."""

import json
import logging
import shutil
from pathlib import Path

import pytest
from recorded import begun, broken_off, finished, names, noted

from ptycho.errors import ConfigError, DataError
from ptycho.runs import read_run
from ptycho.runs.earlier import put_aside

LEGACY = Path(__file__).parents[1] / "data" / "run_of_0.1"


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def put_away(folder):
    (place,) = (folder / "earlier").iterdir()
    return place


@pytest.mark.parametrize("kind", ["train", "reconstruct"])
def test_the_earlier_run_is_put_aside_whole(tmp_path, kind, caplog):
    first = read_run(finished(tmp_path, "train"))
    before = contents(tmp_path)
    with caplog.at_level(logging.INFO, logger="ptycho"):
        finished(tmp_path, kind)
    place = put_away(tmp_path)
    assert contents(place) == before
    assert read_run(place).id == first.id
    assert place.name == f"{first.record.begin:%Y%m%dT%H%M%S}-{first.id}"
    assert read_run(tmp_path).id != first.id
    assert [text for text in caplog.messages if "earlier" in text] == [
        f"{tmp_path}: earlier results moved to {place}"
    ]


def test_each_run_gets_a_place_of_its_own(tmp_path):
    ids = [read_run(finished(tmp_path)).id for _ in range(4)]
    kept = {read_run(place).id for place in (tmp_path / "earlier").iterdir()}
    assert kept == set(ids[:3])
    assert read_run(tmp_path).id == ids[3]


def test_foreign_files_stay_where_they_are(tmp_path):
    finished(tmp_path, "train")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "scan.npz").write_text("mine")
    (tmp_path / "metrics.json").write_text("of nobody: neither run writes it")
    finished(tmp_path, "train")
    assert {"notes.txt", "scan.npz", "metrics.json"} <= set(names(tmp_path))
    assert not {"notes.txt", "scan.npz", "metrics.json"} & set(names(put_away(tmp_path)))


def test_a_file_of_unknown_origin_is_put_aside_before_it_would_be_overwritten(tmp_path):
    (tmp_path / "reconstruction.npz").write_text("a scan of that name")
    finished(tmp_path, overwrite=True)
    place = put_away(tmp_path)
    assert place.name.endswith("-unknown")
    assert contents(place) == {Path("reconstruction.npz"): b"a scan of that name"}


def test_overwrite_replaces_the_run_and_nothing_else(tmp_path):
    finished(tmp_path, "train")
    (tmp_path / "checkpoints").mkdir()
    finished(tmp_path, "train")  # its record lists no checkpoints
    shutil.rmtree(tmp_path / "earlier")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "mine").write_text("mine")
    (tmp_path / "notes.txt").write_text("mine")
    finished(tmp_path, "train", overwrite=True)
    assert names(tmp_path) == [
        "earlier", "model.safetensors", "notes.txt", "run.json", "settings_used.yaml",
    ]  # fmt: skip
    assert contents(put_away(tmp_path)) == {Path("checkpoints/mine"): b"mine"}


def test_overwrite_leaves_no_trace_of_the_earlier_run(tmp_path):
    first = read_run(finished(tmp_path, results={"sweeps": 1})).id
    finished(tmp_path, overwrite=True)
    assert not (tmp_path / "earlier").exists()
    assert read_run(tmp_path).id != first


def test_overwrite_that_fails_keeps_the_earlier_run(tmp_path):
    first = read_run(finished(tmp_path)).id
    with pytest.raises(ZeroDivisionError):
        broken_off(ZeroDivisionError(), begun(tmp_path, overwrite=True))
    assert read_run(put_away(tmp_path)).id == first


def test_a_refused_run_leaves_the_folder_as_it_was(tmp_path):
    folder = finished(tmp_path / "out", "train")
    before, listed = contents(folder), names(folder)
    for overwrite in (False, True):
        with pytest.raises(DataError):
            broken_off(DataError("3 positions"), begun(folder, "train", overwrite=overwrite))
    assert (contents(folder), names(folder)) == (before, listed)


def test_a_refused_run_into_a_new_folder_leaves_none(tmp_path):
    with pytest.raises(DataError):
        broken_off(DataError("3 positions"), begun(tmp_path / "deep" / "new"))
    assert not (tmp_path / "deep").exists()


def test_a_refused_run_that_has_written_results_is_a_failed_one(tmp_path):
    problem = DataError("frame 7 holds nan")
    with pytest.raises(DataError):
        broken_off(problem, begun(tmp_path, "train"), noted)
    found = read_run(tmp_path)
    assert (found.state, found.record.error) == ("failed", "frame 7 holds nan")


def test_a_move_that_broke_off_is_completed_by_the_next_run(tmp_path):
    """A kill in the middle of the move leaves the record, which is moved last."""
    first = read_run(finished(tmp_path, "train"))
    before = contents(tmp_path)
    place = tmp_path / "earlier" / f"{first.record.begin:%Y%m%dT%H%M%S}-{first.id}"
    place.mkdir(parents=True)
    (tmp_path / "model.safetensors").rename(place / "model.safetensors")
    finished(tmp_path, "train")
    assert contents(put_away(tmp_path)) == before


def test_a_folder_of_0_1_is_put_aside_too(tmp_path):
    shutil.copytree(LEGACY / "model", tmp_path / "model")
    before = contents(tmp_path / "model")
    finished(tmp_path / "model", "train")
    place = put_away(tmp_path / "model")
    assert contents(place) == before
    assert read_run(place).kind == "train"


def test_a_damaged_record_is_put_aside_with_what_the_new_run_writes(tmp_path):
    finished(tmp_path)
    (tmp_path / "run.json").write_text("{")
    finished(tmp_path)
    assert {"run.json", "reconstruction.npz"} <= set(names(put_away(tmp_path)))
    assert read_run(tmp_path).finished


def test_a_record_names_no_file_outside_its_folder(tmp_path):
    (tmp_path / "treasure").write_text("mine")
    folder = finished(tmp_path / "out")
    found = json.loads((folder / "run.json").read_text())
    listed = [*found["files"], "../treasure", str(tmp_path / "treasure")]
    (folder / "run.json").write_text(json.dumps(found | {"files": listed}))
    finished(folder, overwrite=True)
    assert (tmp_path / "treasure").read_text() == "mine"
    assert put_aside(tmp_path, "groups") is None


@pytest.mark.parametrize("name", ["reconstruction.npz", "logs/scan.npz", "."])
def test_an_input_that_would_be_overwritten_is_refused(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    if name != ".":
        path.write_text("the scan")
    kind = "train" if name.startswith("logs") else "reconstruct"
    before = contents(tmp_path)
    inputs = [("model_path", tmp_path.parent / "model"), ("test_data", path)]
    with pytest.raises(ConfigError, match="is test_data itself, which this run would overwrite"):
        finished(tmp_path, kind, inputs=inputs)
    assert contents(tmp_path) == before


def test_an_input_beside_the_results_is_fine(tmp_path):
    (tmp_path / "scan.npz").write_text("the scan")
    with begun(tmp_path, inputs=[("test_data", tmp_path / "scan.npz")]):
        pass
    assert read_run(tmp_path).finished
