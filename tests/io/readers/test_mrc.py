"""MRC stacks."""

import sys

import numpy as np
import pytest
from stored_frames import check_frames, counts

from ptycho.errors import DataError
from ptycho.io.formats import recognise
from ptycho.io.readers.mrc import read

mrcfile = pytest.importorskip("mrcfile")


def _write(path, frames):
    with mrcfile.new(path) as file:
        file.set_data(frames)
    return path


@pytest.mark.parametrize("dtype", ["u2", "i2", "f4", "i1"])
def test_frames_of_each_mode(tmp_path, dtype):
    frames = counts(6, 8, 10).astype(dtype)
    path = _write(tmp_path / "a.mrc", frames)
    assert recognise(path) == "MRC"
    check_frames(read(path), frames)


def test_an_extended_header_is_skipped(tmp_path):
    path = tmp_path / "a.mrc"
    with mrcfile.new(path) as file:
        file.set_data(counts())
        file.set_extended_header(np.zeros(100, "V1"))
    check_frames(read(path), counts())


def test_without_mrcfile_the_extra_is_named(tmp_path, monkeypatch):
    path = _write(tmp_path / "a.mrc", counts())
    monkeypatch.setitem(sys.modules, "mrcfile", None)
    with pytest.raises(DataError, match=r"pip install 'ptycho\[em\]'"):
        read(path)


def test_bad_files_are_one_line(tmp_path):
    path = _write(tmp_path / "a.mrc", counts())
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match=r"expected .* for 6 frames"):
        read(path)
    path = _write(tmp_path / "b.mrc", counts().astype("c8"))
    with pytest.raises(DataError, match="expected a stack of real numbers"):
        read(path)
