"""What the implementation plan asks of grouping, from the scan file on; training is tested apart.

Named after the plan's validation criteria: unit test requirements 1 to 4, integration test
requirements 2 to 4. The scan has the size of the plan's success test, 10,304 positions, and
frames just large enough to tell one from the other.
"""

import logging

import numpy as np
import pytest

from ptycho.grouping import GroupRule, cache_file, summarise
from ptycho.grouping import cache as group_cache
from ptycho.scan.raw_data import RawData

N = 4
ROWS, COLS = 92, 112
M = ROWS * COLS


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A scan file of a 92 x 112 raster; pixel (0, 0) of each frame holds its number."""
    rng = np.random.default_rng(0)
    frames = rng.poisson(5, (M, N, N)).astype(np.uint16)
    frames[:, 0, 0] = np.arange(M)
    row, col = np.mgrid[:ROWS, :COLS].reshape(2, M)
    path = tmp_path_factory.mktemp("data") / "fly001_transposed.npz"
    RawData(
        frames=frames,
        measurement="counts",
        xcoords=3.36 * col + rng.normal(0, 0.1, M),
        ycoords=3.36 * row + rng.normal(0, 0.1, M),
        probe=np.ones((N, N)),
    ).save(path)
    return path


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO)
    return caplog


@pytest.fixture
def cache(dataset):
    """Where the cache of the plan's run lies; it is not there yet."""
    path = dataset.parent / "fly001_transposed.g2k4.groups_cache.npz"
    path.unlink(missing_ok=True)
    return path


def grouped(dataset, n_images, gridsize=2, **options):
    raw = RawData.from_file(dataset)
    return raw.generate_grouped_data(
        N, K=4, nsamples=n_images, dataset_path=dataset, gridsize=gridsize, **options
    )


def frame_numbers(data):
    """Numbers of the frames in the order they lie in `diffraction` (G, N, N, C)."""
    return np.rint(np.square(data["diffraction"][:, 0, 0, :])).astype(int)


def test_cache_creation(dataset, cache, log):
    grouped(dataset, 512, seed=0)
    assert cache.exists()
    assert "groups cache created" in log.text
    assert cache.stat().st_size < 100e6
    with np.load(cache) as stored:
        assert {"all_groups", "dataset_checksum", "gridsize", "overlap_factor"} <= set(stored)
        assert stored["all_groups"].shape[1] == 4
        assert (int(stored["gridsize"]), float(stored["overlap_factor"])) == (2, 4.0)


def test_cache_loading(dataset, cache, log):
    first = grouped(dataset, 512, seed=0)
    written = cache.stat().st_mtime_ns
    log.clear()
    second = grouped(dataset, 512, seed=0)
    assert "groups cache used" in log.text
    assert "created" not in log.text
    assert cache.stat().st_mtime_ns == written
    np.testing.assert_array_equal(first["nn_indices"], second["nn_indices"])


@pytest.mark.parametrize(("n_images", "patterns"), [(512, 2048), (256, 1024), (2576, M)])
def test_group_sampling(dataset, log, n_images, patterns):
    data = grouped(dataset, n_images, seed=0)
    assert data["nn_indices"].shape == (n_images, 4)
    assert data["diffraction"].shape == (n_images, N, N, 4)
    np.testing.assert_array_equal(frame_numbers(data), data["nn_indices"])
    assert f"n_images={n_images} refers to neighbor groups (gridsize=2)" in log.text
    assert f"groups: {n_images:,} of " in log.text
    assert f"(gridsize 2, K 4), {patterns:,} patterns, " in log.text
    with np.load(dataset.parent / "fly001_transposed.g2k4.groups_cache.npz") as stored:
        valid = {tuple(row) for row in stored["all_groups"].tolist()}
    sampled = [tuple(row) for row in data["nn_indices"].tolist()]
    assert set(sampled) <= valid
    assert len(set(sampled)) == n_images


@pytest.mark.parametrize("n_images", [1, 512, M, M + 1])
def test_backward_compatibility(dataset, cache, log, n_images):
    data = grouped(dataset, n_images, gridsize=1)
    expected = np.arange(min(n_images, M))
    np.testing.assert_array_equal(data["nn_indices"][:, 0], expected)
    np.testing.assert_array_equal(frame_numbers(data)[:, 0], expected)
    assert f"n_images={n_images} refers to individual images (gridsize=1)" in log.text
    assert list(dataset.parent.iterdir()) == [dataset]
    assert not cache.exists()


def test_cache_files_are_reused_across_runs_of_any_seed_and_size(dataset, cache, log):
    grouped(dataset, 512, seed=0)
    log.clear()
    for seed, n_images in ((1, 512), (2, 100), (2, 2576)):
        grouped(dataset, n_images, seed=seed)
    assert log.text.count("groups cache used") == 3
    assert "created" not in log.text


def test_with_a_cache_nothing_is_searched_again(dataset, cache, monkeypatch):
    """The work saved is what makes later runs fast; a clock would only measure the machine."""
    expected = grouped(dataset, 2576, seed=0)

    def searched(*_args, **_kwargs):
        raise AssertionError("searched the groups again in spite of the cache")

    monkeypatch.setattr(cache_file, "find_neighbourhood", searched)
    monkeypatch.setattr(group_cache, "tabulate", searched)
    found = grouped(dataset, 2576, seed=0)
    np.testing.assert_array_equal(found["nn_indices"], expected["nn_indices"])


def test_random_sampling_is_more_diverse_in_space_than_sequential(dataset):
    raw = RawData.from_file(dataset)
    covered = {}
    for sampling in ("sequential", "uniform", "balanced"):
        groups = raw.select_groups(512, GroupRule(K=8), sampling=sampling, use_cache=False)
        covered[sampling] = summarise(raw.xcoords, raw.ycoords, groups)
    assert covered["uniform"].n_different > 2 * covered["sequential"].n_different
    assert covered["uniform"].largest_gap < covered["sequential"].largest_gap / 5
    assert covered["uniform"].near_share > 2 * covered["sequential"].near_share
    assert covered["balanced"].n_different == 2048
    assert covered["balanced"].largest_gap < covered["uniform"].largest_gap
    assert covered["balanced"].near_share > covered["uniform"].near_share


def test_as_many_patterns_as_frames_use_nearly_all_frames_when_balanced(dataset):
    groups = RawData.from_file(dataset).select_groups(
        2576, GroupRule(K=8), sampling="balanced", use_cache=False
    )
    assert groups.size == M
    assert 1 - len(np.unique(groups)) / M <= 0.005
