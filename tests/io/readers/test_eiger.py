"""Master files of Dectris detectors and the files they link to."""

import numpy as np
import pytest
from hdf5_file import COUNTS, DISTANCE_M, PIXEL_M, WAVELENGTH_M, M, N, h5py, write

from ptycho.errors import DataError
from ptycho.experiment import electron_wavelength
from ptycho.io import recognise
from ptycho.io.readers.eiger import read

DETECTOR = "entry/instrument/detector"
SPECIFIC = f"{DETECTOR}/detectorSpecific"
MASK = np.zeros((N, N), np.uint32)
MASK[0, 3] = 8
MASTER = {
    f"{SPECIFIC}/pixel_mask": MASK,
    f"{SPECIFIC}/photon_energy": 8000.0,
    f"{SPECIFIC}/nimages": 1,
    f"{SPECIFIC}/ntrigger": M,
    f"{DETECTOR}/detector_distance": DISTANCE_M,
    f"{DETECTOR}/x_pixel_size": PIXEL_M,
}


def master(folder, parts, n_links, **changes):
    """A master with links to files of frames, of which some may be missing."""
    for number, frames in parts.items():
        write(folder / f"s_data_{number:06d}.h5", {"entry/data/data": frames})
    links = {
        f"entry/data/data_{i:06d}": h5py.ExternalLink(f"s_data_{i:06d}.h5", "entry/data/data")
        for i in range(1, n_links + 1)
    }
    entries = MASTER | links | {f"{SPECIFIC}/{name}": value for name, value in changes.items()}
    return write(folder / "s_master.h5", entries)


def test_linked_files_are_one_stack_and_links_too_many_no_fault(tmp_path):
    path = master(tmp_path, {1: COUNTS[:2], 2: COUNTS[2:]}, 4)
    assert recognise(path) == "Dectris master"
    found = read(path)
    np.testing.assert_array_equal(found.frames[[4, 1, 2, 0]], COUNTS[[4, 1, 2, 0]])
    assert found.measurement == "counts"
    assert np.argwhere(~found.mask).tolist() == [[0, 3]]
    np.testing.assert_allclose(found.geometry.wavelength_m, WAVELENGTH_M, rtol=1e-9)
    assert (found.geometry.distance_m, found.geometry.detector_pixel_m) == (DISTANCE_M, PIXEL_M)
    assert not found.notes


def test_fewer_frames_than_announced_are_reported(tmp_path):
    found = read(master(tmp_path, {1: COUNTS[:2]}, 2))
    assert "2 of 5 frames found in 1 linked files; 1 files are missing" in found.notes[0]


def test_a_gap_in_the_files_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"data_000002 links to s_data_000002.h5.* does not exist"):
        read(master(tmp_path, {1: COUNTS[:2], 3: COUNTS[2:]}, 3))


def test_no_file_at_all_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"data_000001 links to s_data_000001.h5"):
        read(master(tmp_path, {}, 2))


def test_masked_pixels_without_a_mask_hold_the_largest_number(tmp_path):
    frames = COUNTS.copy()
    frames[:, 1, 1] = 2**16 - 1
    path = master(tmp_path, {1: frames}, 1, pixel_mask=np.zeros((N, N), np.uint32))
    assert np.argwhere(~read(path).mask).tolist() == [[1, 1]]


@pytest.mark.parametrize("channels", [1, 2])
def test_a_channel_axis_is_dropped_and_the_first_threshold_read(tmp_path, channels):
    frames = np.stack([COUNTS] + [COUNTS // 2] * (channels - 1), axis=1)
    path = write(tmp_path / "s_master.h5", MASTER | {"entry/data/data": frames})
    assert recognise(path) == "Dectris master"
    found = read(path)
    np.testing.assert_array_equal(found.frames[[3, 0, 3]], COUNTS[[3, 0, 3]])
    assert len(found.notes) == channels - 1


@pytest.mark.parametrize(
    ("energy", "detector"), [(300e3, "Dectris EIGER"), (80e3, "Dectris ARINA Si")]
)
def test_a_photon_energy_in_an_electron_microscope_is_that_of_electrons(tmp_path, energy, detector):
    entries = {f"{SPECIFIC}/photon_energy": energy, f"{DETECTOR}/description": detector,
               f"{DETECTOR}/detector_distance": 0.0, "entry/data/data": COUNTS}  # fmt: skip
    found = read(write(tmp_path / "s_master.h5", MASTER | entries))
    assert found.geometry.wavelength_m == electron_wavelength(energy)
    assert found.geometry.distance_m is None
    assert "electrons" in found.notes[0]


def test_a_wavelength_in_angstrom_counts_before_an_energy(tmp_path):
    entries = {"entry/instrument/beam/incident_wavelength": 1.2, "entry/data/data": COUNTS}
    found = read(write(tmp_path / "s_master.h5", MASTER | entries))
    np.testing.assert_allclose(found.geometry.wavelength_m, 1.2e-10)


def test_a_mask_of_another_size_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"pixel_mask of shape .* expected"):
        read(master(tmp_path, {1: COUNTS}, 1, pixel_mask=np.zeros((2, 2), np.uint32)))
