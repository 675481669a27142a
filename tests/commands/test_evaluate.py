"""`ptycho evaluate`: files in, numbers and one figure out, mistakes in one line."""

import json
import logging

import numpy as np
import pytest

from ptycho.commands.evaluate import run
from ptycho.errors import DataError
from ptycho.scan.raw_data import RawData
from ptycho.settings.evaluate import EvaluateConfig

SHAPE = (64, 70)
ORIGIN = (6, 4)


def world():
    rows, cols = np.meshgrid(np.arange(80), np.arange(90), indexing="ij")
    amplitude = 0.7 + 0.2 * np.sin(rows / 3) * np.cos(cols / 4)
    return (amplitude * np.exp(1j * np.cos(rows / 5 + cols / 6))).astype(np.complex64)


def write_reconstruction(folder, factor=1.0, **changes):
    """Write the part of the world a scan has seen, times a factor."""
    folder.mkdir(exist_ok=True)
    part = world()[ORIGIN[0] : ORIGIN[0] + SHAPE[0], ORIGIN[1] : ORIGIN[1] + SHAPE[1]]
    coverage = np.zeros(SHAPE, dtype=np.float32)
    coverage[4:-4, 4:-4] = 1
    noise = np.random.default_rng(0).normal(size=(2, *SHAPE))
    obj = factor * part + 0.01 * (noise[0] + 1j * noise[1])
    arrays = {
        "object": np.where(coverage > 0, obj, 1e6).astype(np.complex64),
        "coverage": coverage,
        "positions": np.zeros((1, 2)),
        "origin": np.array(ORIGIN),
        "pixel_size_m": np.nan,
        "units": np.array("transmission"),
    }
    np.savez(folder / "reconstruction.npz", **(arrays | changes))
    return folder


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "scan.npz"
    frames = np.random.default_rng(0).poisson(5.0, (3, 16, 16)).astype(np.uint16)
    RawData(
        frames=frames,
        measurement="counts",
        xcoords=np.array([20.0, 30.0, 40.0]),
        ycoords=np.array([20.0, 30.0, 40.0]),
        probe=np.ones((1, 16, 16), dtype=np.complex64),
        obj=world(),
        pixel_size_m=1e-8,
    ).save(path)
    return path


def test_a_reconstruction_is_compared_with_the_object_of_a_scan(tmp_path, scan, caplog):
    folder = write_reconstruction(tmp_path / "result", factor=0.5j)
    with caplog.at_level(logging.INFO, logger="ptycho"):
        assert run(EvaluateConfig(reconstruction=folder, truth=scan)) == folder
    document = json.loads((folder / "metrics.json").read_text())
    assert document["truth"] == "scan.npz"
    assert document["pixel_size_m"] == 1e-8
    numbers = document["object"]
    assert numbers["removed_scale"] == pytest.approx(2, rel=1e-2)
    assert numbers["removed_phase_rad"] == pytest.approx(-np.pi / 2, abs=1e-2)
    # Noise of 0.01 on an amplitude of 0.5 x 0.7: 0.01 / 0.35 = 0.029 rad.
    assert numbers["phase_rmse_rad"] == pytest.approx(0.03, abs=0.005)
    assert (folder / "comparison_plot.png").stat().st_size > 10_000
    assert "phase PSNR" in caplog.text


def test_two_reconstructions_are_compared_on_their_common_frame(tmp_path):
    first = write_reconstruction(tmp_path / "a")
    second = write_reconstruction(tmp_path / "b")
    config = EvaluateConfig(
        reconstruction=first / "reconstruction.npz", truth=second, output_dir=tmp_path / "c" / "d"
    )
    assert run(config) == tmp_path / "c" / "d"
    document = json.loads((tmp_path / "c" / "d" / "metrics.json").read_text())
    assert document["object"]["object_residual"] < 1e-10
    assert document["object"]["phase_psnr_db"] is None or document["object"]["phase_psnr_db"] > 80
    assert not (first / "metrics.json").exists()


def test_what_the_reconstruction_said_of_itself_is_kept(tmp_path, scan):
    folder = write_reconstruction(tmp_path / "result")
    (folder / "metrics.json").write_text('{"detector_residual": 0.02, "seconds": 3}')
    run(EvaluateConfig(reconstruction=folder, truth=scan))
    document = json.loads((folder / "metrics.json").read_text())
    assert (document["detector_residual"], document["seconds"]) == (0.02, 3)


def test_mistakes_are_told_in_one_line(tmp_path, scan):
    sound = write_reconstruction(tmp_path / "sound")
    far = write_reconstruction(tmp_path / "far", origin=np.array([900, 900]))
    odd = write_reconstruction(tmp_path / "odd", coverage=np.ones((3, 3), dtype=np.float32))
    text = tmp_path / "text.npz"
    text.write_text("no archive")
    empty = tmp_path / "empty"
    empty.mkdir()
    for reconstruction, truth, message in [
        (empty, scan, "reconstruction.npz: no such file"),
        (scan, scan, "no entry object among .* expected a reconstruction.npz"),
        (text, scan, "cannot be opened"),
        (odd, scan, r"coverage \(3, 3\)"),
        (far, scan, "cannot be compared: objects: .* expected a common area"),
        (sound, text, "unknown kind of file"),
    ]:
        with pytest.raises(DataError, match=message) as caught:
            run(EvaluateConfig(reconstruction=reconstruction, truth=truth))
        assert "\n" not in str(caught.value)


def test_a_scan_without_an_object_is_no_truth(tmp_path, scan):
    bare = tmp_path / "bare.npz"
    with np.load(scan) as entries:
        np.savez(bare, **{key: entries[key] for key in entries.files if key != "objectGuess"})
    folder = write_reconstruction(tmp_path / "result")
    with pytest.raises(DataError, match=r"bare\.npz: no object; expected a scan"):
        run(EvaluateConfig(reconstruction=folder, truth=bare))
