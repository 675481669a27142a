"""PtyLab scans and reconstructions."""

import numpy as np
import pytest
from hdf5_file import COUNTS, DISTANCE_M, PIXEL_M, ROW_COL_M, WAVELENGTH_M, M, N, write

from ptycho.errors import DataError
from ptycho.io import read_fields, recognise
from ptycho.io.readers.ptylab import read

SCAN = {
    "ptychogram": COUNTS.astype(np.float32),
    "encoder": ROW_COL_M,
    "wavelength": [[WAVELENGTH_M]],
    "zo": DISTANCE_M,
    "dxd": PIXEL_M,
}
OBJECT_PIXEL = WAVELENGTH_M * DISTANCE_M / (N * PIXEL_M)


def test_a_scan_in_object_pixels(tmp_path):
    path = write(tmp_path / "scan.hdf5", SCAN)
    assert recognise(path) == "PtyLab"
    found = read(path)
    assert found.measurement == "counts"
    np.testing.assert_array_equal(found.frames[[2, 0]], COUNTS[[2, 0]])
    fields = read_fields(path)
    # 8 keV: 155 pm * 2 m / (4 * 75 um) = 1.033 um; 0.1 um is 0.0968 pixels.
    np.testing.assert_allclose(fields["ycoords"][1], 0.0968, atol=1e-4)
    np.testing.assert_allclose(fields["xcoords"], ROW_COL_M[:, 1] / OBJECT_PIXEL)


def test_an_encoder_of_columns_is_centred(tmp_path):
    found = read(write(tmp_path / "scan.hdf5", SCAN | {"encoder": ROW_COL_M.T}))
    np.testing.assert_allclose(found.positions, ROW_COL_M - ROW_COL_M.mean(axis=0))
    assert "(2, 5)" in found.notes[0]


STORED = {
    0: lambda a: a,
    1: lambda a: a[..., ::-1],
    2: lambda a: a[..., ::-1, :],
    4: lambda a: np.swapaxes(a, -1, -2),
    7: lambda a: np.swapaxes(a[..., ::-1, ::-1], -1, -2),
    # transpose first, so it is undone last
    5: lambda a: np.swapaxes(a[..., ::-1], -1, -2),
    6: lambda a: np.swapaxes(a[..., ::-1, :], -1, -2),
}


@pytest.mark.parametrize("orientation", STORED)
def test_frames_are_turned_upright_and_the_background_too(tmp_path, orientation):
    background = np.arange(N * N, dtype=np.float32).reshape(N, N)
    stored = STORED[orientation]
    path = write(tmp_path / "scan.hdf5", SCAN | {
        "ptychogram": stored(COUNTS).copy(), "background": stored(background).copy(),
        "orientation": orientation,
    })  # fmt: skip
    fields = read_fields(path)
    np.testing.assert_array_equal(fields["frames"][:], COUNTS)
    np.testing.assert_array_equal(fields["background"], background)


def test_a_reconstruction_has_probe_object_and_corrected_positions(tmp_path):
    probe = np.arange(2 * N * N).reshape(1, 1, 2, 1, N, N).astype(np.complex64)
    obj = np.random.default_rng(1).standard_normal((1, 1, 1, 1, 8, 10)).astype(np.complex64)
    path = write(tmp_path / "recon.hdf5", {
        "probe": probe, "object": obj, "encoder": ROW_COL_M, "encoder_corrected": 2 * ROW_COL_M,
        "wavelength": WAVELENGTH_M, "zo": DISTANCE_M, "dxp": 1e-8,
    })  # fmt: skip
    assert recognise(path) == "PtyLab"
    found = read(path)
    assert found.frames is None
    np.testing.assert_array_equal(found.probe, probe[0, 0, :, 0])
    np.testing.assert_array_equal(found.obj, obj[0, 0, 0, 0])
    assert found.obj_centre == (4, 5)
    np.testing.assert_array_equal(found.positions, 2 * ROW_COL_M)
    np.testing.assert_array_equal(found.start, ROW_COL_M)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"zled": 0.1}, "a Fourier ptychography file of PtyLab .entry zled.; expected"),
        ({"magnification": 4.0}, "a Fourier ptychography file of PtyLab"),
        ({"orientation": 8}, "orientation 8; expected 0 to 7"),
        ({"encoder": np.zeros((M, 1))}, r"encoder has shape \(5, 1\)"),
    ],
)
def test_unusable_files_are_refused(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        read_fields(write(tmp_path / "scan.hdf5", SCAN | changes))
