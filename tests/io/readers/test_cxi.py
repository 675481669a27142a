"""CXI in the dialects of cdtools, ptychodus and PyNX."""

import numpy as np
import pytest
from hdf5_file import (
    COUNTS,
    DISTANCE_M,
    ENERGY_J,
    PIXEL_M,
    ROW_COL_M,
    WAVELENGTH_M,
    M,
    N,
    h5py,
    write,
)

from ptycho.errors import DataError
from ptycho.io import Reading, read_fields, recognise
from ptycho.io.readers.cxi import read

DETECTOR = "entry_1/instrument_1/detector_1"
SOURCE = "entry_1/instrument_1/source_1"
# By the default basis row = +y and column = +x of the translation.
XYZ = np.column_stack([ROW_COL_M[:, 1], ROW_COL_M[:, 0], np.zeros(M)])
DEFAULT = {
    "cxi_version": 160,
    f"{DETECTOR}/data": COUNTS,
    f"{DETECTOR}/distance": DISTANCE_M,
    f"{DETECTOR}/x_pixel_size": PIXEL_M,
    f"{DETECTOR}/y_pixel_size": PIXEL_M,
    f"{SOURCE}/energy": ENERGY_J,
    "entry_1/sample_1/geometry_1/translation": XYZ,
    "entry_1/data_1/data": h5py.SoftLink(f"/{DETECTOR}/data"),
    "entry_1/data_1/translation": h5py.SoftLink("/entry_1/sample_1/geometry_1/translation"),
}
BASIS = np.array([[0, -PIXEL_M, 0], [-PIXEL_M, 0, 0]])


def changed(path, **changes):
    """Write the default file with other entries; None leaves one out."""
    names = {"basis": f"{DETECTOR}/basis_vectors", "mask": f"{DETECTOR}/mask",
             "data_dark": f"{DETECTOR}/data_dark", "dark": f"{DETECTOR}/dark",
             "translation": "entry_1/sample_1/geometry_1/translation",
             "energy": f"{SOURCE}/energy", "wavelength": f"{SOURCE}/wavelength",
             "x_pixel_size": f"{DETECTOR}/x_pixel_size"}  # fmt: skip
    entries = DEFAULT | {names[name]: value for name, value in changes.items()}
    return write(path, {name: value for name, value in entries.items() if value is not None})


def test_frames_positions_and_geometry(tmp_path):
    path = changed(tmp_path / "scan.cxi")
    found = read(path)
    assert recognise(path) == "CXI"
    assert found.source == "CXI"
    np.testing.assert_array_equal(found.frames[[3, 0, 4]], COUNTS[[3, 0, 4]])
    assert found.measurement == "counts"
    # Frame 1 was taken at x = 0.2 um, y = 0.1 um.
    np.testing.assert_allclose(found.positions[1], [1e-7, 2e-7], rtol=1e-12)
    np.testing.assert_allclose(found.positions, ROW_COL_M, rtol=1e-12, atol=1e-20)
    np.testing.assert_allclose(found.geometry.wavelength_m, WAVELENGTH_M, rtol=1e-9)
    assert (found.geometry.distance_m, found.geometry.detector_pixel_m) == (DISTANCE_M, PIXEL_M)
    assert found.mask is None
    assert not found.notes


@pytest.mark.parametrize("basis", [BASIS, BASIS.T])
def test_the_default_basis_in_either_order_changes_nothing(tmp_path, basis):
    found = read(changed(tmp_path / "scan.cxi", basis=basis))
    np.testing.assert_allclose(found.positions, ROW_COL_M, rtol=1e-12, atol=1e-20)


def test_a_basis_along_plus_x_mirrors_the_columns(tmp_path):
    found = read(changed(tmp_path / "scan.cxi", basis=BASIS * [-1, 1, 1]))
    np.testing.assert_allclose(found.positions, ROW_COL_M * [1, -1], rtol=1e-12, atol=1e-20)
    assert "basis_vectors" in found.notes[0]


def test_a_basis_of_swapped_axes_swaps_rows_and_columns(tmp_path):
    found = read(changed(tmp_path / "scan.cxi", basis=BASIS[::-1]))
    np.testing.assert_allclose(found.positions, ROW_COL_M[:, ::-1], rtol=1e-12, atol=1e-20)


def test_pynx_writes_translation_and_dark_in_its_own_way(tmp_path):
    dark = np.full((N, N), 2.0)
    path = changed(tmp_path / "scan.cxi", translation=XYZ.T, dark=dark, basis=BASIS)
    found = read(path)
    assert found.source == "CXI written by PyNX"
    assert f"translation is (3, {M})" in found.notes[0]
    np.testing.assert_allclose(found.positions, ROW_COL_M, rtol=1e-12, atol=1e-20)
    np.testing.assert_array_equal(found.dark, dark)


