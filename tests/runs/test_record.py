"""The record of a run: written from begin to end, whatever ends it, and read back as it was."""

import json
import logging
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from recorded import SETTINGS, begun, broken_off, finished, names, noted

from ptycho.errors import ConfigError, DataError
from ptycho.runs import add_to, data_entry, read_run
from ptycho.runs.schema import new_record, read_record

log = logging.getLogger("ptycho.somewhere")


def document(folder):
    return json.loads((folder / "run.json").read_text())


def test_a_finished_run_is_read_back_as_it_was(tmp_path):
    scan = tmp_path / "scan.npz"
    scan.write_bytes(b"abc")
    folder = tmp_path / "deep" / "out"
    entry = data_entry("test_data", scan, {"n_frames": 9, "pixel_size_m": float("nan")})
    with begun(folder, data=[entry]) as run:
        during = read_run(folder)
        with run.stage("sweeps"):
            log.warning("odd pixels")
            log.warning("odd pixels")
        (folder / "metrics.json").write_text("{}")
        run.finish({"detector_residual": 0.5, "lost": float("inf")})
    found = read_run(folder)
    assert (during.kind, during.state, during.finished) == ("reconstruct", "running", False)
    assert (found.kind, found.state, found.finished) == ("reconstruct", "finished", True)
    assert found.id == during.id == run.record.id
    assert found.settings == SETTINGS
    assert found.scan["sha256"].startswith("ba7816bf")
    assert (found.scan["bytes"], found.scan["n_frames"], found.scan["pixel_size_m"]) == (3, 9, None)
    assert found.results == {"detector_residual": 0.5, "lost": None}
    assert found.warnings == ("odd pixels",)
    assert set(found.record.stages) == {"sweeps"}
    assert {"ptycho", "python", "numpy", "torch"} <= set(found.record.versions)
    assert found.times[0] <= found.times[1]
    assert found.record.files == ("metrics.json", "settings_used.yaml", "run.log", "run.json")
    assert names(folder) == ["metrics.json", "run.json", "run.log", "settings_used.yaml"]


def test_the_document_states_its_schema(tmp_path):
    found = document(finished(tmp_path / "out"))
    assert found["schema_version"] == 1
    assert set(found) == {
        "schema_version", "kind", "id", "state", "settings", "data", "versions", "times",
        "warnings", "error", "results", "files", "additions", "process",
    }  # fmt: skip
    assert set(found["times"]) == {"begin", "end", "stages"}


def test_a_block_that_ends_is_a_finished_run(tmp_path):
    with begun(tmp_path / "out"):
        pass
    assert read_run(tmp_path / "out").state == "finished"


def test_what_is_written_after_the_end_is_listed_too(tmp_path):
    with begun(tmp_path) as run:
        run.finish({"sweeps": 3})
        (tmp_path / "report.html").write_text("")
    assert read_record(tmp_path).files[-1:] == ("run.json",)
    assert "report.html" in read_record(tmp_path).files
    assert read_record(tmp_path).results == {"sweeps": 3}


def test_settings_are_kept_for_the_command_line(tmp_path):
    import yaml

    finished(tmp_path / "out")
    text = (tmp_path / "out" / "settings_used.yaml").read_text()
    assert yaml.safe_load(text) == SETTINGS
    assert list(yaml.safe_load(text)) == list(SETTINGS)


@pytest.mark.parametrize("line", ["", "# Every setting of this run (evaluate, ptycho 7.7)\n"])
def test_no_comment_decides_what_a_run_was(tmp_path, line):
    path = finished(tmp_path / "out") / "settings_used.yaml"
    path.write_text(line + "anything: else\n")
    run = read_run(tmp_path / "out")
    assert (run.kind, run.settings) == ("reconstruct", SETTINGS)
    assert run.version == document(tmp_path / "out")["versions"]["ptycho"] != "7.7"


@pytest.mark.parametrize(
    ("problem", "state", "error"),
    [
        (ZeroDivisionError("by\n zero"), "failed", "ZeroDivisionError: by zero"),
        (DataError("frame 3 holds nan"), "failed", "frame 3 holds nan"),
        (KeyboardInterrupt(), "interrupted", None),
        (SystemExit(3), "failed", "SystemExit: 3"),
    ],
)
def test_what_ends_a_run_early_is_recorded(tmp_path, problem, state, error):
    with pytest.raises(type(problem)):
        broken_off(problem, begun(tmp_path, "train"), noted)
    found = read_record(tmp_path)
    assert (found.state, found.error) == (state, error)
    assert found.end is not None


def test_ctrl_c_that_became_an_exit_is_an_interrupt(tmp_path):
    leaving = SystemExit(1)
    leaving.__context__ = KeyboardInterrupt()
    with pytest.raises(SystemExit):
        broken_off(leaving, begun(tmp_path))
    assert read_record(tmp_path).state == "interrupted"


