"""The model: a network followed by the forward model of the simulation."""

import torch
from group_batch import gaussian_probe, make_batch

from ptycho.learning.model import PtychoModel
from ptycho.networks.network import Network


def test_the_true_object_gives_the_measured_frames():
    """The forward model of a trained model is that of the simulation."""
    batch, truth = make_batch()

    class Oracle(Network):
        def forward(self, batch, probe, weight):
            return truth

    out = PtychoModel(Oracle(), gaussian_probe())(batch)
    torch.testing.assert_close(out.patches, truth, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(out.intensity.sqrt(), batch.amplitude, rtol=1e-3, atol=1e-3)
