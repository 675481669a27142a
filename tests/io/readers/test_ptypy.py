"""Scans and reconstructions of ptypy."""

import numpy as np
import pytest
from hdf5_file import COUNTS, DISTANCE_M, PIXEL_M, ROW_COL_M, WAVELENGTH_M, M, N, h5py, write

from ptycho.errors import DataError
from ptycho.io import Reading, read_fields, recognise
from ptycho.io.readers.ptypy import read_result, read_scan

FIRST = 2  # frames in the first chunk
SCAN = {
    "chunks/0/data": COUNTS[:FIRST].astype(np.int32),
    "chunks/0/indices": np.arange(FIRST),
    "chunks/0/positions": ROW_COL_M[:FIRST],
    "chunks/10/data": COUNTS[FIRST:].astype(np.int32),
    "chunks/10/indices": np.arange(FIRST, M),
    "chunks/10/positions": ROW_COL_M[FIRST:],
    "meta/energy": 8.0,
    "meta/distance": DISTANCE_M,
    "meta/psize": [PIXEL_M, PIXEL_M],
    "meta/center": [N / 2, N / 2],
}


def test_chunks_are_one_stack_in_numerical_order(tmp_path):
    empty = {"chunks/9/data": np.zeros((0, N, N), np.int32)}
    path = write(tmp_path / "scan.ptyd", SCAN | empty)
    found = read_scan(path)
    assert recognise(path) == "ptypy scan"
    np.testing.assert_array_equal(found.frames[[4, 0, 2, 1]], COUNTS[[4, 0, 2, 1]])
    np.testing.assert_array_equal(found.positions, ROW_COL_M)
    assert found.positions[1].tolist() == [1e-7, 2e-7]
    np.testing.assert_allclose(found.geometry.wavelength_m, WAVELENGTH_M, rtol=1e-9)
    assert (found.geometry.distance_m, found.geometry.detector_pixel_m) == (DISTANCE_M, PIXEL_M)
    assert found.mask is None
    assert not found.notes


def test_pixels_without_weight_in_a_frame_are_bad(tmp_path):
    weights = np.ones((M - FIRST, N, N), np.float32)
    weights[:, 1, 2] = 0
    weights[0, 3, 3] = 0
    extra = {"chunks/0/weights": np.zeros(0), "chunks/10/weights": weights}
    found = read_scan(write(tmp_path / "scan.ptyd", SCAN | extra))
    assert np.argwhere(~found.mask).tolist() == [[1, 2], [3, 3]]
    assert "1 pixels are valid in some frames only" in found.notes[0]


def test_one_weight_for_all_frames(tmp_path):
    weights = np.ones((N, N))
    weights[0, 1] = 0
    found = read_scan(write(tmp_path / "scan.ptyd", SCAN | {"chunks/0/weights": weights}))
    assert np.argwhere(~found.mask).tolist() == [[0, 1]]


def test_positions_of_the_whole_scan_are_found_by_index(tmp_path):
    order = np.array([3, 1, 4, 0, 2])
    entries = {k: v for k, v in SCAN.items() if "positions" not in k} | {
        "chunks/0/indices": order[:FIRST], "chunks/10/indices": order[FIRST:],
        "info/positions_scan": ROW_COL_M,
    }  # fmt: skip
    found = read_scan(write(tmp_path / "scan.ptyd", entries))
    np.testing.assert_array_equal(found.positions, ROW_COL_M[order])


def test_the_detector_pixel_is_that_of_the_binned_frames(tmp_path):
    for meta in (PIXEL_M, 2 * PIXEL_M):  # writers differ
        extra = {"info/psize": PIXEL_M, "info/rebin": 2, "meta/psize": meta}
        found = read_scan(write(tmp_path / "scan.ptyd", SCAN | extra))
        assert found.geometry.detector_pixel_m == 2 * PIXEL_M


def test_none_and_pickles_are_not_read(tmp_path):
    extra = {
        "meta/distance": np.zeros(1), "meta/distance@type": "None",
        "meta/energy": np.void(b"pickle"), "meta/energy@type": "pickle",
    }  # fmt: skip
    found = read_scan(write(tmp_path / "scan.ptyd", SCAN | extra))
    assert found.geometry.distance_m is None
    assert found.geometry.wavelength_m is None


@pytest.mark.parametrize(("center", "corner", "noted"), [((0, 0), True, 0), ((1, 2), False, 1)])
def test_another_centre_is_shifted_or_reported(tmp_path, center, corner, noted):
    found = read_scan(write(tmp_path / "scan.ptyd", SCAN | {"meta/center": center}))
    assert found.corner is corner
    assert len(found.notes) == noted


def test_a_chunk_in_another_file_is_read_there(tmp_path):
    write(tmp_path / "part.h5", {"chunks/0/data": COUNTS[:FIRST].astype(np.int32)})
    linked = {"chunks/0/data": h5py.ExternalLink("part.h5", "/chunks/0/data")}
    linked = {k: v for k, v in SCAN.items() if k != "chunks/0/data"} | linked
    found = read_scan(write(tmp_path / "scan.ptyd", linked))
    np.testing.assert_array_equal(found.frames[:], COUNTS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chunks/0/positions": ROW_COL_M}, "5 positions for 2 frames in chunks/0"),
        ({"chunks/0/data": np.zeros((2, 3, 3), np.int32)}, "parts with frames .* expected frames"),
        ({"chunks/0/weights": np.ones((3, 3))}, "chunks/0/weights has shape"),
    ],
)
def test_unusable_chunks_are_named(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        read_scan(write(tmp_path / "scan.ptyd", SCAN | changes))


def test_a_scan_without_frames_is_refused(tmp_path):
    with pytest.raises(DataError, match="chunks without frames"):
        read_scan(write(tmp_path / "scan.ptyd", {"chunks/0/indices": [0], "meta/energy": 8.0}))


OBJECT = np.random.default_rng(1).standard_normal((1, 8, 10)).astype(np.complex64)
RESULT = {
    "content/probe/S00/data": np.ones((2, N, N), np.complex64),
    "content/obj/S00/data": OBJECT,
    "content/obj/S00/_psize": [1e-8, 1e-8],
    "content/obj/S00/_origin": [-4e-8, -5e-8],
    "content/obj/S00/_energy": 8.0,
    "content/positions/S00": ROW_COL_M,
}


def test_a_reconstruction_gives_probe_object_and_positions(tmp_path):
    path = write(tmp_path / "recon.ptyr", RESULT)
    frames = write(tmp_path / "frames.cxi", {"cxi_version": 160, "entry_1/data_1/data": COUNTS})
    found = read_result(path)
    assert recognise(path) == "ptypy reconstruction"
    assert found.probe.shape == (2, N, N)
    np.testing.assert_allclose(found.obj_centre, (4, 5))
    fields = read_fields(frames, Reading(join=(path,)))
    # Frame 1 at (0.1, 0.2) um is (10, 20) pixels from index (4, 5).
    np.testing.assert_allclose((fields["ycoords"][1], fields["xcoords"][1]), (14, 25))
    np.testing.assert_array_equal(fields["obj"], OBJECT[0])


def test_a_reconstruction_without_positions_or_with_pickled_ones(tmp_path):
    entries = {k: v for k, v in RESULT.items() if "positions" not in k}
    assert read_result(write(tmp_path / "recon.ptyr", entries)).positions is None
    pickled = {"content/positions/S00": np.void(b"x"), "content/positions/S00@type": "pickle"}
    assert read_result(write(tmp_path / "recon.ptyr", entries | pickled)).positions is None
