"""Flashes: found where they are, nowhere else, and replaced wherever frames are read."""

from dataclasses import replace

import numpy as np
import pytest

from ptycho.api.simulation import simulate
from ptycho.errors import DataError
from ptycho.scan.flashes import flashes_of, mended
from ptycho.scan.raw_data import RawData
from ptycho.scan.sample import sampled


@pytest.fixture(scope="module")
def sound():
    return simulate(n_frames=100, N=32, step=2.5, jitter=0.4, probe_fwhm=9.0, photons=2e4, seed=3,
                    amplitude_image="leaves", phase_image="clouds")  # fmt: skip


def with_frames(raw, frames):
    return replace(raw, frames=frames)


def test_a_flash_is_the_median_of_its_neighbours_by_hand():
    frames = np.array([[[1, 2, 3], [4, 900, 6], [7, 8, 9]]] * 2, np.uint16)
    found = mended(frames, np.array([[1, 1, 1]]), None)
    assert found[1, 1, 1] == 5  # between 4 and 6
    assert found[0, 1, 1] == frames[1, 1, 1] == 900  # the other frame, and what is stored
    corner = mended(frames, np.array([[0, 0, 0]]), None)
    assert corner[0, 0, 0] == 4  # of 2, 4, 900
    valid = np.ones((3, 3), bool)
    valid[0, 1] = False
    assert mended(frames, np.array([[0, 1, 1]]), valid)[0, 1, 1] == 6  # of 1, 3, 4, 6, 7, 8, 9


def test_neighbours_that_flash_do_not_count():
    frames = np.array([[[800.0, 900.0, 3.0], [4.0, 5.0, 6.0]]])
    found = mended(frames, np.array([[0, 0, 0], [0, 0, 1]]), None)
    assert found[0, 0, 0] == 4.5  # of 4, 5
    assert found[0, 0, 1] == 4.5  # of 3, 4, 5, 6


@pytest.mark.parametrize("measurement", ["counts", "intensity", "amplitude"])
def test_every_reader_of_frames_sees_the_same_values(measurement):
    rng = np.random.default_rng(0)
    frames = rng.integers(1, 9, (6, 8, 8)).astype("uint16" if measurement == "counts" else "f4")
    flashes = np.array([[4, 3, 3], [1, 0, 7]])
    good = mended(frames, flashes, None)
    places = {"xcoords": np.arange(6.0), "ycoords": np.arange(6.0), "probe": np.ones((8, 8))}
    raw, true = (
        RawData(frames=f, measurement=measurement, flashes=given, **places)
        for f, given in ((frames, flashes), (good, None))
    )
    for numbers in (np.arange(6), np.array([4, 0, 4, 1])):
        for name in ("stored", "intensity", "amplitude"):
            found, expected = (getattr(scan, name)(numbers) for scan in (raw, true))
            np.testing.assert_array_equal(found, expected)
    part = raw.subset(np.array([5, 4, 4, 1]))
    assert part.flashes.tolist() == [[1, 3, 3], [2, 3, 3], [3, 0, 7]]
    np.testing.assert_array_equal(part.amplitude(np.arange(4)), true.amplitude([5, 4, 4, 1]))
    np.testing.assert_array_equal(raw.mended_frames[:], good)
    assert raw.photons_per_frame() == true.photons_per_frame()
    assert raw.frames is frames


def test_flashes_of_frames_in_any_order():
    flashes = np.array([[0, 1, 1], [2, 3, 4], [2, 5, 6], [9, 0, 0]])
    assert flashes_of(flashes, np.array([2, 1, 0, 2])).tolist() == [
        [0, 3, 4], [0, 5, 6], [2, 1, 1], [3, 3, 4], [3, 5, 6],
    ]  # fmt: skip


def test_a_saved_scan_holds_the_values_that_are_read(sound, tmp_path):
    frames = np.asarray(sound.frames[:]).copy()
    frames[7, 20, 21] = 60000
    raw = replace(sound, frames=frames, flashes=np.array([[7, 20, 21]]))
    raw.save(tmp_path / "scan.npz")
    again = RawData.from_file(tmp_path / "scan.npz")
    assert again.flashes is None
    np.testing.assert_array_equal(again.amplitude(np.arange(100)), raw.amplitude(np.arange(100)))


@pytest.mark.parametrize("value", [[[0, 0]], [[0.5, 0, 0]], [[100, 0, 0]], [[0, -1, 0]]])
def test_flashes_outside_the_scan_are_refused(sound, value):
    with pytest.raises(DataError, match="flashes"):
        replace(sound, flashes=np.array(value))


def test_flashes_are_found_in_any_frame(sound):
    rng = np.random.default_rng(1)
    frames = np.asarray(sound.frames[:]).astype(np.uint32)
    top = int(frames.max())
    frame = rng.permutation(100)[:20]
    rows, cols = rng.integers(0, 32, (2, 20))
    frames[frame, rows, cols] += 16 * top
    found = sampled(with_frames(sound, frames)).flashes
    assert found.tolist() == np.column_stack([frame, rows, cols])[np.argsort(frame)].tolist()


def bright_field(seed, n_photons, beamstop):
    """Discs with speckle inside, as an electron probe leaves them, and a few photons outside."""
    rng = np.random.default_rng(seed)
    row, col = np.indices((48, 48)) - 24
    radius = rng.uniform(6, 16)
    inside = np.hypot(row, col) <= radius
    speckle = np.exp(1j * rng.uniform(0, 6.3, (64, 48, 48)))
    spread = np.exp(-(row**2 + col**2) / (2 * rng.uniform(4, 9) ** 2))
    waves = np.fft.fft2(np.fft.fftshift(spread) * np.fft.ifft2(speckle))
    frames = np.abs(waves) ** 2 * (inside + 0.02 * np.exp(-np.hypot(row, col) / 8))
    frames = rng.poisson(frames / frames.sum() * n_photons * 64)
    if beamstop:
        frames[:, np.hypot(row, col) < 4] = 0
    positions = 2.0 * np.stack(np.divmod(np.arange(64), 8))
    return RawData(
        frames=frames.astype(np.uint32), measurement="counts", xcoords=positions[1],
        ycoords=positions[0], probe=np.fft.fftshift(np.fft.ifft2(np.fft.fftshift(inside))),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("n_photons", [1e3, 1e6])
@pytest.mark.parametrize("beamstop", [False, True])
def test_discs_speckle_noise_and_beamstops_do_not_flash(seed, n_photons, beamstop):
    assert not len(sampled(bright_field(seed, n_photons, beamstop)).flashes)


def test_a_direct_beam_in_one_pixel_does_not_flash():
    rng = np.random.default_rng(0)
    frames = rng.poisson(0.5, (64, 32, 32)).astype(np.uint16)
    frames[:, 16, 16] = rng.poisson(rng.uniform(100, 900, 64))
    positions = 2.0 * np.stack(np.divmod(np.arange(64), 8))
    raw = RawData(frames=frames, measurement="counts", xcoords=positions[1],
                  ycoords=positions[0], probe=np.ones((32, 32)))  # fmt: skip
    assert not len(sampled(raw).flashes)
