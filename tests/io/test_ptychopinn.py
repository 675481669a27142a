"""PtychoPINN NPZ: every variant of the file, every fault in one line, and what is written."""

import json
import logging

import numpy as np
import pytest
from npz_scan import AMPLITUDE, COUNTS, PROBE, M, N, X, Y, scan, written
from scan_shapes import raster

from ptycho.errors import DataError
from ptycho.scan.raw_data import RawData


@pytest.fixture
def path(tmp_path):
    return tmp_path / "scan.npz"


@pytest.fixture(autouse=True)
def log(caplog):
    caplog.set_level(logging.INFO)
    return caplog


# What a file may look like


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_plain_file_is_read(path, save):
    raw = RawData.from_file(written(path, save))
    np.testing.assert_array_equal(raw.frames, COUNTS)
    assert (raw.n_frames, raw.frame_size, raw.measurement) == (M, N, "counts")
    np.testing.assert_array_equal(raw.positions, np.stack([Y, X], axis=1))
    np.testing.assert_array_equal(raw.xcoords_start, X)
    assert raw.probe.shape == (1, N, N)
    assert raw.probe.dtype == np.complex64
    assert raw.obj is None
    assert raw.scan_index.tolist() == [0] * M
    assert raw.path == path
    assert raw.pixel_size_m is None


def test_frames_stored_plainly_stay_in_the_file(path):
    assert isinstance(RawData.from_file(written(path)).frames, np.memmap)
    compressed = RawData.from_file(written(path, np.savez_compressed))
    assert not isinstance(compressed.frames, np.memmap)


@pytest.mark.parametrize(
    "stack",
    [np.moveaxis(COUNTS, 0, -1), COUNTS[..., None], np.asfortranarray(COUNTS)],
    ids=["frames last", "axis of one", "columns first"],
)
def test_layouts_of_the_frames(path, stack):
    np.testing.assert_array_equal(
        RawData.from_file(written(path, diffraction=stack)).frames, COUNTS
    )


def test_as_many_frames_as_pixels_are_taken_as_they_lie(path):
    cube = np.random.default_rng(1).poisson(9, (N, N, N))
    x, y = raster(2, 4)
    raw = RawData.from_file(written(path, diffraction=cube, xcoords=x, ycoords=y))
    np.testing.assert_array_equal(raw.frames, cube)


@pytest.mark.parametrize(
    ("probe", "modes"),
    [
        (PROBE[None], 1),
        (PROBE[..., None], 1),
        (np.stack([PROBE, 2 * PROBE]), 2),
        (np.stack([PROBE, 2 * PROBE], axis=-1), 2),
        (np.stack([PROBE, 2 * PROBE])[None, None], 2),
        (PROBE.real, 1),
    ],
)
def test_layouts_of_the_probe(path, probe, modes):
    raw = RawData.from_file(written(path, probeGuess=probe))
    assert raw.probe.shape == (modes, N, N)
    np.testing.assert_array_equal(raw.probe[-1].real, modes * PROBE.real)


def test_small_arrays_can_be_written_to_even_from_a_mapped_file(path):
    raw = RawData.from_file(written(path, objectGuess=np.eye(30) + 0j))
    for array in (raw.probe, raw.obj, raw.xcoords, raw.scan_index):
        assert array.flags.writeable


@pytest.mark.parametrize("obj", [np.ones((30, 30), complex), np.zeros((5, 5)), np.array(1.0)])
def test_a_constant_object_stands_for_none(path, obj):
    assert RawData.from_file(written(path, objectGuess=obj)).obj is None


def test_true_patches_are_kept_when_there_is_one_per_frame(path, log):
    patches = np.random.default_rng(0).random((M, N, N)) + 0j
    np.testing.assert_array_equal(RawData.from_file(written(path, Y=patches)).patches, patches)
    assert RawData.from_file(written(path, Y=patches[:5])).patches is None
    assert "Y has shape (5, 8, 8), not one patch per frame" in log.text


def test_metadata_is_read_as_text_and_never_unpickled(path, log):
    raw = RawData.from_file(written(path, _metadata=np.array(json.dumps({"nphotons": 1e9}))))
    assert raw.metadata == {"nphotons": 1e9}
    pickled = np.array(json.dumps({"nphotons": 1e9}), dtype=object)
    assert RawData.from_file(written(path, _metadata=pickled)).metadata == {}
    assert "_metadata is no plain JSON text" in log.text
    assert RawData.from_file(written(path, _metadata=np.array("{broken"))).metadata == {}


