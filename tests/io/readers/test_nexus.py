"""NXcxi_ptycho: motors of the sample, and energies of photons and rings."""

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
from ptycho.io import recognise
from ptycho.io.readers.nexus import read

INSTRUMENT = "entry_1/instrument_1"
DETECTOR = f"{INSTRUMENT}/detector_1"
MOTORS = "entry_1/sample_1/transformations"
DEFAULT = {
    "cxi_version": 160,
    "entry_1/definition": "NXcxi_ptycho",
    "entry_1/data/data": COUNTS,
    f"{INSTRUMENT}/beam_1/energy": ENERGY_J,
    f"{INSTRUMENT}/beam_1/energy@units": "J",
    f"{INSTRUMENT}/source_1/energy": 3.0,
    f"{INSTRUMENT}/source_1/energy@units": "GeV",
    f"{DETECTOR}/distance": 1e3 * DISTANCE_M,
    f"{DETECTOR}/distance@units": "mm",
    f"{DETECTOR}/x_pixel_size": PIXEL_M,
    f"{MOTORS}/x": -1e6 * ROW_COL_M[:, 1],
    f"{MOTORS}/x@units": "um",
    f"{MOTORS}/y": -1e6 * ROW_COL_M[:, 0],
    f"{MOTORS}/y@units": "um",
}


def test_positions_are_minus_the_motors_in_their_unit(tmp_path):
    path = write(tmp_path / "scan.nxs", DEFAULT)
    found = read(path)
    assert recognise(path) == "NeXus NXcxi_ptycho"
    np.testing.assert_array_equal(found.frames[[4, 1]], COUNTS[[4, 1]])
    # Motors of frame 1: x = -0.2 um, y = -0.1 um.
    np.testing.assert_allclose(found.positions[1], [1e-7, 2e-7], rtol=1e-12)
    np.testing.assert_allclose(found.positions, ROW_COL_M, rtol=1e-12, atol=1e-20)
    np.testing.assert_allclose(found.geometry.wavelength_m, WAVELENGTH_M, rtol=1e-9)
    assert (found.geometry.distance_m, found.geometry.detector_pixel_m) == (DISTANCE_M, PIXEL_M)


@pytest.mark.parametrize("energy", [ENERGY_J, 8.0, 8000.0])
def test_an_energy_without_unit_is_read_as_j_kev_or_ev(tmp_path, energy):
    entries = DEFAULT | {f"{INSTRUMENT}/beam_1/energy": energy}
    del entries[f"{INSTRUMENT}/beam_1/energy@units"]
    found = read(write(tmp_path / "scan.nxs", entries))
    np.testing.assert_allclose(found.geometry.wavelength_m, WAVELENGTH_M, rtol=1e-9)


def test_the_energy_of_the_ring_is_never_that_of_the_photons(tmp_path):
    entries = {k: v for k, v in DEFAULT.items() if "beam_1" not in k}
    found = read(write(tmp_path / "scan.nxs", entries))
    assert found.geometry.wavelength_m is None
    assert "source_1/energy = 3 GeV is not a photon energy: ignored" in found.notes


def test_positions_of_shape_m_1_1_and_other_vectors(tmp_path):
    entries = DEFAULT | {
        f"{MOTORS}/x": DEFAULT[f"{MOTORS}/x"].reshape(M, 1, 1),
        f"{MOTORS}/y": DEFAULT[f"{MOTORS}/y"].reshape(M, 1, 1),
        f"{MOTORS}/x@vector": [-1, 0, 0],
        f"{MOTORS}/y@vector": "[0 1 0]",
    }
    found = read(write(tmp_path / "scan.nxs", entries))
    np.testing.assert_allclose(found.positions, ROW_COL_M * [1, -1], rtol=1e-12, atol=1e-20)


@pytest.mark.parametrize(
    ("axes", "slow"), [(["y", "x", ".", "."], "y"), (["x", "y", ".", "."], "x")]
)
@pytest.mark.parametrize("shape", [(2, 3), (2, 2)])
def test_the_axes_of_a_raster_are_meshed_in_the_order_of_the_frames(tmp_path, axes, slow, shape):
    n = shape[0] * shape[1]
    counts = np.resize(COUNTS, (n, N, N))
    lengths = dict(zip(axes[:2], shape, strict=True))
    x, y = -np.arange(lengths["x"]) * 1e-6, -10 * np.arange(lengths["y"]) * 1e-6
    entries = {k: v for k, v in DEFAULT.items() if MOTORS not in k} | {
        "entry_1/data/data": counts.reshape(*shape, N, N), "entry_1/data@axes": axes,
        "entry_1/data/x": x, "entry_1/data/y": y,
    }  # fmt: skip
    found = read(write(tmp_path / "scan.nxs", entries))
    np.testing.assert_array_equal(found.frames[:], counts)
    step = [0, 1] if slow == "y" else [10, 0]
    np.testing.assert_allclose(1e6 * found.positions[1], step, atol=1e-9)  # the fast axis
    np.testing.assert_allclose(
        1e6 * found.positions[-1], [10 * (lengths["y"] - 1), lengths["x"] - 1], atol=1e-9
    )


def test_a_translation_serves_where_motors_are_missing(tmp_path):
    xyz = -np.column_stack([ROW_COL_M[:, 1], ROW_COL_M[:, 0], np.zeros(M)])
    entries = {k: v for k, v in DEFAULT.items() if MOTORS not in k}
    for table in (xyz, xyz.T):
        found = read(write(tmp_path / "scan.nxs", entries | {"entry_1/data_1/translation": table}))
        np.testing.assert_allclose(found.positions, ROW_COL_M, rtol=1e-12, atol=1e-20)


def test_missing_positions_are_left_open(tmp_path):
    entries = {k: v for k, v in DEFAULT.items() if MOTORS not in k}
    assert read(write(tmp_path / "scan.nxs", entries)).positions is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({f"{MOTORS}/x": np.zeros(M - 1)}, "x and y hold 4 and 5 values for 5 frames"),
        ({f"{MOTORS}/x@units": "deg"}, "x in 'deg'; expected a length"),
        ({f"{MOTORS}/x@vector": "up"}, "vector .*; expected three numbers"),
        ({"entry_1/data/data": h5py.ExternalLink("gone.h5", "/data")}, "gone.h5"),
    ],
)
def test_unusable_entries_are_named(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        read(write(tmp_path / "scan.nxs", DEFAULT | changes))
