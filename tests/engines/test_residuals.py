"""Numbers of single frames, by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_scan import problem_of, simulated, start_of

from ptycho.engines import residuals
from ptycho.engines.residuals import frame_deviances, unexplained_intensity
from ptycho.physics.patches import Canvas
from ptycho.scan.scaling import scaled_probe


def test_deviance_by_hand():
    """Twice the photons of a true model in every pixel: 2 (I - 2 I + 2 I ln 2) = 0.7726 I."""
    raw = simulated(4)
    canvas = Canvas((0, 0), raw.obj.shape)
    # To the scale of the probe that explains the frames.
    obj = torch.from_numpy(np.asarray(raw.obj)) / scaled_probe(raw).transmission
    full = frame_deviances(problem_of(raw, canvas, batch_size=2), start_of(raw, obj))
    half = frame_deviances(problem_of(raw, canvas, batch_size=4), start_of(raw, obj / 2**0.5))
    photons = np.square(raw.amplitude(np.arange(4))).mean(axis=(1, 2))
    assert full.max() < 1e-3 * photons.min()
    np.testing.assert_allclose(half, (2 * math.log(2) - 1) * photons, rtol=2e-3)


def unexplained(raw, obj):
    canvas = Canvas((0, 0), raw.obj.shape)
    return unexplained_intensity(problem_of(raw, canvas), start_of(raw, obj))


def test_the_truth_leaves_nothing_unexplained_and_another_object_does():
    raw = simulated(49, noise=True, photons=1e5)
    truth = torch.from_numpy(np.asarray(raw.obj)) / scaled_probe(raw).transmission
    right, wrong = unexplained(raw, truth), unexplained(raw, truth.flip(0))
    assert right.of_variation < 0.05
    assert wrong.of_variation > 0.25
    assert 0 <= right.of_all < 0.01 * wrong.of_variation < wrong.of_variation


def test_the_share_of_the_variation_by_hand(monkeypatch):
    """Frames n and 0, a quarter of n expected in both: misfit n / 4 + n / 4, variation n / 2."""
    raw = simulated(2, photons=1e9)
    frames = np.rint(np.asarray(raw.intensity(np.arange(2))))
    frames[1] = 0
    raw = replace(raw, frames=frames, measurement="counts")
    expected = torch.from_numpy(frames[:1] / 4).expand(2, -1, -1)
    monkeypatch.setattr(residuals, "expected_frames", lambda *_: expected)
    problem = problem_of(raw, Canvas((0, 0), raw.obj.shape))
    found = unexplained_intensity(problem, start_of(raw, torch.from_numpy(np.asarray(raw.obj))))
    assert found.of_all == pytest.approx(0.5, rel=1e-4)
    assert found.of_variation == pytest.approx(1.0, rel=1e-4)


def test_frames_that_are_all_the_same_have_no_variation():
    raw = simulated(4).subset(np.zeros(4, int))
    obj = torch.from_numpy(np.asarray(raw.obj))
    assert math.isnan(unexplained(raw, obj).of_variation)