def test_the_same_frames_twice_are_taken_once_and_different_ones_refused(path):
    frames = AMPLITUDE
    raw = RawData.from_file(written(path, diffraction=frames, diff3d=frames))
    np.testing.assert_array_equal(raw.frames, frames)
    with pytest.raises(DataError, match=r"diff3d \(12, 8, 8\) and diffraction \(12, 8, 8\) differ"):
        RawData.from_file(written(path, diffraction=frames, diff3d=frames + 1))


# What the frames mean


@pytest.mark.parametrize(
    ("key", "frames", "expected"),
    [
        ("diffraction", COUNTS, "counts"),
        ("diff3d", COUNTS, "counts"),
        ("diff3d", AMPLITUDE, "amplitude"),
        ("diff3d", COUNTS.astype(np.float32), "counts"),
        ("diffraction", COUNTS.astype(np.float64), "counts"),
        ("diffraction", np.sqrt(COUNTS.astype(np.float32)), "amplitude"),
        ("diffraction", COUNTS > 20, None),
        ("diffraction", AMPLITUDE, None),
        ("diffraction", AMPLITUDE / 100, None),
    ],
)
def test_what_frames_are_is_inferred_only_where_one_reading_is_possible(
    path, log, key, frames, expected
):
    file = written(path, **({"diffraction": None} | {key: frames}))
    if expected is None:
        with pytest.raises(DataError, match=r"may hold intensity or amplitude; .* --measurement"):
            RawData.from_file(file)
        assert RawData.from_file(file, measurement="intensity").measurement == "intensity"
    else:
        assert RawData.from_file(file).measurement == expected
        assert f"{key} read as {expected}" in log.text


def test_the_argument_wins_over_the_file_and_the_file_over_a_guess(path):
    file = written(path, measurement=np.array("intensity"))
    assert RawData.from_file(file).measurement == "intensity"
    assert RawData.from_file(file, measurement="amplitude").measurement == "amplitude"
    with pytest.raises(DataError, match=r"measurement is 'volts'; expected one of counts, int"):
        RawData.from_file(written(path, measurement=np.array("volts")))


# Faults


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"xcoords": None},
            r"no entry xcoords among those found \(diffraction, probeGuess, ycoords\); expe",
        ),
        ({"diffraction": None}, r"no entry diff3d or diffraction among those found \(probeG"),
        ({"ycoords": Y[:-1]}, r"ycoords holds 11 positions and xcoords 12"),
        ({"diffraction": COUNTS[:-1]}, r"12 positions for 11 diffraction frames; expected one pos"),
        (
            {"xcoords": np.append(X[:-1], np.nan)},
            r"xcoords holds 1 values of 12 that are NaN .* 11",
        ),
        ({"xcoords": np.where(X > 3, np.inf, X)}, r"the first at index 2"),
        ({"xcoords": X.astype(str)}, r"xcoords has shape \(12,\), type <U32"),
        ({"xcoords": X.reshape(3, 4)}, r"xcoords has shape \(3, 4\)"),
        ({"xcoords": np.array([None] * M)}, r"xcoords cannot be read"),
        ({"diffraction": COUNTS[:, :, :6]}, r"frames of shape \(12, 8, 6\); .* square"),
        ({"diffraction": COUNTS[0]}, r"frames of shape \(8, 8\)"),
        ({"diffraction": COUNTS.astype(str)}, r"frames of type <U5; expected real numbers"),
        ({"diffraction": COUNTS + 0j}, r"frames of type complex128"),
        ({"diffraction": COUNTS[:0], "xcoords": X[:0], "ycoords": Y[:0]}, r"at least one"),
        ({"diffraction": np.array(3)}, r"frames of shape \(\)"),
        ({"diffraction": COUNTS.astype(int) - 99}, r"frame 0 holds -\d+ in 64 of 64 pixels"),
        ({"probeGuess": PROBE[:6, :6]}, r"probe of shape \(1, 6, 6\); expected \(8, 8\)"),
        ({"probeGuess": PROBE[0]}, r"probeGuess has shape \(8,\)"),
        ({"probeGuess": 0 * PROBE}, r"probe holds only zeros"),
        ({"probeGuess": np.nan * PROBE}, r"probe holds 64 of 64 values NaN"),
        ({"scan_index": np.zeros(3)}, r"scan_index has shape \(3,\) for 12 diffraction frames"),
        ({"scan_index": X + 0.5}, r"scan_index of type float64; expected whole numbers"),
        ({"objectGuess": np.random.default_rng(0).random((2, 3, 4))}, r"objectGuess has shape"),
        ({"pixel_size_m": X}, r"pixel_size_m has shape \(12,\)"),
    ],
)
def test_a_bad_file_is_one_line_that_names_the_file(path, changes, message):
    with pytest.raises(DataError, match=message) as caught:
        RawData.from_file(written(path, **changes))
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"no such file; expected a scan file"),
        (b"", r"unknown kind of file"),
        (b"PK\x03\x04 but nothing more", r"cannot be opened .* expected an .npz archive"),
    ],
)
def test_no_archive_is_one_line(path, content, message):
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        RawData.from_file(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="a folder"):
        RawData.from_file(path.parent)


