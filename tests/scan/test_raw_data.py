"""RawData: units of its frames, its faults, its groups and the historic dictionary."""

import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from npz_scan import AMPLITUDE, COUNTS, PROBE, M, N, X, Y, scan, written
from scan_shapes import raster

from ptycho.errors import DataError, GroupingError
from ptycho.grouping import GroupRule
from ptycho.scan.raw_data import RawData


@pytest.fixture
def path(tmp_path):
    return tmp_path / "scan.npz"


@pytest.fixture(autouse=True)
def log(caplog):
    caplog.set_level(logging.INFO)
    return caplog


# What the frames mean


numbers = st.sampled_from([np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.float32])


@given(data=st.data(), dtype=numbers)
def test_photons_never_overflow_whatever_the_type(data, dtype):
    top = 255 if dtype is np.uint8 else 30_000
    values = st.integers(0, top).map(float) if dtype is np.float32 else st.integers(0, top)
    frames = data.draw(arrays(dtype, (2, 2, 2), elements=values))
    wide = frames.astype(np.float64)
    fields = {"frames": frames, "xcoords": X[:2], "ycoords": Y[:2], "probe": PROBE[:2, :2]}
    for measurement, photons in (("amplitude", wide**2), ("counts", wide), ("intensity", wide)):
        raw = RawData(measurement=measurement, **fields)
        found = raw.intensity(np.arange(2))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, photons, rtol=1e-6)
        np.testing.assert_allclose(raw.amplitude(np.arange(2)), np.sqrt(photons), rtol=1e-6)


def test_asking_for_frames_never_changes_the_stored_ones():
    for measurement in ("counts", "amplitude"):
        frames = AMPLITUDE.copy()
        raw = scan(frames=frames, measurement=measurement)
        for convert in (raw.intensity, raw.amplitude):
            convert(np.arange(M))[:] = -1
        np.testing.assert_array_equal(frames, AMPLITUDE)


def test_photons_per_frame_by_hand():
    frames = np.full((M, N, N), 3, np.uint8)
    assert scan(frames=frames).photons_per_frame() == 3 * N * N
    assert scan(frames=frames, measurement="amplitude").photons_per_frame() == 9 * N * N


@pytest.mark.parametrize("measurement", ["counts", "amplitude"])
def test_a_scan_in_another_unit_can_be_scaled_to_photons(measurement):
    raw = scan(frames=np.full((M, N, N), 3, np.uint16), measurement=measurement)
    scaled = raw.scaled_to(2.0 * N * N).scaled_to(4.0 * N * N)
    np.testing.assert_allclose(scaled.photons_per_frame(), 4 * N * N, rtol=1e-6)
    np.testing.assert_allclose(scaled.amplitude(np.array([1])), 2, rtol=1e-6)
    np.testing.assert_allclose(scaled.intensity(np.array([1])), 4, rtol=1e-6)
    np.testing.assert_array_equal(scaled.frames, raw.frames)


def test_dark_frames_cannot_be_scaled():
    with pytest.raises(DataError, match="frames without photons; expected some to scale"):
        scan(frames=np.zeros((M, N, N), np.uint16)).scaled_to(1e4)


# Faults


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_a_bad_frame_met_later_is_named(value):
    frames = np.ones((100, N, N), np.float32)
    frames[37, 2, 3] = value
    x, y = raster(10, 10)
    raw = scan(frames=frames, xcoords=x, ycoords=y, measurement="intensity")
    with pytest.raises(DataError, match=r"scan: frame 37 holds .* in 1 of 64 pixels"):
        raw.amplitude(np.arange(30, 40))
    raw.amplitude(np.arange(30))


def test_an_unknown_measurement_is_refused(path):
    with pytest.raises(DataError, match=r"measurement = 'volts'; expected one of counts, intens"):
        RawData(**(vars(scan()) | {"measurement": "volts"}))


# Parts


