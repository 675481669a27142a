"""Commands exclude bad frames and pixels, record them, and read the scan of a run the same way."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest

from ptycho.api.loading import load
from ptycho.api.refinement import refine
from ptycho.api.scan_of_run import scan_of_run
from ptycho.api.simulation import simulate
from ptycho.commands import cli
from ptycho.runs import read_run
from ptycho.scan.raw_data import RawData
from ptycho.settings.shared import ScanFileSettings


def ptycho(*words):
    return cli.main([str(word) for word in words])


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A scan with faults of every kind, and its reconstruction."""
    folder = tmp_path_factory.mktemp("excluded")
    raw = simulate(n_frames=100, N=32, step=2.5, jitter=0.4, probe_fwhm=9.0, photons=2e4, seed=3,
                   amplitude_image="leaves", phase_image="clouds")  # fmt: skip
    frames = np.asarray(raw.frames[:]).astype(np.uint32)
    frames[[10, 11, 40]] = 0
    frames[5, 4, 9] = 50000
    frames[:, 2, 3] = 9000
    replace(raw, frames=frames).save(folder / "scan.npz")
    words = ["reconstruct", folder / "scan.npz", folder / "object", "--sweeps", 1, "--skip_frames"]
    assert ptycho(*words, "7", "--no_verdict", "--calibrate", "off") == 0
    return folder


def test_the_record_lists_what_is_excluded_and_why(home):
    run = read_run(home / "object")
    assert run.scan["n_frames"] == 96
    assert run.scan["skipped"] == [7, 10, 11, 40]
    assert run.scan["excluded"] == {
        "n_frames": 99, "frames": {"blank": [10, 11, 40]}, "pixels": {"dead or hot": ["2-2,3-3"]},
        "flashes": {"5": "4,9"},
    }  # fmt: skip
    assert sum("3 of 99 frames excluded: 3 blank (10-11,40)" in text for text in run.warnings) == 1
    page = (home / "object" / "report.html").read_text(encoding="utf-8")
    assert "3 of 99 frames excluded" in page
    assert "No frames are shown" not in page


def test_the_scan_of_a_run_is_read_as_by_the_run(home, tmp_path, monkeypatch):
    # Not even a check that finds nothing any more changes what is read.
    monkeypatch.setattr("ptycho.scan.inspection.FRAME_CHECKS", ())
    words = ["evaluate", home / "object", "--test_data", home / "scan.npz", "--no_report"]
    assert ptycho(*words, "--output_dir", tmp_path / "a", "--quiet") == 0
    found = np.load(tmp_path / "a" / "evaluated_frames.npz")["residuals"]
    ratios = found / read_run(home / "object").arrays["frame_residuals"]
    assert len(ratios) == 96
    assert np.median(ratios) == pytest.approx(1, abs=1e-2)
    refined = refine(home / "object", home / "scan.npz", iterations=1, engine="sweeps",
                     verdict=False, progress=False)  # fmt: skip
    raw = load(home / "scan.npz", keep_all=True)
    assert raw.n_frames == 100
    assert refined.scan.n_frames == 96
    assert refined.scan.mask.sum() == 32 * 32 - 1
    assert refined.scan.numbers[refined.scan.flashes[0, 0]] == 5
    words = ["export", home / "object", tmp_path / "out.cxi", "--test_data", home / "scan.npz"]
    geometry = ["--energy_kev", 8, "--distance_m", 2, "--detector_pixel_um", 75]
    assert ptycho(*words, *geometry, "--quiet") == 0
    with h5py.File(tmp_path / "out.cxi") as file:
        frames = file["entry_1/data_1/data"][()]
    assert len(frames) == 96
    assert frames[5, 4, 9] < 50000
    words = ["refine", home / "object", home / "scan.npz", tmp_path / "more", "--epochs", 1]
    words += ["--engine", "sweeps", "--no_verdict", "--no_report", "--quiet"]
    assert ptycho(*words) == 0
    assert (
        read_run(tmp_path / "more").scan["excluded"] == read_run(home / "object").scan["excluded"]
    )


def test_an_earlier_run_excluded_nothing(home, tmp_path):
    for path in (home / "object").iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    document = json.loads((tmp_path / "run.json").read_text())
    del document["data"][0]["excluded"]
    document["data"][0]["skipped"] = [7]
    (tmp_path / "run.json").write_text(json.dumps(document))
    raw = scan_of_run(tmp_path, home / "scan.npz", ScanFileSettings(), inspected=False)
    assert (raw.n_frames, raw.mask, raw.flashes) == (99, None, None)


def test_a_dry_run_excludes_the_same(home, tmp_path, capsys):
    words = ["reconstruct", home / "scan.npz", tmp_path / "a", "--dry_run", "--sweeps", 1]
    assert ptycho(*words, "--calibrate", "off") == 0
    both = capsys.readouterr()
    assert "97 frames of 32 x 32" in both.out
    assert "3 of 100 frames excluded" in both.err
    assert ptycho(*words, "--calibrate", "off", "--keep_all") == 0
    assert "100 frames of 32 x 32" in capsys.readouterr().out


def test_an_inspection_names_what_others_exclude(home, capsys):
    assert ptycho("inspect", home / "scan.npz", "--no_trial") == 0
    out = capsys.readouterr().out
    assert "100 of 32 x 32" in out
    assert out.count("other commands exclude them, unless --keep_all is given") >= 2
    assert ptycho("inspect", home / "scan.npz", "--no_trial", "--json", "--quiet") == 0
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert {f["name"]: f["excluded"] for f in findings}["flashing_pixels"]


def test_an_import_keeps_what_is_in_the_file(home, tmp_path):
    assert ptycho("import", home / "scan.npz", tmp_path / "scan.npz", "--quiet") == 0
    first, second = (RawData.from_file(path / "scan.npz") for path in (home, tmp_path))
    assert np.asarray(first.frames[:]).tobytes() == np.asarray(second.frames[:]).tobytes()
    assert second.mask is None
