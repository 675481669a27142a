"""Incoherent modes that a reconstruction finds."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_scan import SIDE, saved_untrained, simulated, swept, truth_on_canvas

from ptycho.api import saving
from ptycho.commands import reconstruct as workflow
from ptycho.engines.nuisances import more_modes
from ptycho.errors import ConfigError
from ptycho.physics.probe import mode_shares, orthogonal_modes, with_modes
from ptycho.scan.scaling import scaled_probe
from ptycho.settings.reconstruct import InferenceConfig


def test_a_second_mode_is_found_from_its_absence():
    raw = simulated(64, modes=2)
    main = scaled_probe(replace(raw, probe=raw.probe[:1])).probe
    _, canvas = truth_on_canvas(raw)
    ones = torch.ones(canvas.shape, dtype=torch.complex64)
    one, two = (
        swept(raw, ones, canvas, with_modes(main, n), iterations=20, refine=["probe"])
        for n in (1, 2)
    )
    assert two.free_residual[-1] < 0.2 * one.free_residual[-1]
    true = mode_shares(torch.from_numpy(raw.probe))[1]
    assert mode_shares(orthogonal_modes(two.nuisances.probe))[1] == pytest.approx(true, rel=0.5)


def test_a_run_finds_as_many_modes_as_asked_for(tmp_path, monkeypatch, caplog):
    for name in ("save_image",):
        monkeypatch.setattr(saving, name, lambda *_args, **_settings: None)
    raw = simulated(25)
    raw.save(tmp_path / "scan.npz")
    model = saved_untrained(tmp_path / "model", raw)
    with caplog.at_level(logging.INFO):
        folder = workflow.run(
            InferenceConfig(
                model_path=model, test_data=tmp_path / "scan.npz", output_dir=tmp_path / "out",
                device="cpu", progress=False, sweeps=3, n_modes=3, refine_probe=True,
            )
        )  # fmt: skip
    with np.load(folder / "reconstruction.npz") as found:
        assert found["probe"].shape == (3, SIDE, SIDE)
    assert "probe: modes with 9" in caplog.text


def test_modes_that_nothing_would_find_are_refused():
    with pytest.raises(ConfigError, match="n_modes: without --refine_probe"):
        InferenceConfig(model_path="m", test_data="s", output_dir="o", n_modes=2)
    with pytest.raises(ConfigError, match="n_modes: 1; expected the 2"):
        more_modes(torch.ones(2, 8, 8, dtype=torch.complex64), 1)