def test_a_finished_run_stays_finished_whatever_follows(tmp_path):
    with pytest.raises(ZeroDivisionError):
        broken_off(ZeroDivisionError(), begun(tmp_path), lambda run: run.finish({"sweeps": 3}))
    assert (read_record(tmp_path).state, read_record(tmp_path).results) == (
        "finished", {"sweeps": 3},
    )  # fmt: skip


KILLED = """
import os, signal, sys
from pathlib import Path
from ptycho.runs import begin
with begin(Path(sys.argv[1]), kind="train", settings={}) as run:
    run.note({"epoch": 1, "train_loss": 0.5})
    (Path(sys.argv[1]) / ".metrics.json.1a2b3c4d.part").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_run_is_interrupted_and_leaves_the_folder_usable(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert document(tmp_path)["state"] == "running"
    killed = read_run(tmp_path)
    assert (killed.state, killed.finished, len(killed.epochs)) == ("interrupted", False, 1)
    finished(tmp_path, "train")
    assert read_run(tmp_path).finished
    assert not list(tmp_path.glob("*.part"))
    assert read_run(next((tmp_path / "earlier").iterdir())).id == killed.id


def test_a_run_of_another_machine_is_taken_at_its_word(tmp_path):
    finished(tmp_path)
    found = document(tmp_path) | {"state": "running", "process": {"host": "elsewhere", "pid": 1}}
    (tmp_path / "run.json").write_text(json.dumps(found))
    assert read_run(tmp_path).state == "running"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("{", "no JSON"),
        ("[1]", "holds a list; expected the record of a run"),
        ({"schema_version": 99}, "schema_version 99; expected 1"),
        ({"kind": "dance"}, "kind 'dance', state 'finished'; expected one of train"),
        ({"state": ["running"]}, "state \\['running'\\]"),
        ({"settings": 3}, "settings is a int; expected a dict"),
        ({"times": None}, "expected the record of a run"),
        ({"times": {"begin": "soon", "end": None}}, "expected the record of a run"),
    ],
)
def test_a_damaged_record_is_named_in_one_line(tmp_path, change, message):
    finished(tmp_path)
    text = change if isinstance(change, str) else json.dumps(document(tmp_path) | change)
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_run(tmp_path)
    assert str(tmp_path / "run.json") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_later_fields_are_passed_over(tmp_path):
    finished(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps(document(tmp_path) | {"mood": "good"}))
    assert read_run(tmp_path).finished


def test_the_log_has_the_lines_of_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(logging.getLogger("ptycho"), "level", logging.INFO)
    with begun(tmp_path):
        log.info("reading")
        log.warning("dark frames")
    log.info("after the end")
    lines = read_run(tmp_path).log
    assert [line.split(maxsplit=3)[2:] for line in lines] == [
        ["INFO", "reading"], ["WARNING", "dark frames"],
    ]  # fmt: skip
    assert logging.getLogger("ptycho").handlers == []


# Evaluations written into the folder of a reconstruction


def test_an_addition_is_part_of_the_record_of_its_run(tmp_path):
    folder = finished(tmp_path / "out", results={"detector_residual": 0.5})
    before = read_run(folder)
    with add_to(folder, kind="evaluate", settings={"truth": "scan.npz"}) as addition:
        log.warning("other pixels")
        (folder / "metrics.json").write_text("{}")
        addition.finish({"phase_psnr_db": 30.0})
    run = read_run(folder)
    assert (run.id, run.kind, run.settings) == (before.id, "reconstruct", SETTINGS)
    assert run.results == {"detector_residual": 0.5, "phase_psnr_db": 30.0}
    assert run.warnings == ("other pixels",)
    assert "metrics.json" in run.record.files
    (part,) = run.record.additions
    assert (part["kind"], part["state"], part["settings"]) == (
        "evaluate", "finished", {"truth": "scan.npz"},
    )  # fmt: skip
    assert not (folder / "earlier").exists()


def test_a_refused_addition_changes_nothing(tmp_path):
    folder = finished(tmp_path / "out")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    addition = add_to(folder, kind="evaluate", settings={})
    with pytest.raises(DataError):
        broken_off(DataError("no truth"), addition, lambda run: log.warning("other pixels"))
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_where_there_is_no_run_an_addition_is_one(tmp_path):
    (tmp_path / "reconstruction.npz").write_text("from elsewhere")
    with add_to(tmp_path, kind="evaluate", settings={"truth": "a"}) as run:
        run.finish({})
    found = read_record(tmp_path)
    assert (found.kind, found.state, found.settings) == ("evaluate", "finished", {"truth": "a"})
    assert names(tmp_path) == ["reconstruction.npz", "run.json", "settings_used.yaml"]


def test_a_record_needs_no_settings_class(tmp_path):
    """What is written depends on the names of settings alone, so classes may be renamed."""
    text = json.dumps(replace(new_record("train", SETTINGS), begin=None).document())
    assert "Config" not in text
    with pytest.raises(ConfigError), begun(tmp_path, inputs=[("model_path", tmp_path)]):
        pass
