"""Archives: aligned, mapped, complete or not there."""

import os

import numpy as np
import pytest
from written_scan import lazy

from ptycho.errors import DataError
from ptycho.io import LazyFrames, fields, npz
from ptycho.io.npz import NpzFile, open_npz, write_npz

ARRAYS = {"small": np.arange(5), "wide": np.ones((3, 7), np.complex64), "word": np.array("text")}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "arrays.npz"


def test_what_is_written_is_read_by_us_and_by_plain_numpy(path):
    write_npz(path, ARRAYS)
    ours = NpzFile(path)
    assert list(ours) == list(ARRAYS)
    assert len(ours) == 3
    with np.load(path) as plain:
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(ours[name], array)
            np.testing.assert_array_equal(ours.read(name), array)
            np.testing.assert_array_equal(plain[name], array)


@pytest.mark.parametrize("large_from", [2**30, 1])
def test_members_are_mapped_at_multiples_of_64_bytes(path, monkeypatch, large_from):
    monkeypatch.setattr(npz, "_LARGE_FROM", large_from)
    write_npz(path, ARRAYS)
    for name in ("small", "wide"):
        mapped = NpzFile(path)[name]
        assert isinstance(mapped, np.memmap)
        assert mapped.offset % 64 == 0


@pytest.mark.parametrize("kind", ["u2", ">u2", "f4", "f2", "?"])
@pytest.mark.parametrize("large_from", [2**30, 1])
def test_frames_still_in_their_file_are_written_as_their_array_some_at_a_time(
    tmp_path, monkeypatch, kind, large_from
):
    monkeypatch.setattr(npz, "_LARGE_FROM", large_from)
    monkeypatch.setattr(fields, "_BLOCK_BYTES", 3 * 35 * np.dtype(kind).itemsize)
    stack = np.random.default_rng(0).integers(0, 300, (7, 5, 7)).astype(kind)
    frames, calls = lazy(stack)
    write_npz(tmp_path / "lazy.npz", {"word": np.array("text"), "frames": frames, "more": stack})
    write_npz(tmp_path / "array.npz", {"word": np.array("text"), "frames": stack, "more": stack})
    assert calls == [3, 3, 1]
    assert (tmp_path / "lazy.npz").read_bytes() == (tmp_path / "array.npz").read_bytes()
    with np.load(tmp_path / "lazy.npz") as plain:
        np.testing.assert_array_equal(plain["frames"], stack)


def test_frames_that_cannot_be_read_leave_the_old_file_and_no_other(path):
    write_npz(path, ARRAYS)
    before = path.read_bytes()

    def read(numbers):
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="disk is gone"):
        write_npz(path, {"frames": LazyFrames((3, 4, 4), "u2", read)})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_columns_first_stays_columns_first(path):
    array = np.asfortranarray(np.random.default_rng(0).random((4, 3)))
    write_npz(path, {"array": array})
    np.testing.assert_array_equal(NpzFile(path)["array"], array)
    assert NpzFile(path)["array"].flags.f_contiguous


def test_objects_are_neither_written_nor_read(path):
    with pytest.raises(ValueError, match="holds Python objects"):
        write_npz(path, {"objects": np.array([None])})
    np.savez(path, objects=np.array([None]))
    with pytest.raises(ValueError, match="Object arrays"):
        NpzFile(path)["objects"]


def test_a_write_that_fails_leaves_the_old_file_and_no_other(path, monkeypatch):
    write_npz(path, ARRAYS)
    before = path.read_bytes()

    def fail(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        write_npz(path, {"other": np.zeros(3)})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half a file", b"no archive at all"])
def test_a_damaged_archive_is_one_line(path, content):
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"arrays\.npz: cannot be opened \(.*\); expected an \.npz"):
        open_npz(path)


def test_a_missing_entry_lists_those_found(path):
    write_npz(path, ARRAYS)
    with pytest.raises(
        DataError, match=r"no entry obj among .* \(small, wide, word\); expected so"
    ):
        open_npz(path).entry("obj", expected="something else")
    with pytest.raises(DataError, match=r"no such file; expected a mask"):
        open_npz(path.parent / "gone.npz", expected="a mask")
    with pytest.raises(DataError, match=r"a folder; expected a scan file"):
        open_npz(path.parent)
