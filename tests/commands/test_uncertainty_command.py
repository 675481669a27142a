"""`ptycho_inference --trust`: what a run leaves, and what is refused."""

import json
import re

import numpy as np
import pytest
from tiny_scan import saved_untrained, simulated

from ptycho.commands import cli
from ptycho.commands import reconstruct as workflow
from ptycho.errors import ConfigError
from ptycho.settings.reconstruct import InferenceConfig


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trust")
    raw = simulated(36, noise=True, photons=1e4)
    raw.save(folder / "scan.npz")
    raw.first(7).save(folder / "few.npz")
    saved_untrained(folder / "lifted", raw)
    saved_untrained(folder / "unet", raw, 2, "unet", 8, stirred=0.01)
    return folder


@pytest.mark.parametrize(
    ("network", "more"),
    [
        ("lifted", {"sweeps": 4}),
        ("unet", {"sweeps": 0, "verdict": False}),
        ("lifted", {"refine_probe": True, "sweeps": 2}),
    ],
)
def test_arrays_numbers_and_figure_of_a_run(home, tmp_path, network, more):
    config = InferenceConfig(
        model_path=home / network, test_data=home / "scan.npz", output_dir=tmp_path, uncertainty=2,
        device="cpu", progress=False, cache=False, **more,
    )  # fmt: skip
    workflow.run(config)
    with np.load(tmp_path / "reconstruction.npz") as file:
        arrays = dict(file)
    assert arrays["phase_std"].shape == arrays["object"].shape
    assert (arrays["amplitude_std"][np.isfinite(arrays["amplitude_std"])] >= 0).all()
    found = json.loads((tmp_path / "metrics.json").read_text())["uncertainty"]
    assert found["samples"] == 2
    assert found["phase_std_rad"] == pytest.approx(
        np.sqrt(np.nanmean(arrays["phase_std"].astype(float) ** 2)), rel=1e-5
    )
    half = found["half_data"]
    assert 0 <= half["frc_one_bit_share_of_nyquist"] <= half["frc_half_bit_share_of_nyquist"] <= 1
    assert len(half["one_bit"]) == len(arrays["half_data_correlation"])
    assert (tmp_path / "uncertainty.png").stat().st_size > 10_000
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert {"half_data_frc", "phase_std", "amplitude_std"} <= set(
        re.findall(r'<figure id="(\w+)"', page)
    )
    assert f"<td>{found['phase_std_rad']:.3g} rad (RMS over the object)</td>" in page


def test_the_uncertainty_of_a_wrong_picture_is_withheld(home, tmp_path):
    config = InferenceConfig(
        model_path=home / "unet", test_data=home / "scan.npz", output_dir=tmp_path, uncertainty=2,
        sweeps=0, device="cpu", progress=False, cache=False, report=False,
    )  # fmt: skip
    workflow.run(config)
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert found["verdict"]["word"] == "wrong"
    assert "uncertainty" not in found
    with np.load(tmp_path / "reconstruction.npz") as file:
        assert "phase_std" not in file


def test_without_being_asked_nothing_is_told(home, tmp_path):
    config = InferenceConfig(
        model_path=home / "lifted", test_data=home / "scan.npz", output_dir=tmp_path, sweeps=0,
        device="cpu", progress=False, cache=False, report=False,
    )  # fmt: skip
    workflow.run(config)
    assert "uncertainty" not in json.loads((tmp_path / "metrics.json").read_text())
    assert not (tmp_path / "uncertainty.png").exists()


def test_too_few_positions_to_halve_are_one_line(home, tmp_path, capsys):
    code = cli.inference_main(
        ["--model_path", str(home / "lifted"), "--test_data", str(home / "few.npz"),
         "--output_dir", str(tmp_path / "none"), "--trust", "4", "--no_progress"]
    )  # fmt: skip
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert code == 2
    assert "uncertainty: 7 positions" in last
    assert "expected 8 or more" in last
    assert not (tmp_path / "none").exists()


def test_one_sample_has_no_spread():
    with pytest.raises(ConfigError, match="uncertainty: 1; expected 2 or more"):
        InferenceConfig(test_data="scan.npz", output_dir="out", uncertainty=1)
