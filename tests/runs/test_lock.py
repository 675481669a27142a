"""One run at a time in a folder, and a killed one keeps nobody out."""

import errno
import subprocess
import sys

import filelock
import pytest
from recorded import begun, finished

from ptycho.errors import ConfigError
from ptycho.runs import read_run
from ptycho.runs.lock import only_run_in

HOLDING = """
import sys
from pathlib import Path
from ptycho.runs.lock import only_run_in
with only_run_in(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock of a folder until its input is closed."""
    command = [sys.executable, "-c", HOLDING, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_the_second_of_two_runs_refuses_in_one_line(tmp_path, holder):
    with pytest.raises(ConfigError, match="is in use by another run; expected") as caught:
        finished(tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run.json").exists()


def test_a_killed_holder_keeps_nobody_out(tmp_path, holder):
    holder.kill()
    holder.wait()
    with only_run_in(tmp_path):
        pass


def test_one_process_runs_once_in_a_folder_too(tmp_path):
    with begun(tmp_path) as first, pytest.raises(ConfigError, match="in use"):
        finished(tmp_path)
    assert read_run(tmp_path).id == first.record.id
    finished(tmp_path)


def test_nothing_is_left_of_the_lock(tmp_path):
    with only_run_in(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "file").write_text("")
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["file"]
    with only_run_in(tmp_path / "c" / "d"):
        pass
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    "problem", [OSError(errno.ENOLCK, "No locks available"), NotImplementedError("no flock")]
)
def test_a_file_system_without_locks_costs_a_warning(tmp_path, monkeypatch, caplog, problem):
    def refuse(_lock):
        raise problem

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    finished(tmp_path)
    assert "no lock" in caplog.text
    assert read_run(tmp_path).finished


def test_another_refusal_of_the_file_system_is_passed_on(tmp_path, monkeypatch):
    def refuse(_lock):
        raise OSError(errno.EROFS, "Read-only file system", "x")

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    with pytest.raises(OSError, match="Read-only"), only_run_in(tmp_path / "new"):
        pass
    assert not (tmp_path / "new").exists()
