"""Laws of every row of the table of networks."""

import pytest
import torch
from group_batch import SIDE, gaussian_probe, make_batch

from ptycho.learning.model import PtychoModel
from ptycho.learning.model_folder import ModelSettings, build_model, load_model, save_model
from ptycho.networks import NETWORKS

WINDOW = 16


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


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("gridsize", [1, 2])
def test_a_saved_network_gives_the_same_patches(tmp_path, name, gridsize):
    probe, options = gaussian_probe(), {"width": 8} | NETWORKS[name].default_options(WINDOW)
    settings = ModelSettings(
        network=name, network_options=options, gridsize=gridsize, neighbor_count=0,
        frame_size=SIDE, n_modes=1,
    )  # fmt: skip
    torch.manual_seed(0)
    model = build_model(settings, probe).eval()
    with torch.no_grad():
        for weights in model.network.parameters():
            weights += 0.01 * torch.randn(weights.shape)
    save_model(tmp_path, model, settings)
    read, found = load_model(tmp_path)
    batch, _ = make_batch(members=gridsize**2)
    assert found == settings
    torch.testing.assert_close(read(batch).patches, model(batch).patches, rtol=0, atol=0)


def shapes(network):
    return {name: weights.shape for name, weights in network.state_dict().items()}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_for_any_gridsize_has_the_same_weights_for_every_one(name):
    one, nine = (build(name, members, gaussian_probe()).network for members in (1, 9))
    assert (shapes(one) == shapes(nine)) == NETWORKS[name].any_gridsize


@pytest.mark.parametrize("name", [name for name in NETWORKS if NETWORKS[name].whole_scan])
def test_a_network_for_whole_scans_has_a_step_that_keeps_the_size_of_the_object(name):
    network = build(name, 4, gaussian_probe()).network
    obj = torch.ones(1, 50, 70, dtype=torch.complex64)
    found = network.step(obj, torch.zeros_like(obj), torch.ones(1, 50, 70))
    assert found.shape == obj.shape
    assert min(network.sweeps, network.steps) >= 0
