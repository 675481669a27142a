"""`ptycho export`: what of a reconstruction arrives in the file of another program."""

import h5py
import numpy as np
import pytest
import tifffile
from written_scan import PIXEL, scan

from ptycho.api.conversion import export_result
from ptycho.commands import cli
from ptycho.errors import DataError

NUMBERS = np.array([1, 2, 5])


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "run"
    path.mkdir()
    save(path)
    return path


def save(folder, **changed):
    rng = np.random.default_rng(0)
    entries = {
        "object": np.exp(1j * rng.random((30, 34))).astype(np.complex64),
        "coverage": np.ones((30, 34), np.float32),
        "origin": np.array([10.0, 20.0]),
        "positions": scan().positions[NUMBERS] + 0.25,
        "frames": NUMBERS,
        "probe": scan().probe,
        "pixel_size_m": np.float64(PIXEL),
    }
    np.savez(folder / "reconstruction.npz", **(entries | changed))


def run(*words):
    return cli.main(["export", *map(str, words)])


def test_the_product_of_ptychodus_is_placed_by_the_origin(folder, capsys):
    assert run(folder, "--to", "ptychodus", "--energy_kev", 8, "--distance_m", 2) == 0
    out, err = capsys.readouterr()
    assert out == f"{folder / 'reconstruction.h5'}\n"
    assert "ptychodus cannot hold: coverage" in err
    with h5py.File(folder / "reconstruction.h5") as file:
        assert file.attrs["photon_energy_eV"] == pytest.approx(8000)
        assert file.attrs["name"] == "run"
        np.testing.assert_array_equal(file["probe_position_indexes"], NUMBERS)
        # Frame 1 at (20.25, 32.25): the centre of its window of even size lies half a pixel before,
        # that of 30 x 34 pixels at (24.5, 36.5).
        np.testing.assert_allclose(file["probe_position_y_m"][0], -4.75 * PIXEL)
        np.testing.assert_allclose(file["probe_position_x_m"][0], -4.75 * PIXEL)


def test_the_output_may_name_the_format(folder, tmp_path):
    assert run(folder / "reconstruction.npz", tmp_path / "obj.ome.tif") == 0
    assert tifffile.imread(tmp_path / "obj.ome.tif").shape == (2, 30, 34)
    assert run(folder, "--to", "ptychi") == 0
    assert (folder / "reconstruction_ptychi.npz").exists()


def test_with_its_scan_frames_mask_and_geometry_are_written(folder, tmp_path):
    scan().save(tmp_path / "scan.npz")
    assert run(folder, "--to", "cxi", "--test_data", tmp_path / "scan.npz") == 0
    with h5py.File(folder / "reconstruction.cxi") as file:
        np.testing.assert_array_equal(file["entry_1/data_1/data"], scan().frames[NUMBERS])
        np.testing.assert_array_equal(file["entry_1/ptychodus/probe_position_indexes"], [0, 1, 2])
        assert file["entry_1/instrument_1/detector_1/distance"][()] == 2.0
        assert file["entry_1/instrument_1/detector_1/mask"][()].sum() == 1


def test_another_scan_is_refused(folder, tmp_path):
    other = scan(xcoords=scan().xcoords + 100)
    for raw, message in ((scan().first(3), "up to number 5"), (other, "pixels away from those")):
        with pytest.raises(DataError, match=message):
            export_result(folder, tmp_path / "out.cxi", scan=raw)


def test_metres_need_a_pixel_size(folder, capsys):
    save(folder, pixel_size_m=np.float64(np.nan))
    assert run(folder, "--to", "ptyr") == 2
    assert "--object_pixel_nm" in capsys.readouterr().err
    assert run(folder, "--to", "ptyr", "--object_pixel_nm", 2) == 0
    with h5py.File(folder / "reconstruction.ptyr") as file:
        np.testing.assert_allclose(file["content/obj/SscanMFG00/_psize"], [2e-9, 2e-9])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "to: missing; expected one of npz, cxi"),
        (["--to", "nexus"], "no frames; expected it, as nexus holds frames"),
        (["--to", "npz"], "no frames; expected it, as npz holds frames"),
    ],
)
def test_what_cannot_be_is_one_line(folder, capsys, words, message):
    assert run(folder, *words) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert [path.name for path in folder.iterdir()] == ["reconstruction.npz"]


def test_the_reconstruction_is_never_replaced(folder, capsys):
    file = folder / "reconstruction.npz"
    before = file.read_bytes()
    assert run(folder, file, "--to", "ptychi", "--overwrite") == 2
    assert "is the source itself" in capsys.readouterr().err
    assert file.read_bytes() == before


def test_a_damaged_reconstruction_is_one_line(folder, capsys):
    save(folder, positions=np.zeros(3))
    assert run(folder, "--to", "tiff") == 2
    assert "positions (3,); expected" in capsys.readouterr().err
