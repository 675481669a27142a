"""The steps that commands share, each by its law and by hand."""

import logging

import numpy as np
import pytest
import torch
from tiny_scan import simulated

from ptycho.api.components import use_threads
from ptycho.api.grouping import choose_groups, neighbours_used
from ptycho.api.loading import load_data
from ptycho.errors import ConfigError, DataError
from ptycho.grouping import GroupRule
from ptycho.scan.dataset import default_batch_size
from ptycho.scan.raw_data import RawData
from ptycho.scan.scaling import scaled_probe
from ptycho.settings.reconstruct import InferenceConfig
from ptycho.settings.train import TrainConfig

N = 8


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "scan.npz"
    simulated(49).save(path)
    return path


def even(photons, probe=None):
    """Frames of so many photons each, spread evenly; the probe of ones brings 64."""
    frames = np.full((4, N, N), photons / N**2, np.float32)
    probe = np.ones((N, N)) if probe is None else probe
    return RawData(
        frames=frames, measurement="intensity", xcoords=np.arange(4.0), ycoords=np.zeros(4),
        probe=probe,
    )  # fmt: skip


def test_the_whole_scan_is_opened_and_its_frames_stay_in_the_file(path):
    raw = load_data(path)
    assert isinstance(raw.frames, np.memmap)
    np.testing.assert_array_equal(raw.frames, simulated(49).frames)
    assert len(raw.xcoords) == len(raw.ycoords) == 49
    assert raw.path == path


def test_another_frame_size_than_expected_is_refused(path):
    assert load_data(path, frame_size=16).frame_size == 16
    with pytest.raises(ConfigError, match=r"scan.*: frames of 16 pixels; expected 32"):
        load_data(path, frame_size=32)


def test_what_the_user_says_of_the_frames_wins(path):
    believed, told = load_data(path), load_data(path, measurement="amplitude")
    np.testing.assert_allclose(told.amplitude(np.arange(3)), believed.intensity(np.arange(3)))


def test_photons_told_by_the_user_scale_frames_and_probe_together(path):
    plain, told = load_data(path), load_data(path, nphotons=250.0)
    assert told.photons_per_frame() == pytest.approx(250.0, rel=1e-6)
    ratio = told.intensity(np.arange(5)) / plain.intensity(np.arange(5))
    np.testing.assert_allclose(ratio, 250.0 / plain.photons_per_frame(), rtol=1e-5)
    assert float(scaled_probe(told).probe.abs().square().sum()) == pytest.approx(250.0, rel=1e-5)


@pytest.mark.parametrize("modes", [1, 3])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_the_probe_brings_the_photons_of_the_mean_frame_whatever_its_own_scale(modes, scale):
    raw = simulated(25, modes=modes)
    raw = RawData(**vars(raw) | {"probe": scale * raw.probe})
    probe = scaled_probe(raw).probe
    assert probe.shape == (modes, 16, 16)
    assert float(probe.abs().square().sum()) == pytest.approx(raw.photons_per_frame(), rel=1e-5)


def test_transmission_takes_the_scaled_probe_back_to_that_of_the_file():
    raw = simulated(25)
    scaled = scaled_probe(raw)
    assert 0.5 < scaled.transmission < 1.0  # the sample's amplitude lies between 0.5 and 1
    np.testing.assert_allclose(scaled.probe.numpy() / raw.probe, scaled.transmission, rtol=1e-4)


@pytest.mark.parametrize(
    ("photons", "transmission"),
    # The probe brings 64: a share of 1/4, 1, 1/16 passes; 1/32 and 2 come from another unit.
    [(16, 0.5), (64, 1.0), (4, 0.25), (2, 1.0), (128, 1.0)],
)
def test_transmission_by_hand(photons, transmission):
    assert scaled_probe(even(photons)).transmission == pytest.approx(transmission, rel=1e-6)


@pytest.mark.parametrize(
    ("photons", "words"), [(16, "25 % of the probe's"), (2, "probe rescaled to them")]
)
def test_the_log_says_whether_the_scale_of_the_probe_is_believed(caplog, photons, words):
    with caplog.at_level(logging.INFO, logger="ptycho"):
        scaled_probe(even(photons))
    assert f"probe: 1 mode, {photons} photons per frame measured" in caplog.text
    assert words in caplog.text


def test_dark_frames_are_refused():
    with pytest.raises(ConfigError, match="scan: 0 photons per frame; expected more than 0"):
        scaled_probe(even(0))


@pytest.mark.parametrize("config", [TrainConfig, InferenceConfig])
@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({}, {}),
        ({"seed": 5, "neighbor_count": 5}, {"seed": 5, "rule": GroupRule(K=5)}),
        ({"sampling": "balanced"}, {"sampling": "balanced"}),
        ({"sampling": "sequential"}, {"sampling": "sequential"}),
    ],
)
def test_the_settings_of_the_sample_reach_it(config, settings, options):
    paths = {"train_data_file": "s.npz"}
    if config is InferenceConfig:
        paths = {"model_path": "m", "test_data": "s.npz"}
        options = {"sampling": "balanced"} | options
    raw = simulated(49)
    found = choose_groups(raw, config(**paths, output_dir="o", n_images=9, **settings), 2)
    np.testing.assert_array_equal(found, raw.select_groups(9, **{"rule": GroupRule()} | options))


@pytest.mark.parametrize(("keep", "place"), [(True, "elsewhere"), (False, None), (True, None)])
def test_the_cache_goes_where_the_settings_say(path, tmp_path, keep, place):
    copy = tmp_path / "scan.npz"
    copy.write_bytes(path.read_bytes())
    folder = tmp_path / place if place else None
    config = TrainConfig(
        train_data_file=copy, output_dir="o", n_images=5, cache=keep, cache_dir=folder
    )
    choose_groups(load_data(copy), config, 2)
    caches = [found.parent for found in tmp_path.rglob("*.g2k8.groups_cache.npz")]
    assert caches == ([folder or tmp_path] if keep else [])


@pytest.mark.parametrize(
    ("gridsize", "told", "used"),
    [(1, None, 0), (1, 12, 0), (2, None, 8), (2, 5, 5), (3, None, 24)],
)
def test_neighbours_used_by_hand(gridsize, told, used):
    assert neighbours_used(gridsize, told) == used


@pytest.mark.parametrize(
    ("members", "size", "groups"),
    [
        (1, 64, 32),
        (4, 64, 8),  # 32 frames in groups of 4
        (9, 64, 3),  # 27 of 32 frames
        (64, 64, 1),  # never none
        (1, 16, 32),  # small frames cost no less
        (1, 96, 14),  # 32 / 2.25 = 14.2
        (4, 96, 3),  # 14 frames in groups of 4
        (1, 128, 8),  # a quarter
        (4, 512, 2),  # 8 frames: the area counts 4 times at most
    ],
)
def test_default_batch_size_by_hand(members, size, groups):
    assert default_batch_size(members, size, 32) == groups


def test_threads_are_set_when_told_and_left_alone_when_not():
    before = torch.get_num_threads()
    try:
        use_threads(before + 1)
        assert torch.get_num_threads() == before + 1
        use_threads(None)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_a_missing_scan_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        load_data(tmp_path / "absent.npz")
