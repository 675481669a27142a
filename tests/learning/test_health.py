"""Every check of a training: nothing if all is well, else one sentence."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from short_training import fit
from tiny_scan import simulated, untrained
from torch import nn

from ptycho.learning.health import (
    check_collapse,
    check_gradients,
    check_improvement,
    check_power,
    check_rails,
    is_finite,
)
from ptycho.learning.model import Prediction
from ptycho.scan.dataset import GroupBatch, GroupDataset

SIDE = 8
INNER = slice(2, 6)


def frames(photons, groups=2, members=2):
    """A batch whose every frame holds so many photons."""
    shape = (groups, members, SIDE, SIDE)
    return GroupBatch(
        torch.full(shape, photons**0.5 / SIDE),
        torch.zeros(groups, members, 2, dtype=torch.int64),
        torch.zeros(groups, members, 2),
        torch.arange(groups * members).reshape(groups, members),
        (SIDE, SIDE),
    )


def predicted(photons=100.0, patches=None):
    """A prediction of so many photons per frame."""
    if patches is None:
        patches = torch.ones(2, 2, SIDE, SIDE, dtype=torch.complex64)
    intensity = torch.full(patches.shape, photons / SIDE**2)
    return Prediction(patches, intensity)


def varied(seed=0):
    g = torch.Generator().manual_seed(seed)
    amplitude = 0.5 + torch.rand(2, 2, SIDE, SIDE, generator=g)
    return torch.polar(amplitude, torch.rand(2, 2, SIDE, SIDE, generator=g))


@pytest.mark.parametrize("photons", [34.0, 100.0, 299.0])
def test_photons_within_a_factor_of_three_are_fine(photons):
    assert check_power(predicted(photons), frames(100.0)) is None


@pytest.mark.parametrize(("photons", "ratio"), [(400.0, "4 x"), (20.0, "0.2 x"), (0.0, "0 x")])
def test_photons_in_another_unit_are_reported_as_a_factor(photons, ratio):
    finding = check_power(predicted(photons), frames(100.0))
    assert finding.startswith(f"model predicts {ratio} the measured photons")
    assert "lower --learning_rate" in finding


def test_a_batch_without_photons_is_reported():
    assert "the measured photons" in check_power(predicted(100.0), frames(0.0))


def test_patches_that_differ_are_no_collapse():
    assert check_collapse(predicted(patches=varied()), INNER) is None


def test_equal_patches_are_a_collapse():
    equal = varied()[:1, :1].expand(2, 2, SIDE, SIDE)
    assert "all reconstructed patches are equal" in check_collapse(predicted(patches=equal), INNER)


def test_only_the_decoded_window_counts_for_a_collapse():
    equal = varied()[:1, :1].expand(2, 2, SIDE, SIDE).clone()
    equal[..., 0, :] = varied(1)[..., 0, :]
    assert check_collapse(predicted(patches=equal), INNER) is not None
    equal[..., 3, 3] = varied(1)[..., 3, 3]
    assert check_collapse(predicted(patches=equal), INNER) is None


def test_fewer_than_four_patches_are_not_checked_for_a_collapse():
    equal = varied()[:1, :1].expand(1, 3, SIDE, SIDE)
    assert check_collapse(predicted(patches=equal), INNER) is None


@pytest.mark.parametrize(
    ("value", "rows", "expected"),
    [
        (0.0, 1, "25 % of the amplitudes are at 0 and 0 % near or above 2"),
        (2.0, 2, "0 % of the amplitudes are at 0 and 50 % near or above 2"),
        (0.0, 4, "100 % of the amplitudes are at 0"),
    ],
)
def test_amplitudes_at_the_rails_are_reported_with_their_share(value, rows, expected):
    """Of the 4 rows of the window some are stuck."""
    patches = varied()
    patches[..., 2 : 2 + rows, :] = value
    assert expected in check_rails(predicted(patches=patches), INNER)


def test_amplitudes_of_a_sample_are_fine_and_so_is_a_sixteenth_at_the_rails():
    patches = varied()
    assert check_rails(predicted(patches=patches), INNER) is None
    patches[..., 2, 2] = 0.0
    assert check_rails(predicted(patches=patches), INNER) is None


def test_amplitudes_outside_the_decoded_window_do_not_count():
    patches = varied()
    patches[..., :2, :] = 0.0
    assert check_rails(predicted(patches=patches), INNER) is None


def test_parameters_without_a_gradient_are_named():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[0](torch.ones(1, 2)).sum().backward()
    assert check_gradients(model) == "2 parameters have no gradient; the first is 1.weight"


def test_frozen_parameters_need_no_gradient():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].requires_grad_(False)
    model[0](torch.ones(1, 2)).sum().backward()
    assert check_gradients(model) is None


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (0.00558, 0.00554, "by -0.7 % (0.00558 -> 0.00554): the network hardly improved on"),
        (1.0, 1.0, "by +0.0 % (1 -> 1): the network hardly improved on"),
        (0.1, 0.125, "by +25.0 % (0.1 -> 0.125): the network is worse than"),
    ],
)
def test_a_loss_that_hardly_changes_is_reported_with_both_values(before, after, words):
    finding = check_improvement(before, after)
    assert finding == f"training changed the validation loss {words} its starting point"


@pytest.mark.parametrize(("before", "after"), [(1.0, 0.9), (1e-3, 1e-4), (0.0, 0.0)])
def test_a_loss_that_falls_or_has_no_room_to_is_fine(before, after):
    assert check_improvement(before, after) is None


@pytest.mark.parametrize(
    ("loss", "finite"), [(0.0, True), (1e30, True), (np.nan, False), (np.inf, False)]
)
def test_a_loss_is_finite_or_not(loss, finite):
    assert is_finite(torch.tensor(loss, requires_grad=True)) is finite


def trained_messages(tmp_path, caplog, network, photons_per_unit=1.0):
    raw = simulated(16)
    model = untrained(raw, network=network)
    data = GroupDataset(replace(raw, photons_per_unit=photons_per_unit), np.arange(16)[:, None])
    with caplog.at_level(logging.INFO, logger="ptycho"):
        fit(tmp_path, model, data, learning_rate=1e-4)
    return [record.getMessage() for record in caplog.records]


def test_a_sound_training_reports_nothing(tmp_path, caplog):
    lines = trained_messages(tmp_path, caplog, "lifted")
    assert not [text for text in lines if "health" in text]


@pytest.mark.parametrize(
    ("network", "words"), [("unet", "x the measured photons"), ("lifted", "% near or above 2")]
)
def test_a_training_reports_a_finding_once(tmp_path, caplog, network, words):
    """Frames of ten thousand times the photons: unet starts too dark, lifted ends too bright."""
    lines = [t for t in trained_messages(tmp_path, caplog, network, 1e4) if words in t]
    assert len(lines) == 1
    assert lines[0].startswith("health: ")
