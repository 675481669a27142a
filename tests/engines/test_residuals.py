"""Numbers of single frames, by hand."""

import math

import numpy as np
import torch
from tiny_scan import problem_of, simulated, start_of

from ptycho.engines.residuals import frame_deviances
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
