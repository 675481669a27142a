"""Laws of the random scans that a general network is trained on."""

import numpy as np
import pytest
import torch

from ptycho.physics.patches import cut_patches
from ptycho.simulation import random_scans
from ptycho.simulation.random_scans import KEPT_FOR_TESTS, RandomScans


@pytest.fixture(scope="module")
def scans():
    return RandomScans(5, frame_size=32, pictures=6, probes=6)


def test_the_same_seed_draws_the_same_scans():
    one, other = (RandomScans(2, frame_size=32, pictures=2, probes=2).draw() for _ in range(2))
    torch.testing.assert_close(one.batch.amplitude, other.batch.amplitude)
    torch.testing.assert_close(one.obj, other.obj)


def test_the_truth_explains_the_frames_up_to_their_noise(scans):
    misfit = pixels = 0.0
    for _ in range(20):
        drawn = scans.draw()
        batch, size = drawn.batch, drawn.probe.shape[-1]
        patches = cut_patches(drawn.obj, batch.corners, size)
        expected = batch.forward.intensity(patches, drawn.probe)
        bright = expected > 5
        counted = batch.amplitude.square()
        misfit += float(((counted - expected)[bright] ** 2 / expected[bright]).sum())
        pixels += int(bright.sum())
    assert misfit / pixels == pytest.approx(1.0, abs=0.05)  # Poisson: variance = mean


def test_scans_differ_in_frames_dose_and_overlap_and_stay_on_their_canvas(scans):
    drawn = [scans.draw() for _ in range(40)]
    assert len({each.batch.members.shape[1] for each in drawn}) >= 5
    doses = [float(p) for each in drawn for p in each.probe.abs().square().sum(dim=(2, 3, 4))[:, 0]]
    assert max(doses) / min(doses) > 100
    for each in drawn:
        height, width = each.batch.shape
        assert each.obj.shape[-2:] == (height, width)
        assert int(each.batch.corners.min()) >= 0
        assert int(each.batch.corners.max()) + 32 <= min(height, width)


def test_photographs_kept_for_tests_are_never_looked_at(monkeypatch):
    seen = set()
    original = random_scans.grey_photograph
    monkeypatch.setattr(
        random_scans, "grey_photograph", lambda name: seen.add(name) or original(name)
    )
    RandomScans(0, frame_size=16, pictures=60, probes=1)
    assert len(seen) > 5
    assert not seen & set(KEPT_FOR_TESTS)


def test_counts_are_whole_photons(scans):
    counted = scans.draw().batch.amplitude.square().numpy()
    np.testing.assert_allclose(counted, counted.round(), atol=1e-2 + 1e-6 * counted.max())
