"""Evaluation and export read a scan by flags, and without them as the run of the object did."""

import json

import h5py
import numpy as np
import pytest
from tiny_scan import saved_untrained, simulated

from ptycho.commands import cli
from ptycho.runs import read_run

FLAGS = ["--map", "frames=/camera", "--map", "x=/x,unit=um", "--map", "y=/y,unit=um",
         "--map", "probe=/probe", "--map", "object=/object", "--object_pixel_nm", 10,
         "--measurement", "intensity"]  # fmt: skip
GEOMETRY = ["--energy_kev", 8, "--distance_m", 2, "--detector_pixel_um", 75]


def ptycho(*words):
    return cli.main([str(word) for word in words])


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A scan in an unknown format, and a reconstruction of it without some frames."""
    home = tmp_path_factory.mktemp("lab")
    raw = simulated(36)
    with h5py.File(home / "scan.h5", "w") as file:
        file["camera"], file["probe"], file["object"] = raw.frames[:], raw.probe, raw.obj
        file["x"], file["y"] = 0.01 * raw.xcoords, 0.01 * raw.ycoords
    saved_untrained(home / "model", raw)
    words = ["reconstruct", home / "scan.h5", home / "object", "--model_path", home / "model"]
    words += ["--sweeps", 1, "--skip_frames", "3,7-9", "--no_report", "--quiet"]
    assert ptycho(*words, *FLAGS) == 0
    return home


def evaluated(lab, output, *words):
    words = ["evaluate", lab / "object", *words, "--output_dir", output, "--no_report", "--quiet"]
    assert ptycho(*words) == 0
    return json.loads((output / "metrics.json").read_text())


def test_the_scan_of_a_run_needs_no_flags(lab, tmp_path):
    scan = lab / "scan.h5"
    found = evaluated(lab, tmp_path / "a", "--test_data", scan)
    run = read_run(lab / "object")
    ratios = np.load(tmp_path / "a" / "evaluated_frames.npz")["residuals"]
    ratios = ratios / run.arrays["frame_residuals"]
    assert len(ratios) == 32
    # Frames at the edge also see pixels that are not written, as they are hardly illuminated.
    assert np.median(ratios) == pytest.approx(1, abs=1e-3)
    assert np.abs(ratios - 1).max() < 0.2
    flags = [*FLAGS, "--skip_frames", "3,7-9"]
    copy = tmp_path / "copy.h5"
    with h5py.File(scan) as source, h5py.File(copy, "w") as file:
        for name in source:
            source.copy(name, file)
        file["note"] = "another file"
    again = evaluated(lab, tmp_path / "b", "--test_data", copy, *flags)
    assert again["detector_residual"] == found["detector_residual"]
    assert evaluated(lab, tmp_path / "c", "--truth", scan)["object"]["phase_psnr_db"] is not None
    both = evaluated(lab, tmp_path / "d", "--truth", scan, "--test_data", scan)
    assert both["detector_residual"] == found["detector_residual"]


def test_another_file_needs_its_flags(lab, tmp_path, capsys):
    raw = simulated(36)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["camera"] = raw.frames[:]
    capsys.readouterr()
    words = ["evaluate", lab / "object", "--test_data", tmp_path / "other.h5", "--quiet"]
    assert ptycho(*words, "--output_dir", tmp_path / "out") == 2
    err = capsys.readouterr().err
    assert "--map frames=/PATH" in err
    assert err.count("\n") == 1


def test_flags_take_precedence_over_those_of_the_run(lab, tmp_path, capsys):
    capsys.readouterr()
    words = ["evaluate", lab / "object", "--test_data", lab / "scan.h5", "--quiet"]
    assert ptycho(*words, "--output_dir", tmp_path, "--object_pixel_nm", 5) == 2
    assert "does not hold at these positions" in capsys.readouterr().err


def test_an_export_takes_frames_and_geometry_of_the_scan(lab, tmp_path):
    raw, output = simulated(36), tmp_path / "out.cxi"
    words = ["export", lab / "object", output, "--test_data", lab / "scan.h5", *GEOMETRY]
    assert ptycho(*words) == 0
    kept = np.delete(np.arange(36), [3, 7, 8, 9])
    with h5py.File(output) as file:
        np.testing.assert_array_equal(file["entry_1/data_1/data"], raw.frames[kept])
        assert file["entry_1/instrument_1/detector_1/distance"][()] == 2.0
        found = file["entry_1/instrument_1/detector_1/x_pixel_size"][()]
    assert found == pytest.approx(75e-6)
