"""Laws of reading and writing scan files, and of the import command."""

import logging
from pathlib import Path

import numpy as np
import pytest

from ptycho.commands import import_scan
from ptycho.errors import DataError
from ptycho.io import FORMATS, read_scan, recognise, write_scan
from ptycho.scan.raw_data import RawData
from ptycho.scan.summary import nearest_step, summarise_scan
from ptycho.settings.scans import ImportConfig
from ptycho.simulation.probes import make_probe

MEASURED = Path(__file__).parents[2] / "shared" / "data"


def counts_entries(n_frames=12, size=16, seed=0):
    rng = np.random.default_rng(seed)
    row, col = np.divmod(np.arange(n_frames), 4)
    return {
        "counts": rng.poisson(30.0, (n_frames, size, size)).astype(np.uint16),
        "position_row": 20.0 + 3.0 * row,
        "position_col": 30.0 + 2.0 * col,
        "probe": make_probe("gaussian", size, fwhm=5.0, photons=1.0)[0],
        "scan_row": row.astype(np.int16),
        "scan_col": col.astype(np.int16),
    }


@pytest.fixture
def counts_file(tmp_path):
    path = tmp_path / "counts.npz"
    np.savez_compressed(path, **counts_entries())
    return path


def scan(**changed):
    entry = counts_entries()
    fields = {
        "frames": entry["counts"],
        "measurement": "counts",
        "xcoords": entry["position_col"],
        "ycoords": entry["position_row"],
        "probe": make_probe("gaussian", 16, fwhm=5.0, photons=7e3, n_modes=2),
        "obj": np.exp(1j * np.linspace(0, 1, 50 * 60)).reshape(50, 60).astype(np.complex64),
        "pixel_size_m": 9.3e-10,
        "metadata": {"nphotons": 7e3, "note": "made by hand"},
    }
    return RawData(**{**fields, **changed})


def test_what_is_written_is_read_back(tmp_path):
    raw = scan()
    back = read_scan(write_scan(tmp_path / "new" / "scan.npz", raw))
    for name in ("frames", "xcoords", "ycoords", "xcoords_start", "probe", "obj", "scan_index"):
        np.testing.assert_array_equal(getattr(back, name), getattr(raw, name), err_msg=name)
    assert back.frames.dtype == np.uint16
    assert back.measurement == "counts"
    assert back.pixel_size_m == 9.3e-10
    assert back.metadata.items() >= raw.metadata.items()


def test_counts_file_keeps_rows_as_y_and_columns_as_x(counts_file):
    raw, entry = read_scan(counts_file), counts_entries()
    np.testing.assert_array_equal(raw.frames, entry["counts"])
    np.testing.assert_array_equal(raw.positions[:, 0], entry["position_row"])
    np.testing.assert_array_equal(raw.positions[:, 1], entry["position_col"])
    np.testing.assert_array_equal(raw.ycoords, entry["position_row"])
    assert raw.positions[5].tolist() == [23.0, 32.0]  # frame 5: row 1, column 1
    assert raw.probe.shape == (1, 16, 16)
    assert raw.measurement == "counts"
    assert raw.metadata["scan_shape"] == [3, 4]


def test_counts_file_needs_no_raster(tmp_path):
    path = tmp_path / "counts.npz"
    np.savez(path, **{k: v for k, v in counts_entries().items() if not k.startswith("scan_")})
    assert "scan_shape" not in read_scan(path).metadata


def test_the_first_fitting_row_of_the_table_names_the_format(counts_file, tmp_path):
    assert recognise(counts_file).name == "counts NPZ"
    assert recognise(write_scan(tmp_path / "scan.npz", scan())).name == "PtychoPINN NPZ"


def test_every_reader_of_the_table_exists():
    import importlib

    for row in FORMATS:
        module, function = row.reader.split(":")
        assert callable(getattr(importlib.import_module(module), function))


def test_missing_file_is_told_with_the_known_formats(tmp_path):
    with pytest.raises(DataError, match=r"gone\.npz: no such file; expected .*PtychoPINN.*counts"):
        read_scan(tmp_path / "gone.npz")
    with pytest.raises(DataError, match="a folder; expected a scan file"):
        read_scan(tmp_path)


