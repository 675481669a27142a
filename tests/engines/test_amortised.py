"""Training on several scans, from other weights, and by the clock."""

import json

import numpy as np
import pytest
import torch
from tiny_scan import saved_untrained, simulated

from ptycho.commands import reconstruct, train
from ptycho.engines import reconstruction as scan_object
from ptycho.errors import ConfigError
from ptycho.learning.model_folder import load_model
from ptycho.scan.dataset import GroupDataset, ManyScans
from ptycho.scan.scaling import scaled_probe
from ptycho.settings.reconstruct import InferenceConfig
from ptycho.settings.train import TrainConfig


def of_single_frames(raw):
    frames = np.arange(raw.n_frames)[:, None]
    return GroupDataset(raw, frames, probe=scaled_probe(raw).probe)


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    for name, settings in {
        "a": {"n_frames": 25},
        "b": {"n_frames": 16, "photons": 1e3, "noise": True, "seed": 3},
        "c": {"n_frames": 16, "N": 24, "seed": 4},
    }.items():
        n_frames = settings.pop("n_frames")
        simulated(n_frames, **settings).save(folder / f"{name}.npz")
    return folder


def trained(scans, out, **changes):
    settings = {
        "train_data_file": scans / "a.npz", "output_dir": out, "nepochs": 1, "cache": False,
        "progress": False, "device": "cpu", "validation_fraction": 0.2, "guard": 0.0,
    }  # fmt: skip
    return train.run(TrainConfig(**settings | changes))


def test_every_group_comes_once_and_a_batch_is_of_one_scan():
    one, other = simulated(10), simulated(7, photons=1e3)
    both = ManyScans([of_single_frames(one), of_single_frames(other)])
    assert len(both) == 17
    for generator in (None, torch.Generator().manual_seed(1)):
        numbers = both.batch_numbers(4, generator)
        assert sorted(n for batch in numbers for n in batch) == list(range(17))
        for batch in numbers:
            assert len({n < 10 for n in batch}) == 1
    torch.testing.assert_close(both[[12]].probe, scaled_probe(other).probe)
    torch.testing.assert_close(both[[12, 10]].members.flatten(), torch.tensor([2, 0]))
    torch.testing.assert_close(
        both[[12]].amplitude[0, 0], torch.from_numpy(other.amplitude(np.array([2])))[0]
    )


def test_one_network_learns_from_scans_of_different_size_dose_and_probe(scans, tmp_path, caplog):
    with caplog.at_level("INFO", logger="ptycho"):
        out = trained(scans, tmp_path / "m", more_train_data=str(scans / "*.npz"))
    assert "training on 3 scans" in caplog.text
    model, settings = load_model(out)
    n_groups = settings.training["n_groups"]
    assert 40 <= n_groups < 25 + 16 + 16  # a block of every scan watches
    assert model.probe.shape[-1] == 16  # that of the first scan


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"more_train_data": "missing.npz"}, "'missing.npz': no such file"),
        ({"more_train_data": "*.nothing"}, "no such file"),
        ({"more_train_data": "{scans}/c.npz", "network": "unet"}, "frames of 24 pixels; expected"),
        ({"budget": "soon"}, "budget: 'soon'; expected a duration"),
    ],
)
def test_what_cannot_be_learned_from_is_one_line(scans, tmp_path, changes, line):
    changes = {name: value.format(scans=scans) for name, value in changes.items()}
    with pytest.raises(ConfigError, match=line.replace("*", r"\*")) as caught:
        trained(scans, tmp_path / "m", **changes)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "m").exists()


def test_a_probe_is_not_trained_on_several_scans(scans, tmp_path):
    with pytest.raises(ConfigError, match="train_probe: with more_train_data"):
        trained(scans, tmp_path, more_train_data=str(scans / "b.npz"), train_probe=True)


def test_fine_tuning_starts_from_the_weights_and_never_ends_below_them(
    scans, tmp_path, caplog, monkeypatch
):
    # As if nothing could explain the validation groups better than the weights it begins with.
    monkeypatch.setattr("ptycho.learning.training._mean_loss", lambda *_: 0.0)
    raw = simulated(25)
    start = saved_untrained(tmp_path / "start", raw, stirred=0.01)
    with caplog.at_level("INFO", logger="ptycho"):
        out = trained(scans, tmp_path / "m", finetune=str(start))
    assert "fine-tuning did not help" in caplog.text
    (before, _), (after, settings) = load_model(start), load_model(out)
    for name, value in before.network.state_dict().items():
        torch.testing.assert_close(after.network.state_dict()[name], value)
    assert settings.training["finetuned_from"] == str(start)
    assert settings.network_options == {"width": 8, "sweeps": 1}


def test_a_gentle_rate_improves_them(scans, tmp_path, caplog):
    start = saved_untrained(tmp_path / "start", simulated(25), stirred=0.01)
    with caplog.at_level("INFO", logger="ptycho"):
        out = trained(scans, tmp_path / "m", finetune=str(start), learning_rate=1e-3, nepochs=5)
    assert "samples, 5 epochs" in caplog.text
    (before, _), (after, _) = load_model(start), load_model(out)
    weights = [model.network.step.body.stem.weight for model in (before, after)]
    assert not torch.equal(*weights)


def test_weights_of_another_network_are_refused(scans, tmp_path):
    start = saved_untrained(tmp_path / "start", simulated(25), network="unet")
    with pytest.raises(ConfigError, match="network: lifted; expected unet"):
        trained(scans, tmp_path / "m", finetune=str(start))


def test_a_budget_ends_within_the_first_epoch_and_keeps_the_weights(scans, tmp_path):
    out = trained(scans, tmp_path / "m", budget="0.01s", nepochs=50, batch_size=1)
    _, settings = load_model(out)
    assert settings.training["epochs"] == 1
    assert np.isfinite(settings.training["best_loss"])


def test_an_object_that_explains_little_is_doubted(scans, tmp_path, caplog):
    from dataclasses import replace

    raw = simulated(64)
    rng = np.random.default_rng(0)
    strayed = replace(raw, xcoords=rng.permutation(raw.xcoords))
    model = saved_untrained(tmp_path / "model", raw)
    for name, each in (("right", raw), ("wrong", strayed)):
        each.save(tmp_path / f"{name}.npz")
        caplog.clear()
        with caplog.at_level("WARNING", logger="ptycho"):
            out = reconstruct.run(
                InferenceConfig(
                    model_path=model,
                    test_data=tmp_path / f"{name}.npz",
                    cache=False,
                    output_dir=tmp_path / name,
                    progress=False,
                    device="cpu",
                    calibrate="off",
                )
            )
        share = json.loads((out / "metrics.json").read_text())["unexplained_light"]["object"]
        assert ("not as the file says" in caplog.text) == (name == "wrong")
        assert (share > scan_object.WRONG) == (name == "wrong")
