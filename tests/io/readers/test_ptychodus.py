"""Diffraction, product and training files of ptychodus in both containers."""

import numpy as np
import pytest
from hdf5_file import COUNTS, DISTANCE_M, PIXEL_M, ROW_COL_M, WAVELENGTH_M, M, N, write

from ptycho.errors import DataError
from ptycho.io import Reading, read_fields, recognise
from ptycho.io.readers.ptychodus import read_hdf5, read_npz

BAD = np.zeros((N, N), bool)
BAD[1, 2] = True
PROBE = np.arange(2 * N * N).reshape(1, 2, N, N).astype(np.complex64)
OBJECT = np.random.default_rng(1).standard_normal((1, 6, 8)).astype(np.complex64)

DIFFRACTION = {
    "patterns": COUNTS,
    "patterns@detector_pixel_width_m": PIXEL_M,
    "indexes": np.arange(10, 10 + M),
    "bad_pixels": BAD,
}
ORDER = np.array([3, 0, 4])  # positions of three frames, in another order
NUMBERS = {"photon_energy_eV": 8000.0, "detector_object_distance_m": DISTANCE_M}
PRODUCT = {
    "probe": PROBE,
    "object": OBJECT,
    "object@pixel_width_m": 1e-8,
    "object@center_x_m": -0.5e-8,
    "object@center_y_m": 0.0,
    "probe_position_indexes": 10 + ORDER,
    "probe_position_y_m": ROW_COL_M[ORDER, 0],
    "probe_position_x_m": ROW_COL_M[ORDER, 1],
}


def as_npz(path, entries, **numbers):
    """The twin in NPZ: attributes become entries of their own."""
    flat = {name.replace("@", "_"): value for name, value in entries.items()}
    flat = {k: v for k, v in flat.items() if not k.startswith("patterns_")}
    with path.open("wb") as file:
        np.savez(file, **flat, **numbers)
    return path


@pytest.mark.parametrize("container", ["h5", "npz"])
def test_diffraction_and_product_are_joined_by_index(tmp_path, container):
    if container == "h5":
        frames = write(tmp_path / "diffraction.h5", DIFFRACTION)
        product = write(tmp_path / "product.h5", PRODUCT, **NUMBERS)
        assert recognise(frames) == recognise(product) == "ptychodus"
    else:
        frames = as_npz(tmp_path / "diffraction.npz", DIFFRACTION)
        product = as_npz(tmp_path / "product.npz", PRODUCT, **NUMBERS)
        assert recognise(frames) == recognise(product) == "ptychodus NPZ"
    fields = read_fields(frames, Reading(join=(product,)))
    shown = np.sort(ORDER)
    np.testing.assert_array_equal(fields["frames"][:], COUNTS[shown])
    # Centre of 6 rows is index 2.5; of 8 columns 3.5, and lies half a pixel before (0, 0). The
    # centre of a window is half a pixel further in our convention.
    np.testing.assert_allclose(fields["ycoords"], 1e8 * ROW_COL_M[shown, 0] + 3.0)
    np.testing.assert_allclose(fields["xcoords"], 1e8 * ROW_COL_M[shown, 1] + 4.5)
    np.testing.assert_allclose(fields["ycoords"][1], 20 + 3.0)  # frame 3 at y = 0.2 um
    np.testing.assert_array_equal(fields["mask"], ~BAD)
    np.testing.assert_array_equal(fields["obj"], OBJECT[0])
    assert fields["probe"].shape == (2, N, N)


