"""What the unrolled network does before any training."""

import torch
from group_batch import gaussian_probe, make_batch

from ptycho.learning.model import PtychoModel
from ptycho.networks.lifted import LiftedUNet
from ptycho.physics.probe import shift_probe


def test_an_untrained_lifted_network_already_explains_the_frames_better_than_empty_space():
    batch, truth = make_batch()
    probe = gaussian_probe()
    out = PtychoModel(LiftedUNet(group_size=4, width=8), probe)(batch)
    empty = batch.forward.intensity(torch.ones_like(truth), shift_probe(probe, batch.fractions))
    measured = batch.amplitude
    lifted_error = (out.intensity.sqrt() - measured).square().sum()
    assert lifted_error < 0.3 * (empty.sqrt() - measured).square().sum()