# Writing


@pytest.mark.parametrize("measurement", ["counts", "intensity", "amplitude"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_what_is_saved_is_read_back_the_same(path, measurement, dtype):
    rng = np.random.default_rng(0)
    raw = scan(
        frames=COUNTS.astype(dtype),
        measurement=measurement,
        xcoords_start=X + 0.1,
        ycoords_start=Y - 0.2,
        probe=np.stack([PROBE, 0.5j * PROBE]),
        obj=(rng.random((30, 31)) + 0j).astype(np.complex64),
        patches=rng.random((M, N, N)) + 0j,
        scan_index=np.arange(M) // 6,
        pixel_size_m=1.5e-8,
        metadata={"energy_keV": 8.8, "who": "Ångström", "shape": np.array([3, 4])},
    )
    raw.save(path)
    back = RawData.from_file(path)
    for name in ("frames", "xcoords", "ycoords", "xcoords_start", "ycoords_start", "probe", "obj",
                 "patches", "scan_index"):  # fmt: skip
        np.testing.assert_array_equal(getattr(back, name), getattr(raw, name), err_msg=name)
        assert getattr(back, name).dtype == getattr(raw, name).dtype
    assert back.measurement == measurement
    assert back.pixel_size_m == 1.5e-8
    assert back.metadata == {"energy_keV": 8.8, "who": "Ångström", "shape": [3, 4]}
    assert isinstance(back.frames, np.memmap)
    assert back.frames.offset % 64 == 0
    with np.load(path) as plain:  # no pickle needed by anyone
        assert ("diff3d" in plain.files) == (measurement == "amplitude")
        assert {"xcoords", "ycoords", "probeGuess", "objectGuess"} <= set(plain.files)
        assert str(plain["measurement"]) == measurement


def test_a_scan_can_be_saved_over_the_file_it_is_mapped_from(path):
    raw = RawData.from_file(written(path))
    raw.save(path)
    np.testing.assert_array_equal(RawData.from_file(path).frames, COUNTS)


def test_a_save_that_fails_leaves_the_old_file_and_no_other(path, monkeypatch):
    before = written(path).read_bytes()

    def fail(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ptycho.io.npz.os.replace", fail)
    with pytest.raises(DataError, match=r"cannot be written \(No space left on device\)"):
        scan().save(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_saving_makes_the_folder_or_is_one_line(path):
    scan().save(path.parent / "new" / "scan.npz")
    assert (path.parent / "new" / "scan.npz").exists()
    path.write_text("no folder")
    with pytest.raises(
        DataError, match=r"scan\.npz/x\.npz: cannot be written \(.*\); expected a wr"
    ):
        scan().save(path / "x.npz")


def test_large_members_are_aligned_too(path, monkeypatch):
    monkeypatch.setattr("ptycho.io.npz._LARGE_FROM", 100)
    scan().save(path)
    back = RawData.from_file(path)
    assert isinstance(back.frames, np.memmap)
    assert back.frames.offset % 64 == 0
    with np.load(path) as plain:
        np.testing.assert_array_equal(plain["diffraction"], COUNTS)


def test_of_three_equal_axes_the_one_of_the_frames_is_found(path):
    """Frames differ little in their sums; rows and columns of a detector differ much."""
    rng = np.random.default_rng(1)
    row, col = np.mgrid[:N, :N] - N // 2
    frames = rng.poisson(200 * np.exp(-(row**2 + col**2) / 4), (N, N, N)).astype(np.uint16)
    x, y = raster(2, 4)
    for stored in (frames, np.moveaxis(frames, 0, -1)):
        written(path, diffraction=stored, xcoords=x, ycoords=y)
        np.testing.assert_array_equal(RawData.from_file(path).frames, frames)
