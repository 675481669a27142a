"""What every network must do, whatever it has learned."""

import pytest
import torch

from ptycho.learning.model import PtychoModel
from ptycho.networks import NETWORKS
from ptycho.networks.blocks import Body
from ptycho.physics.forward import ForwardModel
from ptycho.physics.patches import cut_patches
from ptycho.physics.probe import scale_probe, shift_probe
from ptycho.scan.dataset import GroupBatch

SIDE, WINDOW = 32, 16


def gaussian_probe(photons=1e4, modes=1):
    grid = torch.arange(SIDE) - SIDE // 2
    spot = torch.exp(-(grid[:, None] ** 2 + grid**2) / 40.0).to(torch.complex64)
    each = [spot * (grid / 5.0) ** m * 0.5**m for m in range(modes)]
    return scale_probe(torch.stack(each), photons)


def make_batch(groups=3, members=4, probe=None, seed=0):
    """Noise-free frames of a random smooth object."""
    probe = gaussian_probe() if probe is None else probe
    g = torch.Generator().manual_seed(seed)
    span = 1 if members == 1 else 6
    shape = (SIDE + span, SIDE + span)
    corners = torch.randint(0, span, (groups, members, 2), generator=g)
    fractions = torch.rand(groups, members, 2, generator=g) - 0.5
    coarse = torch.randn(2, groups, 8, 8, generator=g)
    fine = torch.nn.functional.interpolate(coarse, shape, mode="bicubic")
    obj = torch.polar(0.8 + 0.1 * torch.tanh(fine[0]), 0.5 * torch.tanh(fine[1]))
    patches = cut_patches(obj, corners, SIDE)
    frames = ForwardModel().intensity(patches, shift_probe(probe, fractions))
    members_of = torch.arange(groups * members).reshape(groups, members)
    return GroupBatch(frames.sqrt(), corners, fractions, members_of, shape), patches


def build(name, members, probe):
    torch.manual_seed(0)
    options = NETWORKS[name].default_options(WINDOW)
    return PtychoModel(NETWORKS[name](group_size=members, width=8, **options), probe)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("members", [1, 4, 9])
@pytest.mark.parametrize("modes", [1, 2])
def test_any_gridsize_and_modes_give_finite_patches_and_frames(name, members, modes):
    probe = gaussian_probe(modes=modes)
    batch, _ = make_batch(members=members, probe=probe)
    out = build(name, members, probe)(batch)
    assert out.patches.shape == (3, members, SIDE, SIDE)
    assert out.patches.dtype == torch.complex64
    assert torch.isfinite(out.intensity).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_patches_of_a_group_agree_on_their_overlap(name):
    batch, _ = make_batch()
    patches = build(name, 4, gaussian_probe())(batch).patches
    (r0, c0), (r1, c1) = (batch.corners[0, m].tolist() for m in (0, 1))
    row, col = max(r0, r1), max(c0, c1)
    torch.testing.assert_close(
        patches[0, 0, row - r0 :, col - c0 :][:20, :20],
        patches[0, 1, row - r1 :, col - c1 :][:20, :20],
    )


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("members", [1, 4])
def test_every_parameter_gets_a_gradient_after_the_first_step(name, members):
    batch, _ = make_batch(members=members)
    model = build(name, members, gaussian_probe())
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    for _ in range(3):  # zero-initialised ends open up one step after the other
        optimizer.zero_grad()
        (model(batch).intensity - batch.amplitude.square()).square().mean().sqrt().backward()
        optimizer.step()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@pytest.mark.parametrize("name", NETWORKS)
def test_ten_times_the_dose_gives_the_same_object_before_training(name):
    low, high = gaussian_probe(1e4), gaussian_probe(1e5)
    batch, _ = make_batch(probe=low)
    brighter, _ = make_batch(probe=high)
    one = build(name, 4, low)
    ten = PtychoModel(one.network, high)
    torch.testing.assert_close(one(batch).patches, ten(brighter).patches, rtol=0, atol=2e-3)


def test_an_untrained_lifted_network_already_explains_the_frames_better_than_empty_space():
    batch, truth = make_batch()
    probe = gaussian_probe()
    out = build("lifted", 4, probe)(batch)
    empty = batch.forward.intensity(torch.ones_like(truth), shift_probe(probe, batch.fractions))
    measured = batch.amplitude
    lifted_error = (out.intensity.sqrt() - measured).square().sum()
    assert lifted_error < 0.3 * (empty.sqrt() - measured).square().sum()


def test_the_true_object_gives_the_measured_frames():
    """The model's forward part and the simulation are one and the same physics."""

    class Oracle(torch.nn.Module):
        window = WINDOW
        merged = False

        def forward(self, batch, probe, weight):
            return truth

    batch, truth = make_batch()
    out = PtychoModel(Oracle(), gaussian_probe())(batch)
    torch.testing.assert_close(out.patches, truth, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(out.intensity.sqrt(), batch.amplitude, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("side", [1, 2, 7, 8, 12, 20])
def test_a_body_takes_sides_of_any_length(side, norm):
    body = Body(inputs=3, outputs=2, widths=(8, 16, 24), norm=norm)
    torch.nn.init.normal_(body.head.weight)
    x = torch.randn(2, 3, side, 24)
    out = body(x)
    assert out.shape == (2, 2, side, 24)
    filled = torch.nn.functional.pad(x, (0, 0, 0, -side % 8))
    torch.testing.assert_close(out, body(filled)[..., :side, :])


@pytest.mark.parametrize("norm", [False, True])
def test_an_untrained_body_returns_zeros_of_the_right_shape(norm):
    out = Body(inputs=3, outputs=2, widths=(8, 16, 24), norm=norm)(torch.randn(2, 3, 24, 16))
    assert out.shape == (2, 2, 24, 16)
    assert not out.any()