def test_subsets_take_everything_along():
    raw = scan(xcoords_start=X + 1, scan_index=np.arange(M) // 4, obj=np.eye(20) + 0j)
    part = raw.subset(np.array([5, 2, 2]))
    np.testing.assert_array_equal(part.frames, COUNTS[[5, 2, 2]])
    assert part.xcoords.tolist() == X[[5, 2, 2]].tolist()
    assert part.xcoords_start.tolist() == (X[[5, 2, 2]] + 1).tolist()
    assert part.scan_index.tolist() == [1, 0, 0]
    assert part.obj is not None
    np.testing.assert_array_equal(raw.first(3).frames, COUNTS[:3])


# Groups


def test_the_historic_dictionary_has_the_documented_layout(path):
    raw = RawData.from_file(written(path, objectGuess=np.random.default_rng(0).random((20, 20))))
    data = raw.generate_grouped_data(N, K=8, nsamples=5, seed=1, gridsize=2)
    shapes = {name: value.shape for name, value in data.items()}
    assert shapes == {
        "diffraction": (5, N, N, 4),
        "X_full": (5, N, N, 4),
        "coords_offsets": (5, 1, 2, 1),
        "coords_relative": (5, 1, 2, 4),
        "coords_nn": (5, 1, 2, 4),
        "coords_start_offsets": (5, 1, 2, 1),
        "coords_start_relative": (5, 1, 2, 4),
        "coords_start_nn": (5, 1, 2, 4),
        "nn_indices": (5, 4),
        "Y": (5, N, N, 4),
        "objectGuess": (20, 20),
    }


def test_the_values_of_the_historic_dictionary(path):
    raw = RawData.from_file(written(path, xcoords_start=X + 5))
    data = raw.generate_grouped_data(N, K=8, nsamples=5, seed=1, gridsize=2)
    groups = data["nn_indices"]
    for g in range(5):
        for c in range(4):
            frame = groups[g, c]
            np.testing.assert_allclose(
                data["diffraction"][g, :, :, c] ** 2, COUNTS[frame], rtol=1e-6
            )
            assert data["coords_nn"][g, 0, :, c].tolist() == [X[frame], Y[frame]]
            assert data["coords_start_nn"][g, 0, :, c].tolist() == [X[frame] + 5, Y[frame]]
        mean = [X[groups[g]].mean(), Y[groups[g]].mean()]
        assert data["coords_offsets"][g, 0, :, 0].tolist() == mean
    np.testing.assert_allclose(
        data["coords_relative"], -(data["coords_nn"] - data["coords_offsets"])
    )
    energy = np.square(data["X_full"], dtype=float).sum(axis=(1, 2)).mean()
    assert energy == pytest.approx((N / 2) ** 2, rel=1e-5)
    ratio = data["X_full"] / data["diffraction"]
    np.testing.assert_allclose(ratio, ratio.flat[0], rtol=1e-5)
    assert data["Y"] is None
    assert data["objectGuess"] is None


def test_true_windows_are_cut_about_the_rounded_position_with_zeros_outside():
    obj = np.arange(100).reshape(10, 10) + 1j
    raw = scan(
        frames=np.ones((3, 4, 4)), measurement="counts", probe=np.ones((4, 4)), obj=obj,
        xcoords=np.array([5.0, 4.5, 9.0]), ycoords=np.array([5.0, 5.49, 0.0]),
    )  # fmt: skip
    truth = raw.generate_grouped_data(4, nsamples=3)["Y"][..., 0]
    np.testing.assert_array_equal(truth[0], obj[3:7, 3:7])
    np.testing.assert_array_equal(truth[1], obj[3:7, 3:7])  # 4.5 rounds up, 5.49 down
    np.testing.assert_array_equal(truth[2][2:, :3], obj[0:2, 7:10])
    assert not truth[2][:2].any()
    assert not truth[2][:, 3].any()


def test_without_an_object_the_true_patches_of_the_file_serve():
    patches = np.random.default_rng(0).random((M, N, N)) + 0j
    data = scan(patches=patches).generate_grouped_data(N, nsamples=4, gridsize=2, K=8)
    np.testing.assert_array_equal(data["Y"][1, :, :, 2], patches[data["nn_indices"][1, 2]])


def test_gridsize_one_is_the_first_frames_in_their_order(path, log):
    raw = RawData.from_file(written(path))
    for sampling in ("uniform", "balanced"):
        groups = raw.select_groups(5, GroupRule(gridsize=1), seed=9, sampling=sampling)
        assert groups.tolist() == [[0], [1], [2], [3], [4]]
    data = raw.generate_grouped_data(N, nsamples=5)
    np.testing.assert_allclose(data["diffraction"][..., 0] ** 2, COUNTS[:5], rtol=1e-6)
    assert "n_images=5 refers to individual images (gridsize=1)" in log.text
    assert list(path.parent.iterdir()) == [path]


def test_more_images_than_frames_are_all_of_them_and_said_so(log):
    assert len(scan().select_groups(50, GroupRule(gridsize=1))) == M
    assert "n_images=50: only 12 frames exist; using all" in log.text


def test_the_log_states_once_what_the_number_counts(path, log):
    RawData.from_file(written(path)).select_groups(3, GroupRule(), probe_diameter=5.0)
    lines = [r.message for r in log.records if "n_images" in r.message]
    assert lines == ["n_images=3 refers to neighbor groups (gridsize=2) of 4 frames"]
    assert log.messages[-1].startswith("groups: 3 of ")
    assert "(gridsize 2, K 8), 12 patterns, " in log.messages[-1]
    assert "; median overlap " in log.messages[-1]


def test_without_a_number_every_frame_is_used_about_once():
    assert len(scan().select_groups(None, GroupRule(gridsize=1))) == M
    assert len(scan().select_groups(None, GroupRule())) == M // 4


def test_the_cache_never_changes_the_groups(path):
    raw = RawData.from_file(written(path))
    options = {"rule": GroupRule(K=6), "seed": 3}
    without = raw.select_groups(7, **options, use_cache=False)
    assert not list(path.parent.glob("*cache*"))
    first, second = raw.select_groups(7, **options), raw.select_groups(7, **options)
    assert (path.parent / "scan.g2k6.groups_cache.npz").exists()
    np.testing.assert_array_equal(without, first)
    np.testing.assert_array_equal(first, second)
    valid = {tuple(row) for row in raw._find_all_valid_groups(6, 2).tolist()}
    assert {tuple(row) for row in first.tolist()} <= valid


def test_the_dataset_path_names_the_cache(path, tmp_path):
    other = tmp_path / "elsewhere.npz"
    RawData.from_file(written(path)).generate_grouped_data(
        N, nsamples=2, gridsize=2, dataset_path=other
    )
    assert (tmp_path / "elsewhere.g2k8.groups_cache.npz").exists()


def test_groups_of_two_scans_in_one_file_never_mix(path):
    x, y = raster(4, 4)
    index = np.repeat([1, 2], 16)
    frames = np.ones((32, N, N), np.uint8)
    raw = RawData.from_file(
        written(path, diffraction=frames, xcoords=np.tile(x, 2), ycoords=np.tile(y, 2),
                scan_index=index)
    )  # fmt: skip
    for sampling in ("uniform", "balanced", "sequential"):
        groups = raw.select_groups(8, GroupRule(), sampling=sampling)
        assert (index[groups] == index[groups[:, :1]]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: r.generate_grouped_data(16), r"scan: frames of 8 pixels; expected N = 16"),
        (lambda r: r.select_groups(0, GroupRule(gridsize=1)), r"n_images = 0: expected at least 1"),
        (lambda r: r.select_groups(None, GroupRule(gridsize=4)), r"12 in .* expected at least 16"),
        (lambda r: r.select_groups(3, GroupRule(gridsize=4)), r"12 in .* expected at least 16"),
    ],
)
def test_a_request_that_cannot_be_met_is_one_line(call, message):
    with pytest.raises((DataError, GroupingError), match=message):
        call(scan())


def test_frames_without_any_photon_cannot_be_normalised():
    with pytest.raises(DataError, match=r"all selected ones are empty"):
        scan(frames=np.zeros((M, N, N))).generate_grouped_data(N, nsamples=3)
