"""The folder of a trained model: read as it was written; damage is reported in one line."""

import json

import pytest
import torch

from ptycho.errors import ModelError
from ptycho.io.atomic import file_checksum
from ptycho.learning.model_folder import (
    ModelSettings,
    build_model,
    general_model,
    load_model,
    save_model,
)


@pytest.fixture
def saved(tmp_path):
    settings = ModelSettings(
        network="unet", network_options={"window": 16, "width": 8}, gridsize=2,
        neighbor_count=8, frame_size=32, n_modes=2, training={"seed": 3},
    )  # fmt: skip
    torch.manual_seed(1)
    model = build_model(settings, torch.randn(2, 32, 32, dtype=torch.complex64))
    save_model(tmp_path / "model", model, settings)
    return tmp_path / "model", model, settings


def test_weights_probe_and_settings_come_back(saved):
    folder, model, settings = saved
    loaded, read = load_model(folder)
    assert read == settings
    torch.testing.assert_close(loaded.probe, model.probe)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value)
    assert sorted(p.name for p in folder.iterdir()) == ["model.safetensors", "settings.json"]


@pytest.mark.parametrize("name", ["model.safetensors", "settings.json"])
def test_a_missing_file_is_named(saved, name):
    (saved[0] / name).unlink()
    with pytest.raises(ModelError, match=f"no {name}; expected the output folder"):
        load_model(saved[0])


def test_truncated_weights_are_refused(saved):
    path = saved[0] / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ModelError, match="expected safetensors weights"):
        load_model(saved[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 99}, "format_version 99; expected 2"),
        ({"network": "nonsense"}, "'nonsense'; expected one of lifted, unet"),
        ({"network": ["lifted"]}, "expected one of lifted, unet"),
        ({"network_options": {"window": 16, "depth": 3}}, "expected its options"),
        ({"network_options": {"width": 8}}, "expected its options"),
        ({"network_options": {"window": "16"}}, "window '16'; expected a whole number"),
        ({"network_options": {"window": 1000}}, "window 1000; expected at most frame_size, 32"),
        ({"network_options": 7}, "network_options 7; expected names and whole numbers"),
        ({"gridsize": 0}, "gridsize 0; expected a whole number from 1 on"),
        ({"gridsize": "2"}, "gridsize '2'; expected a whole number from 1 on"),
        ({"frame_size": 32.0}, "frame_size 32.0; expected a whole number from 1 on"),
        ({"n_modes": -1}, "n_modes -1; expected a whole number from 1 on"),
        ({"network_options": {"window": 16, "width": 16}}, "expected the weights that"),
    ],
)
def test_settings_that_do_not_fit_are_refused_in_one_line(saved, change, message):
    path = saved[0] / "settings.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError, match=message) as caught:
        load_model(saved[0])
    assert "\n" not in str(caught.value)


def test_settings_that_are_not_json_are_refused(saved):
    (saved[0] / "settings.json").write_text("{")
    with pytest.raises(ModelError, match="expected JSON settings"):
        load_model(saved[0])


def test_weights_with_one_bit_changed_are_refused_in_one_line(saved):
    path = saved[0] / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 0x01
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"SHA-256 \w{64}; expected \w{64} as in") as caught:
        load_model(saved[0])
    assert "\n" not in str(caught.value)


def test_a_model_of_before_the_digest_is_loaded(saved):
    path = saved[0] / "settings.json"
    content = json.loads(path.read_text())
    del content["weights_sha256"]
    path.write_text(json.dumps(content))
    assert load_model(saved[0])[1] == saved[2]


def test_the_packaged_model_carries_a_digest():
    content = json.loads((general_model() / "settings.json").read_text())
    assert content["weights_sha256"] == file_checksum(general_model() / "model.safetensors")
