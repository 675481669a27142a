"""A probe that learns with the network: towards the true one, with its power, for its own scan."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from short_training import fit
from tiny_scan import SIDE, model_settings, simulated

from ptycho.api.loading import load
from ptycho.api.reconstruction import prepare
from ptycho.commands import train
from ptycho.errors import ConfigError
from ptycho.grouping import GroupRule
from ptycho.learning.model_folder import build_model, load_model
from ptycho.learning.plan import ProbeTraining
from ptycho.physics.probe import probe_intensity, with_modes
from ptycho.scan.dataset import GroupDataset
from ptycho.scan.scaling import scaled_probe
from ptycho.settings.reconstruct import ReconstructSettings
from ptycho.settings.train import TrainConfig


def defocused(probe):
    grid = torch.arange(SIDE) - SIDE // 2
    return probe * torch.exp(0.02j * (grid[:, None] ** 2 + 1.5 * grid**2))


def likeness(one, other):
    """Overlap of two probes, 1 for the same up to a phase."""
    overlap = torch.vdot(one.flatten(), other.flatten()).abs()
    return float(overlap / one.norm() / other.norm())


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The same short training from a wrong probe, fixed and learning."""
    raw = simulated(49)
    true = scaled_probe(raw).probe
    groups = raw.select_groups(24, GroupRule(), use_cache=False)
    results = []
    for rate in (None, 0.3):
        torch.manual_seed(0)
        model = build_model(model_settings(raw, gridsize=2), defocused(true))
        data = GroupDataset(raw, groups)
        folder = tmp_path_factory.mktemp("run")
        probe = None if rate is None else ProbeTraining(rate=rate, warmup=1)
        results.append(fit(folder, model, data, epochs=8, batch_size=4, probe=probe))
    return true, *results


def test_a_wrong_probe_moves_towards_the_true_one(ran):
    true, _, learned = ran
    found = learned.model.probe.detach()
    assert 1 - likeness(found, true) < 0.7 * (1 - likeness(defocused(true), true))


def test_the_loss_falls_below_that_of_the_fixed_probe(ran):
    _, fixed, learned = ran
    one, other = fixed.curves["train_loss"], learned.curves["train_loss"]
    assert one[0] == other[0]  # the probe waits for the end of the warm-up
    assert other[-1] < 0.7 * one[-1]


def test_a_fixed_probe_stays_and_a_learning_one_keeps_its_power(ran):
    true, fixed, learned = ran
    torch.testing.assert_close(fixed.model.probe, defocused(true))
    power = probe_intensity(learned.model.probe.detach()).sum()
    torch.testing.assert_close(power, probe_intensity(true).sum())


def test_a_probe_that_does_not_wait_is_another_after_one_epoch(tmp_path):
    raw = simulated(16)
    data = GroupDataset(raw, np.arange(16)[:, None])
    start = with_modes(defocused(scaled_probe(raw).probe), 2)
    ends = []
    for warmup in (0, 1):
        torch.manual_seed(0)
        model = build_model(replace(model_settings(raw), n_modes=2), start)
        probe = ProbeTraining(rate=0.1, warmup=warmup)
        result = fit(tmp_path / str(warmup), model, data, epochs=1, probe=probe)
        ends.append(result.model.probe.detach())
    torch.testing.assert_close(ends[1], start)
    for mode in range(2):  # all modes learn
        assert (ends[0][mode] - start[mode]).abs().max() > 1e-2 * start[mode].abs().max()
    result.model.set_probe(start[:1])
    assert "probe_parts" in dict(result.model.named_buffers())  # taken over, to stay


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A scan with a wrong probe, and a model that has learned another with it."""
    folder = tmp_path_factory.mktemp("home")
    raw = simulated(25)
    wrong = replace(raw, probe=defocused(torch.from_numpy(raw.probe)).numpy())
    wrong.save(folder / "scan.npz")
    raw.save(folder / "other.npz")
    train.run(
        TrainConfig(
            train_data_file=folder / "scan.npz", output_dir=folder / "model", nepochs=1,
            train_probe=True, probe_warmup=0, n_modes=2, device="cpu", progress=False,
            validation_fraction=0.0,
        )
    )  # fmt: skip
    return folder


def started(home, caplog, scan, **changes):
    """The probe that a reconstruction starts from, that of the model, and the scan."""
    raw = load(home / scan)
    settings = ReconstructSettings(device="cpu", cache=False, progress=False, **changes)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        prepared = prepare(raw, home / "model", settings)
    return prepared.scaled.probe, load_model(home / "model")[0], raw


def test_what_was_learned_is_saved_and_drawn(home):
    model, settings = load_model(home / "model")
    assert settings.n_modes == 2 == len(model.probe)
    assert (home / "model/probe.png").stat().st_size > 10_000
    one, other = model.probe.flatten(1)
    assert abs(torch.vdot(one, other)) < 1e-3 * one.norm() * other.norm()
    assert one.norm() > other.norm()


def test_the_scan_trained_on_starts_from_the_trained_probe(home, caplog):
    probe, model, _ = started(home, caplog, "scan.npz")
    torch.testing.assert_close(probe, model.probe, rtol=1e-4, atol=1e-4)
    assert "probe: that of the model" in caplog.messages


def test_another_scan_starts_from_its_own_probe_unless_told_otherwise(home, caplog):
    probe, _, raw = started(home, caplog, "other.npz")
    torch.testing.assert_close(probe, scaled_probe(raw).probe)
    assert "--use_model_probe takes that" in caplog.text
    probe, model, raw = started(home, caplog, "other.npz", use_model_probe=True)
    assert likeness(probe, model.probe) == pytest.approx(1)
    power = probe_intensity(probe).sum()
    torch.testing.assert_close(power, probe_intensity(scaled_probe(raw).probe).sum())


def test_modes_that_nothing_would_train_are_refused():
    with pytest.raises(ConfigError, match="n_modes: without --train_probe"):
        TrainConfig(train_data_file="s", output_dir="o", n_modes=2)
