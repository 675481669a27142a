"""TIFF stacks and folders."""

import pickle

import numpy as np
import pytest
import tifffile
from stored_frames import check_frames, counts

from ptycho.errors import DataError
from ptycho.io.formats import recognise
from ptycho.io.readers.tiff import read, read_folder


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_pages_are_frames(tmp_path, compression, order):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, counts(6, 8, 10), compression=compression, byteorder=order, photometric="minisblack"
    )
    assert recognise(path) == "TIFF"
    found = read(path)
    check_frames(found, counts(6, 8, 10))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(found.frames))[2], counts(6, 8, 10)[2])


def test_one_page_is_one_frame_and_two_leading_axes_a_raster(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, counts()[0])
    assert read(path).frames.shape == (1, 8, 8)
    tifffile.imwrite(path, counts().reshape(2, 3, 8, 8), photometric="minisblack")
    check_frames(read(path), counts())
    assert read(path).raster == (2, 3)


def test_pages_written_one_by_one(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        for frame in counts():
            file.write(frame, contiguous=False)
    check_frames(read(path), counts())


def test_a_folder_is_read_in_natural_order(tmp_path):
    for i, frame in enumerate(counts(12)):
        tifffile.imwrite(tmp_path / f"f{i}.tif", frame)
    (tmp_path / "notes.txt").write_text("x")
    assert recognise(tmp_path) == "folder of TIFF files"
    found = read_folder(tmp_path)
    check_frames(found, counts(12))
    tifffile.imwrite(tmp_path / "f7.tif", np.zeros((4, 4), "u2"))
    with pytest.raises(DataError, match=r"f7\.tif: frame of shape \(4, 4\); expected \(8, 8\)"):
        found.frames[:]
    tifffile.imwrite(tmp_path / "f0.tif", counts(), photometric="minisblack")
    with pytest.raises(DataError, match="expected one frame per file"):
        read_folder(tmp_path)


def test_bad_files_are_one_line(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((8, 8, 3), "u1"), photometric="rgb")
    with pytest.raises(DataError, match="3 values per pixel"):
        read(path)
    tifffile.imwrite(path, counts(), photometric="minisblack")
    whole = path.read_bytes()
    for n in (6, len(whole) // 2):
        path.write_bytes(whole[:n])
        with pytest.raises(DataError, match=r"expected|cut short"):
            read(path)
