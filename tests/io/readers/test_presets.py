"""Beamline files that are read by their paths."""

import logging

import numpy as np
import pytest
from hdf5_file import COUNTS, DISTANCE_M, PIXEL_M, ROW_COL_M, WAVELENGTH_M, M, N, h5py, write

from ptycho.errors import DataError
from ptycho.experiment import Geometry
from ptycho.io import FORMATS, Reading, read_fields, recognise
from ptycho.io.formats import read_recorded
from ptycho.io.orientation import FRAME_STEPS
from ptycho.io.readers.mapped import QUANTITIES
from ptycho.io.readers.presets import PRESETS, read_preset

UM = 1e6 * ROW_COL_M


def recorded(path):
    return read_recorded(path, Reading())


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_format_and_names_known_things(name):
    preset = PRESETS[name]
    assert name in FORMATS
    assert set(preset.entries) <= set(QUANTITIES)
    assert set(preset.frame_steps) <= set(FRAME_STEPS)
    assert all(signature.split() for signature in preset.signatures)


HXN = {
    # nsls2ptycho: amplitude, turned by -90 degrees, zero frequency at the corner.
    "diffamp": np.fft.fftshift(np.rot90(np.sqrt(COUNTS.astype(float)), axes=(2, 1)), axes=(1, 2)),
    "points": -UM[:, ::-1].T,
    "lambda_nm": 1e9 * WAVELENGTH_M,
    "z_m": DISTANCE_M,
    "ccd_pixel_um": 1e6 * PIXEL_M,
}


def test_hxn_is_undone_to_the_counts(tmp_path):
    path = write(tmp_path / "scan.h5", HXN)
    assert recognise(path) == "HXN (NSLS-II)"
    fields = read_fields(path)
    assert fields["measurement"] == "amplitude"
    # float64 roots square back to whole numbers within a few ulps of 40
    np.testing.assert_allclose(fields["frames"][:] ** 2, COUNTS, atol=1e-13)
    found = recorded(path)
    np.testing.assert_allclose(found.positions, ROW_COL_M, rtol=1e-12, atol=1e-20)
    assert found.positions[1].tolist() == pytest.approx([1e-7, 2e-7])
    np.testing.assert_allclose(found.geometry.wavelength_m, WAVELENGTH_M)
    np.testing.assert_allclose(found.geometry.detector_pixel_m, PIXEL_M)


def test_hxn_of_odd_frames_and_with_points_as_rows(tmp_path):
    odd = np.sqrt(np.resize(COUNTS, (M, 5, 5)))
    turned = np.fft.ifftshift(np.rot90(odd, axes=(2, 1)), axes=(1, 2))
    fields = read_fields(write(tmp_path / "scan.h5", HXN | {"diffamp": turned}))
    np.testing.assert_allclose(fields["frames"][:], odd)
    found = recorded(write(tmp_path / "scan.h5", HXN | {"points": HXN["points"].T}))
    np.testing.assert_allclose(found.positions, ROW_COL_M, rtol=1e-12, atol=1e-20)


def test_the_matlab_twin_of_hxn_has_a_column_of_numbers_first(tmp_path):
    table = np.column_stack([np.arange(M), UM[:, 1], UM[:, 0]])
    for stored in (table, table.T):
        path = write(tmp_path / "scan.mat", {
            "det_data": COUNTS, "pos_xy": stored, "det_dist": 1e6 * DISTANCE_M, "energy": 8.0,
        })  # fmt: skip
        found = recorded(path)
        np.testing.assert_allclose(found.positions, ROW_COL_M, rtol=1e-12, atol=1e-20)
        assert found.geometry.distance_m == DISTANCE_M
        np.testing.assert_allclose(found.geometry.wavelength_m, WAVELENGTH_M, rtol=1e-9)


NANOMAX = {
    "entry/measurement/eiger1m/frames": COUNTS.astype(np.uint32),
    "entry/measurement/pseudo/x": -UM[:, 1],
    "entry/measurement/pseudo/y": -UM[:, 0],
    "entry/snapshot/energy": [8000.0],
}


