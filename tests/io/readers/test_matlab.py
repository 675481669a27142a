"""MATLAB files of both versions."""

import h5py
import numpy as np
import pytest
import scipy.io
from stored_frames import check_frames, counts

from ptycho.errors import DataError
from ptycho.io.formats import read_recorded, recognise
from ptycho.io.reading import Reading

PROBE = np.arange(128).reshape(8, 8, 2) * (1 + 2j)
OBJ = np.arange(20 * 24).reshape(20, 24) * (2 - 1j)
XY = np.array([[1.5, -2.0], [0.0, 3.0]])


def _flat(found, place=""):
    for name, value in found.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{place}{name}/")
        else:
            yield f"{place}{name}", np.atleast_2d(value)


def _write(path, version, found):
    """Write variables as MATLAB does."""
    if version == 5:
        scipy.io.savemat(path, found)
        return path
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in _flat(found):
            stored = value.T
            if np.iscomplexobj(stored):
                pair = np.empty(stored.shape, [("real", "f8"), ("imag", "f8")])
                pair["real"], pair["imag"] = stored.real, stored.imag
                stored = pair
            file[name] = stored
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512))
    return path


@pytest.fixture(params=[5, 7.3])
def write(request, tmp_path):
    def written(**found):
        path = _write(tmp_path / "a.mat", request.param, found)
        assert recognise(path) == f"MATLAB {request.param:g}"
        return read_recorded(path, Reading())

    return written


def test_a_result_of_ptychoshelves(write):
    found = write(
        object=OBJ, probe=PROBE, outputs={"probe_positions": XY},
        p={"lambda": 1.5e-10, "dx_spec": [6e-8, 6e-8], "z": 2.0, "ds": 75e-6},
    )  # fmt: skip
    np.testing.assert_array_equal(found.obj, OBJ)
    np.testing.assert_array_equal(found.probe, np.moveaxis(PROBE, -1, 0))
    # By hand: ceil((20 - 8) / 2) - 1 + 4 = 9 rows, ceil((24 - 8) / 2) - 1 + 4 = 11 columns.
    np.testing.assert_array_equal(found.positions, [[-2.0 + 9, 1.5 + 11], [3.0 + 9, 11.0]])
    assert (found.positions_unit, found.obj_centre) == ("px", None)
    assert found.geometry.wavelength_m == 1.5e-10
    assert found.geometry.distance_m == 2.0
    assert found.geometry.detector_pixel_m == 75e-6
    assert found.object_pixel_m == 6e-8
    assert found.frames is None


def test_probes_with_variable_modes_and_objects_with_layers(write):
    found = write(object=np.stack([OBJ, 0 * OBJ], 2), probe=np.stack([PROBE, 0 * PROBE], 3))
    np.testing.assert_array_equal(found.obj, OBJ)
    np.testing.assert_array_equal(found.probe, np.moveaxis(PROBE, -1, 0))


def test_frames_last_as_a_raster_keep_matlabs_numbers(write):
    frames = counts()
    stored = frames.reshape(2, 3, 8, 8).transpose(2, 3, 0, 1)  # (H, W, rows, columns)
    found = write(cbed=stored)
    check_frames(found, frames)
    assert found.raster == (2, 3)
    np.testing.assert_array_equal(found.frame_numbers, [0, 2, 4, 1, 3, 5])


def test_a_stack_with_positions(write):
    found = write(
        dp=counts().transpose(1, 2, 0), ppX=np.arange(6.0) * 1e-7, ppY=-np.arange(6.0) * 1e-7,
        **{"lambda": 1e-10, "dx": 5e-8},
    )  # fmt: skip
    check_frames(found, counts())
    np.testing.assert_allclose(found.positions[2], [-2e-7, 2e-7])
    assert (found.positions_unit, found.object_pixel_m) == ("m", 5e-8)


def test_frames_first_are_known_by_their_square(write):
    check_frames(write(ptychogram=counts(), encoder=np.ones((6, 2)) * 1e-6), counts())


def test_ptylab_turns_its_frames(write):
    found = write(
        ptychogram=counts(), encoder=np.ones((6, 2)) * 1e-6, wavelength=6e-7, zo=0.03, dxd=5e-6,
        orientation=5,
    )  # fmt: skip
    assert found.frame_steps == ("transpose", "fliplr")
    assert (found.geometry.distance_m, found.geometry.detector_pixel_m) == (0.03, 5e-6)


def test_lengths_in_angstroms_are_recognised(write):
    found = write(ppX=np.arange(6.0), ppY=np.arange(6.0), dx=0.2, **{"lambda": 0.0197})
    assert found.positions_unit == "A"
    assert found.geometry.wavelength_m == pytest.approx(1.97e-12)
    assert found.object_pixel_m == pytest.approx(2e-11)


def test_a_mask_is_true_on_valid_pixels(write):
    mask = np.ones((8, 8))
    mask[2, 3] = 0
    found = write(mask=mask)
    assert not found.mask[2, 3]
    assert found.mask.sum() == 63


def test_nothing_of_a_scan_is_one_line(write):
    with pytest.raises(DataError, match="variables comment; expected frames"):
        write(comment=np.zeros(3))
    with pytest.raises(DataError, match="a, b may all be frames"):
        write(a=counts(), b=counts())
    with pytest.raises(DataError, match="6 of ppX and 5 of ppY"):
        write(ppX=np.arange(6.0), ppY=np.arange(5.0))


@pytest.mark.parametrize("version", [5, 7.3])
def test_a_file_cut_short_is_one_line(tmp_path, version):
    path = _write(tmp_path / "a.mat", version, {"dp": counts()})
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(DataError, match="expected a complete"):
        read_recorded(path, Reading())
