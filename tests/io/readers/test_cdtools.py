"""Results of cdtools."""

import numpy as np
import pytest
from hdf5_file import COUNTS, DISTANCE_M, PIXEL_M, ROW_COL_M, M, N, write

from ptycho.errors import DataError
from ptycho.io import Reading, read_fields, recognise
from ptycho.io.readers.cdtools import read

PIXEL = 1e-8
BASIS = np.array([[0, -PIXEL], [-PIXEL, 0], [0, 0]])
# Along the default basis the probe is at row = -y, column = -x.
XYZ = -np.column_stack([ROW_COL_M[:, 1], ROW_COL_M[:, 0], np.zeros(M)])
MASK = np.ones((N, N), bool)
MASK[0, 1] = False
RESULT = {
    "translations": XYZ,
    "obj_basis": BASIS,
    "obj": np.random.default_rng(1).standard_normal((90, 80)).astype(np.complex64),
    "probe": np.ones((2, N, N), np.complex64),
    "wavelength": 1.5e-10,
    "state_dict/min_translation": [-32.5, -22.0],
    "state_dict/det_distance": DISTANCE_M,
    "state_dict/det_basis": BASIS * PIXEL_M / PIXEL,
    "state_dict/mask": MASK,
}


def test_positions_lie_on_the_object(tmp_path):
    path = write(tmp_path / "results.h5", RESULT)
    frames = write(tmp_path / "frames.cxi", {"cxi_version": 160, "entry_1/data_1/data": COUNTS})
    assert recognise(path) == "cdtools result"
    found = read(path)
    np.testing.assert_allclose(found.positions, ROW_COL_M, rtol=1e-9, atol=1e-18)
    assert found.geometry.wavelength_m == 1.5e-10
    np.testing.assert_allclose(found.geometry.detector_pixel_m, PIXEL_M)
    np.testing.assert_array_equal(found.mask, MASK)
    fields = read_fields(frames, Reading(join=(path,)))
    # Frame 1 is 10 rows and 20 columns from 0, which begins at index (32.5, 22); centre + N // 2.
    np.testing.assert_allclose((fields["ycoords"][1], fields["xcoords"][1]), (44.5, 44))


def test_another_basis_and_a_result_without_state(tmp_path):
    plain = {k: v for k, v in RESULT.items() if "state_dict" not in k}
    mirrored = plain | {"obj_basis": BASIS * [1, -1], "original_translations": 2 * XYZ}
    found = read(write(tmp_path / "results.h5", mirrored))
    np.testing.assert_allclose(found.positions, ROW_COL_M * [1, -1], rtol=1e-9, atol=1e-18)
    np.testing.assert_allclose(found.start, 2 * ROW_COL_M * [1, -1], rtol=1e-9, atol=1e-18)
    assert found.obj is None  # nothing says where it is
    assert found.mask is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"obj_basis": np.zeros((3, 2))}, "obj_basis .* spans no plane"),
        ({"obj_basis": np.zeros(3)}, "obj_basis .* spans no plane"),
        ({"translations": np.zeros((M, 2))}, r"translations has shape \(5, 2\)"),
    ],
)
def test_unusable_entries_are_named(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        read(write(tmp_path / "results.h5", RESULT | changes))