def test_nanomax_positions_are_minus_the_motors(tmp_path):
    path = write(tmp_path / "000042.h5", NANOMAX)
    assert recognise(path) == "NanoMAX"
    found = recorded(path)
    np.testing.assert_array_equal(found.frames[[3, 1]], COUNTS[[3, 1]])
    np.testing.assert_allclose(found.positions, ROW_COL_M, rtol=1e-12, atol=1e-20)
    np.testing.assert_allclose(found.geometry.wavelength_m, WAVELENGTH_M, rtol=1e-9)
    geometry = Geometry(distance_m=DISTANCE_M, detector_pixel_m=PIXEL_M)
    fields = read_fields(path, Reading(geometry=geometry))
    pixel = WAVELENGTH_M * DISTANCE_M / (N * PIXEL_M)
    np.testing.assert_allclose(fields["xcoords"], ROW_COL_M[:, 1] / pixel, rtol=1e-9, atol=1e-15)


def test_nanomax_with_a_pilatus_in_another_file_masks_its_gaps(tmp_path):
    gaps = COUNTS.astype(np.int32)
    gaps[:, 2] = -2
    gaps[1, 0, 0] = -2  # one frame only: no gap
    write(tmp_path / "pilatus.h5", {"entry/instrument/pilatus/data": gaps})
    entries = {k: v for k, v in NANOMAX.items() if "eiger" not in k and "energy" not in k}
    link = h5py.ExternalLink("pilatus.h5", "entry/instrument/pilatus/data")
    path = write(tmp_path / "000042.h5", entries | {"entry/measurement/pilatus/frames": link})
    found = recorded(path)
    np.testing.assert_array_equal(found.frames[[4, 0]], gaps[[4, 0]])
    assert np.argwhere(~found.mask)[:, 0].tolist() == [2] * N
    assert found.geometry.wavelength_m is None


def test_csaxs_in_its_units_and_a_negative_distance(tmp_path):
    path = write(tmp_path / "S00042.h5", {
        "entry/data/data": COUNTS,
        "entry/instrument/monochromator/energy": 8.0,
        "entry/instrument/monochromator/distance": -1e3 * DISTANCE_M,
        "entry/instrument/eiger_4/x_pixel_size": 1e6 * PIXEL_M,
    })  # fmt: skip
    assert recognise(path) == "cSAXS"
    found = recorded(path)
    assert found.geometry.distance_m == DISTANCE_M
    np.testing.assert_allclose(found.geometry.detector_pixel_m, PIXEL_M)
    np.testing.assert_allclose(found.geometry.wavelength_m, WAVELENGTH_M, rtol=1e-9)
    np.testing.assert_array_equal(found.frames[:], COUNTS)


def test_a_distance_of_0_is_unknown(tmp_path):
    found = recorded(write(tmp_path / "S00042.h5", {
        "entry/data/data": COUNTS,
        "entry/instrument/monochromator/energy": 0.0,
        "entry/instrument/monochromator/distance": 0.0,
    }))  # fmt: skip
    assert found.geometry == Geometry()


def test_lynx_marks_gaps_by_4095(tmp_path):
    frames = COUNTS.copy()
    frames[:, :, 1] = 4095
    path = write(tmp_path / "run.h5", {
        "entry/data/eiger_4": frames, "entry/data/eiger_4@Pixel_size": [PIXEL_M],
    })  # fmt: skip
    assert recognise(path) == "LYNX, LamNI (APS)"
    found = recorded(path)
    assert np.argwhere(~found.mask)[:, 1].tolist() == [1] * N
    assert found.geometry.detector_pixel_m == PIXEL_M


def test_frames_of_an_area_detector_ask_for_positions(tmp_path):
    entries = {"entry/data/data": COUNTS, "entry/instrument/detector/NDAttributes/a": 1}
    path = write(tmp_path / "fly001.h5", entries)
    assert recognise(path) == "EPICS areaDetector"
    with pytest.raises(DataError, match="no positions in this EPICS areaDetector file"):
        read_fields(path)


def test_what_was_done_is_logged(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        read_fields(write(tmp_path / "scan.h5", HXN))
    assert "points are (x, y) of the sample in um: negated" in caplog.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"points": np.zeros((M, 1))}, r"points has shape \(5, 1\); expected \(positions, 2\)"),
        ({"diffamp": np.zeros(3)}, "diffamp has shape"),
    ],
)
def test_unusable_entries_are_named(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        read_preset("HXN (NSLS-II)", write(tmp_path / "scan.h5", HXN | changes))


def test_a_broken_link_names_its_target(tmp_path):
    link = h5py.ExternalLink("gone.h5", "/frames")
    entries = {k: v for k, v in NANOMAX.items() if "eiger1m" not in k}
    path = write(tmp_path / "s.h5", entries | {"entry/measurement/eiger1m/frames": link})
    with pytest.raises(DataError, match=r"links to gone.h5:/frames, which does not exist"):
        recorded(path)
