"""One scan of a letter F in the containers of the field: counts and positions equal the truth."""

from pathlib import Path

import numpy as np
import pytest

from ptycho.experiment import Geometry, photon_wavelength
from ptycho.io import Reading
from ptycho.scan.raw_data import RawData

HOME = Path(__file__).parents[3] / "shared" / "data" / "formats"
pytestmark = pytest.mark.skipif(not HOME.exists(), reason=f"no containers in {HOME}")

GEOMETRY = Geometry(wavelength_m=photon_wavelength(8e3), distance_m=2.0, detector_pixel_m=75e-6)
BY_HAND = {"geometry": GEOMETRY}
FRAMES, PIXELS = "npy/frames.npy", "npy/positions_px.npy"

WHOLE = {
    "cxi/cdtools.cxi": {},
    "cxi/ptychodus_diffraction.cxi cxi/ptychodus_product.cxi": {},
    "cxi/ptychodus_product.cxi cxi/ptychodus_diffraction.cxi": {},
    "nexus_ptycho/nxcxi_ptycho_arbitrary.nxs": {},
    "ptypy/scan.ptyd": {},
    "ptychodus/diffraction.h5 ptychodus/product.h5": {},
    "ptychodus/diffraction.npz ptychodus/product.npz": {},
    "ptychodus/training_data.h5": {},
    "ptychodus/ptychopinn_export.npz": {},
    "ptychoshelves/data_roi0_Ndp64_dp.hdf5": {},
    "ptychoshelves/data_roi0_Ndp64_para.hdf5": {},
    "ptylab/scan.hdf5": {},
    "hxn/scan_12345.h5": {},
    "nanomax/000042.h5": BY_HAND,
    f"csaxs/S00042.h5 {PIXELS}": {},
    f"{FRAMES} {PIXELS}": {},
    f"npy/frames4d.npy {PIXELS}": {},
    f"npy/amplitude_only.npz {PIXELS}": {},
    f"tiff/stack.tif {PIXELS}": {},
    f"{FRAMES} cdtools/results.h5": {},
    f"{FRAMES} ptypy/recon.ptyr": {},
    f"{FRAMES} ptychoshelves/recon_v5.mat": {},
    f"{FRAMES} positions/header_um.csv": BY_HAND,
    f"{FRAMES} positions/semicolon_decimal_comma.csv": BY_HAND,
    f"{FRAMES} positions/lamni_softgluezynq_processed.dat": BY_HAND,
    f"{FRAMES} positions/ptychodus_xy_m.txt": BY_HAND,
    f"{FRAMES} positions/ptychodus_yx_m.csv": BY_HAND,
    "zarr/scan_v2.zarr": BY_HAND,
}
"""Files of one scan -> what they do not state."""

ROUNDED = {"header_um.csv": 1e-3, "semicolon_decimal_comma.csv": 1e-3, "results.h5": 0.05}
"""Largest error of positions, pixels, where a file holds few digits or a refinement."""


@pytest.fixture(scope="module")
def truth():
    with np.load(HOME / "truth_letterF.npz") as file:
        return dict(file)


@pytest.mark.parametrize("files", WHOLE)
def test_counts_and_positions_are_those_of_the_truth(truth, files):
    if "zarr" in files:
        pytest.importorskip("zarr")
    if "nanomax" in files:
        pytest.importorskip("hdf5plugin")
    first, *others = (HOME / name for name in files.split())
    raw = RawData.from_file(first, Reading(join=tuple(others), **WHOLE[files]))
    stored = np.asarray(raw.frames[:])
    valid = np.ones((64, 64), bool) if raw.mask is None else raw.mask
    if raw.measurement == "amplitude":
        np.testing.assert_allclose(stored.astype(float) ** 2, truth["counts"], atol=1e-3)
    else:
        assert (stored == truth["counts"])[:, valid].all()
    assert not raw.mask[truth["bad"]].any() if raw.mask is not None else True
    away = raw.positions - truth["pos_px"]
    name = others[-1].name if others else first.name
    assert np.abs(away - away.mean(axis=0)).max() < ROUNDED.get(name, 1e-4)
    if raw.pixel_size_m is not None:
        assert raw.pixel_size_m == pytest.approx(64.5751e-9, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "frames", "step_nm"),
    [
        ("emd/emdfile_array4d.h5", (48, 64, 64), None),
        ("written_by_rosettasciio/stem4d.emd", (48, 64, 64), 0.5),
        ("written_by_rosettasciio/stem4d.hspy", (48, 64, 64), 0.5),
        ("empad/scan_x4_y4.raw", (16, 128, 128), None),
        ("ptychoshelves/cbed_4d_v5.mat", (16, 64, 64), None),
    ],
)
def test_rasters_are_read_with_their_shape(truth, name, frames, step_nm):
    raw = RawData.from_file(HOME / name, Reading(step_px=(3.0, 4.0)))
    assert raw.frames.shape == frames
    columns = {48: 8, 16: 4}[frames[0]]
    np.testing.assert_allclose(raw.positions[columns], [3.0, 0.0])
    np.testing.assert_allclose(raw.positions[1], [0.0, 4.0])
    if step_nm is not None:
        known = RawData.from_file(HOME / name)
        step = np.ptp(known.positions[:columns, 1]) / (columns - 1) * known.pixel_size_m
        assert step == pytest.approx(1e-9 * step_nm, rel=1e-3)