def test_numbers_of_new_and_old_files(tmp_path):
    found = read_hdf5(write(tmp_path / "product.h5", PRODUCT, **NUMBERS))
    np.testing.assert_allclose(found.geometry.wavelength_m, WAVELENGTH_M, rtol=1e-9)
    assert found.geometry.distance_m == DISTANCE_M
    assert found.source == "ptychodus product"
    old = {"probe_energy_eV": 8000.0, "detector_object_distance_m": 0.0}
    found = read_hdf5(write(tmp_path / "old.h5", PRODUCT, **old))
    np.testing.assert_allclose(found.geometry.wavelength_m, WAVELENGTH_M, rtol=1e-9)
    assert found.geometry.distance_m is None  # 0 stands for unknown
    found = read_npz(as_npz(tmp_path / "product.npz", PRODUCT, **NUMBERS))
    np.testing.assert_allclose(found.geometry.wavelength_m, WAVELENGTH_M, rtol=1e-9)
    assert found.object_pixel_m == 1e-8


def test_diffraction_without_indexes_and_with_an_unsorted_one(tmp_path):
    entries = {k: v for k, v in DIFFRACTION.items() if k != "indexes"}
    found = read_hdf5(write(tmp_path / "diffraction.h5", entries))
    assert found.frame_numbers is None
    assert found.geometry.detector_pixel_m == PIXEL_M
    frames = write(tmp_path / "d.h5", DIFFRACTION | {"indexes": np.array([14, 13, 12, 11, 10])})
    product = write(tmp_path / "product.h5", PRODUCT, **NUMBERS)
    fields = read_fields(frames, Reading(join=(product,)))
    np.testing.assert_array_equal(fields["frames"][:], COUNTS[[4, 1, 0]])


def test_layers_of_an_object_are_multiplied(tmp_path):
    layers = PRODUCT | {"object": np.concatenate([OBJECT, 2 * OBJECT])}
    found = read_hdf5(write(tmp_path / "product.h5", layers, **NUMBERS))
    np.testing.assert_allclose(found.obj, 2 * OBJECT[0] ** 2, rtol=1e-6)
    assert "2 layers" in found.notes[0]


@pytest.mark.parametrize("energy", ["photon_energy_eV", "probe_energy_eV"])
def test_training_data_count_pixels_of_the_object(tmp_path, energy):
    entries = {
        "patterns": COUNTS.astype(np.float32) + 0.25,
        "bad_pixels": BAD,
        "probe_position_y_px": [3.5, 4, 5, 6, 7],
        "probe_position_x_px": [1.5, 2, 3, 4, 5],
        "probe": PROBE[0],
        "object": OBJECT[0],
        "object_pixel_width_m": 1e-8,
        "detector_object_distance_m": DISTANCE_M,
        energy: 8000.0,
    }
    path = write(tmp_path / "training.h5", entries)
    assert recognise(path) == "ptychodus"
    found = read_hdf5(path)
    assert found.positions_unit == "px"
    # The window of 3.5 begins at 3.5 - (N - 1) / 2 there, at 4 - N / 2 here.
    assert found.positions[0].tolist() == [4.0, 2.0]
    assert found.obj_centre is None
    assert found.measurement == "intensity"
    assert found.object_pixel_m == 1e-8
    np.testing.assert_allclose(found.geometry.wavelength_m, WAVELENGTH_M, rtol=1e-9)
    np.testing.assert_array_equal(found.mask, ~BAD)
    fields = read_fields(path)
    assert (fields["ycoords"][0], fields["xcoords"][0]) == (4.0, 2.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probe_position_y_m": np.zeros(2)}, "probe_position_y_m holds 2 and .*_x_m 3 values"),
        ({"probe": np.zeros(3)}, r"probe has shape \(3,\)"),
        ({"object": np.zeros(3)}, r"object has shape \(3,\)"),
    ],
)
def test_unusable_entries_are_named(tmp_path, changes, message):
    plain = {k: v for k, v in PRODUCT.items() if "@" not in k}
    with pytest.raises(DataError, match=message):
        read_hdf5(write(tmp_path / "product.h5", plain | changes))
    with pytest.raises(DataError, match=message):
        read_npz(as_npz(tmp_path / "product.npz", plain | changes))


def test_a_product_alone_asks_for_the_frames(tmp_path):
    with pytest.raises(DataError, match="no frames in this ptychodus product file"):
        read_fields(write(tmp_path / "product.h5", PRODUCT, **NUMBERS))
