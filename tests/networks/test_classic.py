"""Values of the classic network worked by hand."""

import torch
from group_batch import gaussian_probe, make_batch

from ptycho.learning.model import PtychoModel
from ptycho.networks.classic import ClassicUNet


def test_an_untrained_classic_network_returns_empty_space():
    """The body returns 0, so the amplitude is 2 sigmoid(0) = 1 and the phase pi tanh(0) = 0."""
    batch, truth = make_batch()
    found = PtychoModel(ClassicUNet(group_size=4, window=16, width=8), gaussian_probe())(batch)
    torch.testing.assert_close(found.patches, torch.ones_like(truth))