def test_three_frames_are_read_as_cxi_writes_them(tmp_path):
    few = {f"{DETECTOR}/data": COUNTS[:3], "entry_1/sample_1/geometry_1/translation": XYZ[:3]}
    found = read(write(tmp_path / "scan.cxi", DEFAULT | few))
    np.testing.assert_allclose(found.positions, ROW_COL_M[:3], rtol=1e-12, atol=1e-20)


def test_a_pixel_is_good_with_0_or_only_the_bit_of_signal(tmp_path):
    mask = np.zeros((N, N), np.uint32)
    mask[0] = [0, 0x1000, 1, 0x1001]
    found = read(changed(tmp_path / "scan.cxi", mask=mask))
    assert found.mask[0].tolist() == [True, True, False, False]
    assert found.mask[1:].all()


def test_a_mask_for_each_frame_holds_for_all(tmp_path):
    mask = np.zeros((M, N, N), np.uint32)
    mask[2, 1, 3] = 1
    found = read(changed(tmp_path / "scan.cxi", mask=mask))
    assert np.argwhere(~found.mask).tolist() == [[1, 3]]


def test_darks_are_averaged(tmp_path):
    data_dark = np.stack([np.full((N, N), 1.0), np.full((N, N), 4.0)])
    found = read(changed(tmp_path / "scan.cxi", data_dark=data_dark))
    np.testing.assert_allclose(found.dark, np.full((N, N), 2.5))


def test_a_wavelength_counts_before_an_energy_and_one_pixel_size_is_enough(tmp_path):
    found = read(changed(tmp_path / "scan.cxi", wavelength=2e-10, x_pixel_size=None))
    assert found.geometry.wavelength_m == 2e-10
    assert found.geometry.detector_pixel_m == PIXEL_M


def test_the_energy_of_a_ring_is_ignored_with_a_note(tmp_path):
    found = read(changed(tmp_path / "scan.cxi", energy=3.0))
    assert found.geometry.wavelength_m is None
    assert "not a photon energy" in found.notes[0]


LAYERS = np.full((2, 6, 8), 1j * np.arange(48).reshape(6, 8), np.complex64)
PRODUCT = {
    "cxi_version": 160,
    "entry_1/data_1/translation": XYZ[1:],
    f"{SOURCE}/energy": ENERGY_J,
    f"{DETECTOR}/distance": DISTANCE_M,
    "entry_1/process_1/program": "Ptychodus",
    "entry_1/image_1/data": np.arange(2 * N * N).reshape(1, 2, N, N).astype(np.complex64),
    "entry_1/image_2/data": LAYERS,
    "entry_1/ptychodus/probe_position_indexes": np.arange(1, M),
    "entry_1/ptychodus/object_pixel_width_m": 1e-8,
    "entry_1/ptychodus/object_center_x_m": -0.5e-8,
    "entry_1/ptychodus/object_center_y_m": 1e-8,
}


def test_diffraction_and_product_of_ptychodus_are_joined_by_number(tmp_path):
    data = {k: v for k, v in DEFAULT.items() if "translation" not in k}
    frames = write(tmp_path / "diffraction.cxi", data)
    product = write(tmp_path / "product.cxi", PRODUCT)
    alone = read(product)
    assert alone.source == "CXI written by ptychodus"
    assert alone.frames is None
    assert alone.probe.shape == (2, N, N)
    np.testing.assert_allclose(alone.obj, -(np.arange(48).reshape(6, 8) ** 2))  # two layers of i n
    # Centre of 6 rows is index 2.5 and lies 1 pixel below (0, 0); of 8 columns 3.5, 0.5 before. The
    # centre of a window is half a pixel further in our convention.
    np.testing.assert_allclose(alone.obj_centre, (2.0, 4.5))
    fields = read_fields(frames, Reading(join=(product,)))
    np.testing.assert_array_equal(fields["frames"][:], COUNTS[1:])
    # y of frame 1 is 0.1 um, 10 pixels of 10 nm.
    np.testing.assert_allclose(fields["ycoords"][0], 10 + 2.0)
    np.testing.assert_allclose(fields["xcoords"][0], 20 + 4.5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"translation": XYZ[:, :2]}, r"translation has shape \(5, 2\); expected \(positions, 3\)"),
        ({"basis": BASIS[:1]}, "basis_vectors of shape .* spans no detector"),
        ({"basis": BASIS * 0}, "basis_vectors of shape .* spans no detector"),
        ({"mask": np.zeros((N, N))}, "mask has shape .* type float64; expected"),
    ],
)
def test_unusable_entries_are_named(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        read(changed(tmp_path / "scan.cxi", **changes))


def test_a_truncated_file_is_one_line(tmp_path):
    path = changed(tmp_path / "scan.cxi")
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"cannot be opened as HDF5.*expected a complete file"):
        read(path)
