"""Training on simulated scans: it learns, and the general model is better than physics alone."""

import json

import pytest
import torch
from tiny_scan import saved_untrained, simulated

from ptycho.api import pretraining
from ptycho.commands import pretrain, reconstruct
from ptycho.learning.model_folder import general_model, load_model
from ptycho.learning.pretraining import squared_error
from ptycho.settings.pretrain import PretrainConfig
from ptycho.settings.reconstruct import InferenceConfig
from ptycho.simulation.random_scans import KEPT_FOR_TESTS, RandomScans


def test_the_error_does_not_depend_on_the_global_phase_and_is_weighted_by_illumination():
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
        pretraining, "RandomScans",
        lambda seed, frame_size: RandomScans(seed, frame_size=frame_size, pictures=2, probes=2),
    )  # fmt: skip
    folder = pretrain.run(
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
                model_path=model, test_data=tmp_path / "scan.npz",
                output_dir=tmp_path / f"by_{name}",
                device="cpu", cache=False, progress=False, sweeps=0,
            )
        )  # fmt: skip
        errors[name] = json.loads((out / "metrics.json").read_text())["object"]["object_residual"]
    assert errors["general"] < 0.75 * errors["untrained"]
