"""Laws of the scan paths."""

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from ptycho.errors import ConfigError
from ptycho.physics.patches import window_corners
from ptycho.simulation import SCAN_PATTERNS
from ptycho.simulation.scans import (
    fermat_scan,
    fly_scan,
    lattice_shape,
    place_scan,
    raster_scan,
)

PATHS = SCAN_PATTERNS.values()


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("n_frames", [1, 2, 7, 100, 1009])
def test_a_scan_has_exactly_the_frames_asked_for(path, n_frames):
    positions = path(n_frames, step=4.0, rng=rng())
    assert positions.shape == (n_frames, 2)
    assert positions.dtype == np.float64
    assert len(np.unique(positions.round(6), axis=0)) == n_frames


@pytest.mark.parametrize("path", PATHS)
def test_jitter_follows_its_generator_and_its_size(path):
    still = path(2000, step=4.0, rng=rng())
    moved = path(2000, step=4.0, jitter=0.3, rng=rng())
    np.testing.assert_array_equal(moved, path(2000, step=4.0, jitter=0.3, rng=rng()))
    assert not np.array_equal(moved, path(2000, step=4.0, jitter=0.3, rng=rng(1)))
    # 4,000 numbers: the deviation is known to 1.1 %.
    assert (moved - still).std() == pytest.approx(0.3, rel=0.05)


def test_raster_by_hand():
    positions = raster_scan(4, step=2.0, row_step=3.0, rng=rng())
    np.testing.assert_array_equal(positions, [[0, 0], [0, 2], [3, 0], [3, 2]])


def test_fly_scan_turns_round_at_the_end_of_each_row():
    positions = fly_scan(12, step=2.0, rng=rng())
    assert lattice_shape(12, 2.0, 2.0) == (3, 4)
    np.testing.assert_array_equal(positions[:, 1], [0, 2, 4, 6, 6, 4, 2, 0, 0, 2, 4, 6])
    np.testing.assert_array_equal(positions[:, 0], np.repeat([0, 2, 4], 4))


@pytest.mark.parametrize("n_frames", [12, 30, 1000])
def test_fly_scan_never_jumps(n_frames):
    positions = fly_scan(n_frames, step=2.0, row_step=5.0, rng=rng())
    jumps = np.hypot(*np.diff(positions, axis=0).T)
    assert set(jumps.round(9)) == {2.0, 5.0}


def test_production_scan_has_92_rows_of_112():
    assert lattice_shape(10304, 4.0, 3.4) == (92, 112)


@pytest.mark.parametrize("n_frames", [1, 5, 37, 600, 1009, 4096])
def test_lattice_holds_the_frames_and_wastes_less_than_a_row(n_frames):
    rows, cols = lattice_shape(n_frames)
    assert rows * cols - cols < n_frames <= rows * cols


def test_fermat_spiral_has_the_density_asked_for():
    positions = fermat_scan(5000, step=4.0, rng=rng())
    inside = np.count_nonzero(np.hypot(*positions.T) < 60.0)
    assert inside == pytest.approx(np.pi * 60.0**2 / 16.0, rel=0.01)
    nearest = cKDTree(positions).query(positions, k=2)[0][:, 1]
    # A golden spiral packs evenly: no two nearer than 0.8, none lonelier than 1.1 steps.
    assert nearest.min() > 0.8 * 4.0
    assert nearest.max() < 1.1 * 4.0


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("size", [8, 64, 7])
def test_every_window_lies_on_the_object_with_its_margin(path, size):
    positions, shape = place_scan(path(150, step=3.3, jitter=0.5, rng=rng()), size, margin=4)
    corners, _ = window_corners(torch.from_numpy(positions), size)
    first, last = corners.amin(0).tolist(), (corners.amax(0) + size).tolist()
    assert first == [4, 4]
    assert [shape[0] - last[0], shape[1] - last[1]] == [4, 4]


def test_placing_only_moves():
    scan = fermat_scan(50, step=3.0, rng=rng())
    placed, _ = place_scan(scan, 16)
    np.testing.assert_allclose(np.ptp(placed - scan, axis=0), 0.0, atol=1e-12)


def test_no_frames_is_a_mistake():
    with pytest.raises(ConfigError, match="n_frames: 0; expected 1 or more"):
        raster_scan(0, step=1.0, rng=rng())
