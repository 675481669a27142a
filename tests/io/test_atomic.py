"""Files are complete or not there, whatever ends the writer."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest

from ptycho.io.atomic import file_checksum, plain, replacing, write_json, write_text


def test_an_exception_leaves_the_file_as_it_was_and_no_other(tmp_path):
    path = tmp_path / "file"
    write_text(path, "old")

    def broken_off():
        with replacing(path) as temporary:
            temporary.write_text("new, only half of")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken_off()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_kill_while_writing_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "file"
    write_text(path, "old")
    code = (
        "import os, signal, sys; from pathlib import Path; from ptycho.io.atomic import replacing\n"
        "with replacing(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"


def test_what_json_cannot_hold_is_converted(tmp_path):
    values = {
        "nan": float("nan"), "deep": [{"inf": np.float32(np.inf)}], "count": np.int64(3),
        "array": np.array([1.0, np.nan]), "path": tmp_path, "truth": True, "tuple": (1, 2),
    }  # fmt: skip
    write_json(tmp_path / "a.json", values)
    assert json.loads((tmp_path / "a.json").read_text()) == {
        "nan": None, "deep": [{"inf": None}], "count": 3, "array": [1.0, None],
        "path": str(tmp_path), "truth": True, "tuple": [1, 2],
    }  # fmt: skip
    assert plain({1: 2}) == {"1": 2}


def test_the_checksum_is_that_of_sha256sum(tmp_path):
    path = tmp_path / "abc"
    path.write_bytes(b"abc")  # the first example of FIPS 180-2
    assert file_checksum(path) == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
