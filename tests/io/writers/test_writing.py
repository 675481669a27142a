"""Writing in general: the choice of a format, what is refused, what is lost, complete files."""

import dataclasses
import logging

import h5py
import numpy as np
import pytest
from written_scan import PIXEL, content, lazy, scan, written

from ptycho.errors import ConfigError, DataError
from ptycho.experiment import Experiment, Geometry
from ptycho.io import fields
from ptycho.io.writers import WRITERS, format_for
from ptycho.io.writers.content import Writer
from ptycho.io.writers.writing import write_content
from ptycho.scan.raw_data import RawData


@pytest.mark.parametrize(
    ("name", "to"),
    [("a.npz", "npz"), ("a.cxi", "cxi"), ("a.h5", "ptychodus"), ("a.HDF5", "ptychodus"),
     ("a.ptyr", "ptyr"), ("a.nxs", "nexus"), ("a.ome.tif", "tiff"), ("a.tiff", "tiff"),
     ("a.mat", "mat")],
)  # fmt: skip
def test_the_ending_names_the_format(tmp_path, name, to):
    assert format_for(tmp_path / name) == to
    assert format_for(tmp_path / name, "ptychi") == "ptychi"


def test_unknown_formats_are_listed(tmp_path):
    with pytest.raises(ConfigError, match=r"output: a.xyz has no known ending; expected npz"):
        format_for(tmp_path / "a.xyz")
    with pytest.raises(ConfigError, match="to: 'xyz'; expected one of npz, cxi, ptychodus"):
        format_for(tmp_path / "a.cxi", "xyz")


def test_a_row_added_is_written(tmp_path):
    def write(content, path):
        path.write_text(content.title)

    WRITERS["words"] = Writer(endings=(".words",), holds=frozenset(), write=write)
    try:
        assert written(tmp_path, "a.words").read_text() == "scan"
    finally:
        del WRITERS["words"]


@pytest.mark.parametrize("to", ["cxi", "nexus", "ptyr", "ptychodus"])
def test_metres_need_a_pixel_size(tmp_path, to):
    unknown = content(pixel_size_m=None, source="scan.npz")
    with pytest.raises(DataError, match=rf"scan.npz: cannot be written as {to}; .*--object_pixel"):
        write_content(unknown, tmp_path / "a", to=to)
    assert list(tmp_path.iterdir()) == []


def test_what_a_format_cannot_hold_is_reported(tmp_path, caplog):
    labels = np.arange(12) // 6
    with caplog.at_level(logging.INFO, logger="ptycho"):
        written(tmp_path, "a.nxs", scan_index=labels, metadata={})
        written(tmp_path, "a.npz", scan_index=labels)
    assert "nexus cannot hold: probe, object, scan_index" in caplog.text
    assert "npz cannot hold" not in caplog.text
    assert "a.npz: written as npz" in caplog.text


def test_an_existing_file_stays_unless_asked(tmp_path):
    product = tmp_path / "a_diffraction.h5"
    product.write_text("kept")
    with pytest.raises(ConfigError, match=r"a_diffraction.h5 exists; expected a new file"):
        write_content(content(), tmp_path / "a.h5")
    assert (product.read_text(), list(tmp_path.iterdir())) == ("kept", [product])
    write_content(content(), tmp_path / "a.h5", overwrite=True)
    assert h5py.is_hdf5(product)


def test_the_source_is_never_replaced(tmp_path):
    path = tmp_path / "a.npz"
    scan().save(path)
    before = path.read_bytes()
    with pytest.raises(DataError, match="is the source itself"):
        write_content(content(), path, overwrite=True, sources=[path])
    assert path.read_bytes() == before


@pytest.mark.parametrize("to", [name for name in WRITERS if name not in ("ptyr", "tiff")])
def test_after_a_fault_nothing_is_left(tmp_path, to):
    def read(numbers):
        raise OSError("disk gone")

    frames = dataclasses.replace(content(), frames=lazy(scan().frames)[0])
    frames.frames._read = read
    with pytest.raises(DataError, match="cannot be written"):
        write_content(frames, tmp_path / "a", to=to)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("to", [name for name in WRITERS if name not in ("ptyr", "tiff")])
def test_frames_are_read_in_blocks(tmp_path, monkeypatch, to):
    monkeypatch.setattr(fields, "_BLOCK_BYTES", 5 * 16 * 16 * 2)
    frames, calls = lazy(scan().frames)
    write_content(content(frames=frames), tmp_path / "a", to=to)
    assert calls == [5, 5, 2]


def test_npz_holds_everything(tmp_path):
    before = scan(
        scan_index=np.arange(12) // 6, xcoords_start=scan().xcoords + 0.5, background=0.25,
        probe_known=False, experiment=Experiment(blur=0.5),
    )  # fmt: skip
    from ptycho.api.conversion import content_of

    path = write_content(content_of(before), tmp_path / "a.npz")[0]
    after = RawData.from_file(path)
    for field in dataclasses.fields(RawData):
        if field.name not in ("path", "metadata"):
            left, right = getattr(after, field.name), getattr(before, field.name)
            np.testing.assert_array_equal(left, right, err_msg=field.name)
    assert after.metadata["note"] == "made by hand"


def test_two_pixel_sizes_are_warned_of(tmp_path, caplog):
    written(tmp_path, "a.cxi", pixel_size_m=2 * PIXEL)
    assert "object pixel 333.3 nm, 166.7 nm by its geometry" in caplog.text


def test_the_pixel_size_follows_from_the_geometry(tmp_path):
    from ptycho.api.conversion import content_of

    found = content_of(scan(pixel_size_m=None))
    np.testing.assert_allclose(found.pixel_size_m, PIXEL)
    lengths = Experiment(geometry=Geometry(distance_m=1.0))
    assert content_of(scan(pixel_size_m=None, experiment=lengths)).pixel_size_m is None
