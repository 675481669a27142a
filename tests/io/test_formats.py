"""Laws of the table of formats: the same for each row, a row of a test included."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
import toy_format
from small_scan import counts_scan

from ptycho.errors import DataError
from ptycho.io import (
    FORMATS,
    NPZ,
    Container,
    Format,
    Reading,
    Recorded,
    entries_of,
    read_fields,
    recognise,
)
from ptycho.io.formats import write_fields
from ptycho.scan.raw_data import RawData


def write_counts(path, raw):
    with path.open("wb") as file:  # savez adds an ending to a path, not to a file
        np.savez_compressed(
            file, counts=raw.frames, probe=raw.probe,
            position_row=raw.ycoords, position_col=raw.xcoords,
        )  # fmt: skip


def write_ptychopinn(path, raw):
    raw.save(path.with_suffix(".npz"))
    path.with_suffix(".npz").rename(path)


WRITERS = {
    "PtychoPINN NPZ": write_ptychopinn,
    "counts NPZ": write_counts,
    "toy": toy_format.write,
}
"""How a test writes a scan in each format."""


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    """The format of a test, registered by one row."""
    monkeypatch.setitem(FORMATS, "toy", toy_format.ROW)


@pytest.fixture(params=WRITERS)
def name(request):
    return request.param


def written(folder, name, raw, ending=".npz"):
    path = folder / f"scan{ending}"
    WRITERS[name](path, raw)
    return path


def test_every_row_is_tested_here():
    """Formats that a test writes here obey the laws below; the others have tests of their own."""
    for name, row in FORMATS.items():
        reader = row.load()
        module = getattr(reader, "func", reader).__module__.split(".")[-1]
        own = Path(__file__).parent / "readers" / f"test_{module}.py"
        assert name in WRITERS or own.exists(), name


@pytest.mark.parametrize("ending", [".npz", ".h5", ""])
def test_a_file_is_recognised_by_its_content_whatever_its_ending(tmp_path, name, ending):
    assert recognise(written(tmp_path, name, counts_scan(), ending)) == name


def test_each_reader_returns_the_same_scan(tmp_path, name):
    raw = counts_scan()
    back = RawData.from_file(written(tmp_path, name, raw))
    assert back.frames.dtype == raw.frames.dtype
    assert back.measurement == raw.measurement
    for field in ("frames", "xcoords", "ycoords", "xcoords_start", "probe", "scan_index"):
        np.testing.assert_array_equal(getattr(back, field), getattr(raw, field), err_msg=field)
    if back.obj is not None:
        np.testing.assert_array_equal(back.obj, raw.obj)
    assert back.path == tmp_path / "scan.npz"


def test_frames_are_indexed_as_an_array_is(tmp_path, name):
    raw = counts_scan()
    frames = read_fields(written(tmp_path, name, raw))["frames"]
    assert (len(frames), frames.shape, frames.ndim) == (12, raw.frames.shape, 3)
    for which in ([5, 2, 2], slice(3, 9), slice(None, None, -2), np.arange(12) % 3 == 0, 7, -1):
        np.testing.assert_array_equal(frames[which], raw.frames[which])


def test_the_argument_wins_over_what_the_file_states(tmp_path, name):
    path = written(tmp_path, name, counts_scan())
    assert read_fields(path, Reading(measurement="intensity"))["measurement"] == "intensity"


def test_a_truncated_file_is_one_line_that_names_it(tmp_path, name):
    path = written(tmp_path, name, counts_scan())
    content = path.read_bytes()
    for length in range(0, len(content), 397):
        path.write_bytes(content[:length])
        with pytest.raises(DataError) as caught:
            RawData.from_file(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)


def test_a_flipped_byte_is_a_data_error_or_no_error(tmp_path, name):
    path = written(tmp_path, name, counts_scan())
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(content), 60):
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(rng.integers(7))
        path.write_bytes(flipped)
        with contextlib.suppress(DataError):
            RawData.from_file(path)


def test_readers_named_by_their_module_exist():
    for row in FORMATS.values():
        assert callable(row.load())


def test_of_two_fitting_rows_the_more_specific_one_is_taken(tmp_path, monkeypatch):
    entries = frozenset({"xcoords", "ycoords", "diffraction", "measurement"})
    row = Format(
        container=NPZ, signatures=(entries,), reader=lambda path: Recorded(source="special")
    )
    monkeypatch.setitem(FORMATS, "special", row)
    assert recognise(written(tmp_path, "PtychoPINN NPZ", counts_scan())) == "special"


def test_entries_are_listed_where_a_file_has_them(tmp_path):
    assert entries_of(written(tmp_path, "toy", counts_scan())) == frozenset()
    listed = entries_of(written(tmp_path, "counts NPZ", counts_scan()))
    assert listed == {"counts", "position_row", "position_col", "probe"}


def test_a_container_knows_its_first_bytes():
    container = Container(name="two", magic=(b"II*", b"MM\0*"))
    assert container.holds(b"II* and more")
    assert container.holds(b"MM\0*")
    assert not container.holds(b"")


def test_a_missing_file_and_a_folder_are_reported_with_the_known_formats(tmp_path):
    with pytest.raises(DataError, match=r"gone\.npz: no such file; expected a scan file: NPZ, "):
        read_fields(tmp_path / "gone.npz")
    with pytest.raises(DataError, match="a folder; expected a scan file"):
        read_fields(tmp_path)


def test_unknown_first_bytes_and_unknown_entries_list_what_is_known(tmp_path):
    foreign = tmp_path / "scan.npz"
    foreign.write_bytes(b"II* a picture")
    with pytest.raises(DataError, match=r"unknown .* \(begins with b'II\* a pi'\); expected a sc"):
        read_fields(foreign)
    path = tmp_path / "other.npz"
    np.savez(path, pixels=np.zeros(3), where=np.zeros(3))
    with pytest.raises(DataError, match=r"entries pixels, where fit no known format; expected"):
        read_fields(path)


def test_a_missing_entry_is_named_with_the_nearest_format(tmp_path):
    path = tmp_path / "scan.npz"
    np.savez(path, counts=np.zeros(1), position_row=np.zeros(1), probe=np.zeros(1))
    with pytest.raises(DataError, match=r"no entry position_col .* expected it in a counts NPZ"):
        read_fields(path)


def test_scans_are_written_as_npz_only():
    with pytest.raises(DataError, match=r"scan\.h5: .*expected a name that ends in \.npz"):
        write_fields(Path("scan.h5"), vars(counts_scan()))
