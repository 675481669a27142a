"""What a general network is taught with, and that it is taught."""

import json

import numpy as np
import pytest
import torch
from tiny_scan import saved_untrained, simulated

from ptycho.commands import pretrain as workflow
from ptycho.commands import reconstruct
from ptycho.durations import seconds_of
from ptycho.errors import ConfigError
from ptycho.learning.model_folder import general_model, load_model
from ptycho.physics.forward import ForwardModel
from ptycho.physics.patches import cut_patches
from ptycho.settings.pretrain import PretrainConfig
from ptycho.settings.reconstruct import InferenceConfig
from ptycho.simulation import random_scans
from ptycho.simulation.random_scans import KEPT_FOR_TESTS, RandomScans


@pytest.fixture(scope="module")
def scans():
    return RandomScans(5, frame_size=32, pictures=6, probes=6)


def test_the_same_seed_draws_the_same_scans():
    one, other = (RandomScans(2, frame_size=32, pictures=2, probes=2).draw() for _ in range(2))
    torch.testing.assert_close(one.batch.amplitude, other.batch.amplitude)
    torch.testing.assert_close(one.obj, other.obj)


def test_the_truth_explains_the_frames_up_to_their_noise(scans):
    misfit = pixels = 0.0
    for _ in range(20):
        drawn = scans.draw()
        batch, size = drawn.batch, drawn.probe.shape[-1]
        patches = cut_patches(drawn.obj, batch.corners, size)
        expected = ForwardModel().intensity(patches, drawn.probe)
        bright = expected > 5
        counted = batch.amplitude.square()
        misfit += float(((counted - expected)[bright] ** 2 / expected[bright]).sum())
        pixels += int(bright.sum())
    assert misfit / pixels == pytest.approx(1.0, abs=0.05)  # Poisson: variance = mean


def test_scans_differ_in_frames_dose_and_overlap_and_stay_on_their_canvas(scans):
    drawn = [scans.draw() for _ in range(40)]
    assert len({each.batch.members.shape[1] for each in drawn}) >= 5
    doses = [float(p) for each in drawn for p in each.probe.abs().square().sum(dim=(2, 3, 4))[:, 0]]
    assert max(doses) / min(doses) > 100
    for each in drawn:
        height, width = each.batch.shape
        assert each.obj.shape[-2:] == (height, width)
        assert int(each.batch.corners.min()) >= 0
        assert int(each.batch.corners.max()) + 32 <= min(height, width)


def test_photographs_kept_for_tests_are_never_looked_at(monkeypatch):
    seen = set()
    original = random_scans.grey_photograph
    monkeypatch.setattr(
        random_scans, "grey_photograph", lambda name: seen.add(name) or original(name)
    )
    RandomScans(0, frame_size=16, pictures=60, probes=1)
    assert len(seen) > 5
    assert not seen & set(KEPT_FOR_TESTS)


def test_the_error_knows_no_global_phase_and_weighs_by_light():
    from ptycho.learning.pretraining import squared_error

    truth = torch.ones(1, 2, 2, dtype=torch.complex64)
    light = torch.tensor([[[50.0, 50.0], [0.0, 0.0]]])
    turned = truth * torch.exp(torch.tensor(1.0j))
    assert float(squared_error(turned, truth, light)) < 1e-12
    unlit = truth.clone()
    unlit[0, 1] = 7.0  # where no light falls nothing counts
    assert float(squared_error(unlit, truth, light)) < 1e-12
    # By hand: |1.2 - 1|^2 on one of two equally lit pixels.
    wrong = truth.clone()
    wrong[0, 0, 0] = 1.2
    assert float(squared_error(wrong, truth, light)) == pytest.approx(0.02, rel=1e-5)


def test_a_pretrained_model_reconstructs_a_scan_it_has_never_seen(monkeypatch, tmp_path):
    monkeypatch.setattr(
        workflow, "RandomScans",
        lambda seed, frame_size: RandomScans(seed, frame_size=frame_size, pictures=2, probes=2),
    )  # fmt: skip
    folder = workflow.run(
        PretrainConfig(output_dir=tmp_path / "model", budget="3s", N=32, width=8, device="cpu")
    )
    model, settings = load_model(folder)
    assert settings.training["steps"] >= 1
    assert any(weight.any() for weight in [model.network.step.body.head.weight])
    simulated(36).save(tmp_path / "scan.npz")
    out = reconstruct.run(
        InferenceConfig(
            model_path=folder,
            test_data=tmp_path / "scan.npz",
            output_dir=tmp_path / "object",
            device="cpu",
            cache=False,
            progress=False,
        )
    )
    assert json.loads((out / "metrics.json").read_text())["detector_residual"] < 0.05


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("60s", 60), ("1.5min", 90), ("2h", 7200), (" 3 m ", 180)]
)
def test_spans_of_time(text, seconds):
    assert seconds_of(text, "budget") == seconds


@pytest.mark.parametrize("text", ["", "0s", "-5s", "ten", "5 days", "1e3"])
def test_no_spans_of_time(text):
    with pytest.raises(ConfigError, match=r"budget: .*; expected a time as 60s"):
        seconds_of(text, "budget")


def test_counts_are_whole_photons(scans):
    counted = scans.draw().batch.amplitude.square().numpy()
    np.testing.assert_allclose(counted, counted.round(), atol=1e-2 + 1e-6 * counted.max())


def test_the_general_model_is_small_and_knows_more_than_physics(tmp_path):
    assert sum(path.stat().st_size for path in general_model().iterdir()) < 5e6
    assert load_model(general_model())[1].training["pictures_kept_for_tests"] == list(
        KEPT_FOR_TESTS
    )
    pictures = {"amplitude_image": "camera", "phase_image": "coins"}  # kept for tests
    raw = simulated(49, N=64, probe_fwhm=16, step=5, noise=True, seed=8, **pictures)
    raw.save(tmp_path / "scan.npz")
    saved_untrained(tmp_path / "untrained", raw, gridsize=2)
    errors = {}
    for name, model in {"general": None, "untrained": tmp_path / "untrained"}.items():
        out = reconstruct.run(
            InferenceConfig(
                model_path=model, test_data=tmp_path / "scan.npz", output_dir=tmp_path / name,
                device="cpu", cache=False, progress=False, sweeps=0,
            )
        )  # fmt: skip
        errors[name] = json.loads((out / "metrics.json").read_text())["object"]["object_residual"]
    assert errors["general"] < 0.75 * errors["untrained"]
