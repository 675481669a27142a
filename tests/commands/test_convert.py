"""`ptycho convert`: from one format to another, and what it refuses."""

import h5py
import numpy as np
import pytest
from written_scan import PIXEL, scan

from ptycho.commands import cli
from ptycho.io.writers import WRITERS
from ptycho.settings.base import describe
from ptycho.settings.convert import ConvertConfig


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "scan.npz"
    scan().save(path)
    return path


def run(*words):
    return cli.main(["convert", *map(str, words)])


def test_a_scan_is_converted_and_losses_are_printed(source, tmp_path, capsys):
    output = tmp_path / "new" / "scan.nxs"
    assert run(source, output) == 0
    out, err = capsys.readouterr()
    assert out == f"{output}\n"
    assert "nexus cannot hold: probe, object" in err
    with h5py.File(output) as file:
        np.testing.assert_array_equal(file["entry_1/data/data"][()], scan().frames)


def test_flags_say_how_it_is_read(source, tmp_path):
    output = tmp_path / "scan.cxi"
    assert run(source, output, "--positions", "swap", "--object_pixel_nm", 100) == 0
    with h5py.File(output) as file:
        x, y, _ = file["entry_1/sample_1/geometry_1/translation"][0]
    # Frame 0 at (20, 30) is swapped to (30, 20): its window of 16 x 16 pixels begins at (22, 12),
    # its centre is (29.5, 19.5), that of 50 x 60 pixels (24.5, 29.5).
    np.testing.assert_allclose([x, y], [-1e-6, 5e-7], rtol=1e-9)


def test_the_ending_counts_unless_a_format_is_named(source, tmp_path):
    assert run(source, tmp_path / "arrays.npz", "--to", "ptychi") == 0
    assert "probe_position_x_px" in np.load(tmp_path / "arrays.npz")


def test_pixels_without_a_size_name_the_flag(tmp_path, capsys):
    bare = scan(pixel_size_m=None, experiment=type(scan().experiment)())
    bare.save(tmp_path / "bare.npz")
    assert run(tmp_path / "bare.npz", tmp_path / "bare.cxi") == 2
    err = capsys.readouterr().err
    assert "bare.npz: cannot be written as cxi; expected the size of an object pixel" in err
    assert "--object_pixel_nm" in err
    assert not (tmp_path / "bare.cxi").exists()
    flags = ("--object_pixel_nm", 1e9 * PIXEL)
    assert run(tmp_path / "bare.npz", tmp_path / "bare.cxi", *flags) == 0


def test_files_are_protected(source, tmp_path, capsys):
    output = tmp_path / "scan.cxi"
    output.write_text("measured last night")
    assert run(source, output) == 2
    assert "exists; expected a new file, or --overwrite" in capsys.readouterr().err
    assert output.read_text() == "measured last night"
    assert run(source, output, "--overwrite") == 0
    assert h5py.is_hdf5(output)
    before = source.read_bytes()
    assert run(source, source, "--overwrite") == 2
    assert "is the source itself" in capsys.readouterr().err
    assert source.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["scan.xyz"], "output: scan.xyz has no known ending; expected npz (.npz)"),
        (["scan.cxi", "--to", "hdf9"], "to: 'hdf9'; expected one of npz, cxi"),
    ],
)
def test_unknown_formats_are_refused_before_reading(source, tmp_path, capsys, words, message):
    assert run(source, tmp_path / words[0], *words[1:]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_a_reconstruction_is_sent_to_export(tmp_path, capsys):
    np.savez(tmp_path / "reconstruction.npz", object=np.ones(3))
    for path in (tmp_path, tmp_path / "reconstruction.npz"):
        assert run(path, tmp_path / "out.cxi") == 2
        assert "ptycho export writes reconstructions" in capsys.readouterr().err


def test_help_names_every_format():
    text = describe(ConvertConfig)["to"].text
    for row in WRITERS:
        assert row in text
        assert WRITERS[row].endings[0] in text


def test_findings_are_warnings_and_stop_nothing(tmp_path, capsys):
    places = np.full(12, 30.0)
    scan(xcoords=places, ycoords=places).save(tmp_path / "still.npz")
    assert run(tmp_path / "still.npz", tmp_path / "still.cxi") == 0
    err = capsys.readouterr().err
    assert "warning: " in err
    assert "still.npz: all positions are equal; take them from another file: --join FILE" in err
    with h5py.File(tmp_path / "still.cxi") as file:
        np.testing.assert_array_equal(file["entry_1/data_1/data"][()], scan().frames)


def test_frames_with_values_that_cannot_be_measured_are_kept(tmp_path, capsys):
    frames = np.ones((40, 16, 16), np.float32)
    frames[3, 2, 1] = -5  # not among the frames checked when a scan is opened
    line = {"xcoords": 2.0 * np.arange(40), "ycoords": np.zeros(40)}
    scan(frames=frames, measurement="intensity", **line).save(tmp_path / "dirty.npz")
    assert run(tmp_path / "dirty.npz", tmp_path / "dirty.cxi") == 0
    assert "frame 3 holds -5.0 in 1 of" in capsys.readouterr().err
    with h5py.File(tmp_path / "dirty.cxi") as file:
        np.testing.assert_array_equal(file["entry_1/data_1/data"][()], frames)


def test_frames_that_the_inspection_names_can_be_left_out(tmp_path):
    frames = np.full((40, 16, 16), 9, np.uint16) + np.arange(40, dtype=np.uint16)[:, None, None]
    frames[20] = 0
    line = {"xcoords": 2.0 * np.arange(40), "ycoords": np.zeros(40)}
    scan(frames=frames, **line).save(tmp_path / "lost.npz")
    assert run(tmp_path / "lost.npz", tmp_path / "kept.cxi", "--skip_frames", "found") == 0
    with h5py.File(tmp_path / "kept.cxi") as file:
        np.testing.assert_array_equal(file["entry_1/data_1/data"], np.delete(frames, 20, axis=0))