def test_unknown_ending_and_unknown_entries_list_what_is_known(tmp_path):
    foreign = tmp_path / "scan.tiff"
    foreign.write_bytes(b"II*")
    with pytest.raises(DataError, match=r"unknown ending '\.tiff'; expected PtychoPINN NPZ"):
        read_scan(foreign)
    path = tmp_path / "other.npz"
    np.savez(path, pixels=np.zeros(3), where=np.zeros(3))
    with pytest.raises(DataError, match=r"entries pixels, where fit no known format; expected"):
        read_scan(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half a file", b"no archive at all"])
def test_damaged_archive_is_one_line(tmp_path, content):
    path = tmp_path / "scan.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"scan\.npz: cannot be opened \(.*\); expected an \.npz"):
        read_scan(path)


def test_python_objects_are_never_unpickled(tmp_path):
    path = tmp_path / "counts.npz"
    entries = counts_entries()
    entries["probe"] = np.array([{"a": 1}], dtype=object)
    np.savez(path, **entries)
    with pytest.raises(DataError, match=r"counts\.npz: .*expected a counts NPZ"):
        read_scan(path)


def test_frames_without_a_position_each_are_refused(tmp_path):
    path = tmp_path / "counts.npz"
    entries = counts_entries()
    entries["position_row"] = entries["position_row"][:-1]
    np.savez(path, **entries)
    with pytest.raises(DataError, match=r"position_row has shape \(11,\) for 12 frames"):
        read_scan(path)


def test_scans_are_written_as_npz_only(tmp_path):
    with pytest.raises(DataError, match=r"scan\.h5: .*expected a name that ends in \.npz"):
        write_scan(tmp_path / "scan.h5", scan())


def test_step_of_a_lattice_by_hand():
    assert nearest_step(counts_positions := scan().positions) == 2.0
    assert nearest_step(counts_positions[:1]) == 0.0


def test_import_scales_the_probe_to_the_photons_and_keeps_the_rest(counts_file, tmp_path, caplog):
    config = ImportConfig(source=counts_file, output=tmp_path / "o" / "s.npz", pixel_size_m=1e-9)
    with caplog.at_level(logging.INFO, logger="ptycho"):
        back = read_scan(import_scan.run(config))
    entry = counts_entries()
    np.testing.assert_array_equal(back.frames, entry["counts"])
    photons = entry["counts"].sum() / 12
    power = np.sum(np.abs(back.probe) ** 2, dtype=float)
    assert power == pytest.approx(photons, rel=1e-5)  # complex64
    assert back.pixel_size_m == 1e-9
    assert back.metadata["source_file"] == "counts.npz"
    for words in ("read as counts NPZ", "12 frames of 16 x 16 (uint16, counts)", "step 2.00 px",
                  "rows 20.0 to 26.0", "overlap", "scaled by"):  # fmt: skip
        assert words in caplog.text


@pytest.mark.parametrize(
    ("factor", "scaled"), [(0.9, True), (1.0, False), (4.0, False), (19.0, False), (21.0, True)]
)
def test_a_probe_that_a_sample_could_have_dimmed_is_believed(tmp_path, factor, scaled):
    raw = scan()
    photons = summarise_scan(raw).photons
    probe = make_probe("gaussian", 16, fwhm=5.0, photons=factor * photons)
    source = write_scan(tmp_path / "in.npz", scan(probe=probe))
    back = read_scan(import_scan.run(ImportConfig(source=source, output=tmp_path / "out.npz")))
    power = np.sum(np.abs(back.probe) ** 2, dtype=float)
    assert power == pytest.approx(photons if scaled else factor * photons, rel=1e-5)


def test_import_warns_of_frames_off_centre(tmp_path, caplog):
    raw = scan(frames=np.pad(np.full((12, 4, 4), 50, np.uint16), ((0, 0), (0, 12), (0, 12))))
    source = write_scan(tmp_path / "in.npz", raw)
    import_scan.run(ImportConfig(source=source, output=tmp_path / "out.npz"))
    assert "frames are 6.5 px off centre; expected the zero frequency at pixel 8" in caplog.text


def test_import_never_writes_over_its_source(counts_file):
    with pytest.raises(DataError, match="is the source itself"):
        import_scan.run(ImportConfig(source=counts_file, output=counts_file))


@pytest.mark.parametrize(
    ("name", "n_frames", "size", "photons", "step", "width"),
    [
        ("rotavirus_10304.npz", 10304, 64, 8.26e4, 3.36, 28),
        ("siemens_516.npz", 516, 128, 4.61e5, 9.0, 28),
    ],
)
def test_measured_scans_read_as_their_description_says(name, n_frames, size, photons, step, width):
    path = MEASURED / name
    if not path.exists():
        pytest.skip(f"{name} is kept beside the project and is not here")
    summary = summarise_scan(read_scan(path))
    assert (summary.n_frames, summary.size, summary.measurement) == (n_frames, size, "counts")
    assert summary.photons == pytest.approx(photons, rel=0.01)
    assert summary.step == pytest.approx(step, rel=0.05)
    assert summary.fwhm == pytest.approx(width, rel=0.2)  # a speckled probe has no sharp width
    np.testing.assert_allclose(summary.centre, size // 2, atol=0.025 * size)
