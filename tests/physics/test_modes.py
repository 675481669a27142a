"""Incoherent modes: added, made orthogonal, found."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_scan import SIDE, saved_untrained, simulated, swept, truth_on_canvas

from ptycho.api import saving
from ptycho.api.components import more_modes, scaled_probe
from ptycho.commands import reconstruct as workflow
from ptycho.errors import ConfigError
from ptycho.physics.forward import detector_intensity, exit_waves
from ptycho.physics.probe import mode_shares, orthogonal_modes, probe_intensity, with_modes
from ptycho.settings.reconstruct import InferenceConfig


def gram(probe):
    flat = probe.flatten(1)
    return flat.conj() @ flat.mT


def several(n_modes, size=8):
    g = torch.Generator().manual_seed(n_modes)
    return torch.randn(n_modes, size, size, dtype=torch.complex128, generator=g)


@pytest.mark.parametrize(("before", "after"), [(1, 2), (1, 6), (2, 3), (3, 3)])
def test_added_modes_are_orthogonal_to_all_and_the_power_stays(before, after):
    probe = several(before)
    more = with_modes(probe, after, share=0.02)
    assert len(more) == after
    products = gram(more)
    assert products[before:].abs().sum() == pytest.approx(
        float(products.diagonal()[before:].abs().sum())
    )
    torch.testing.assert_close(probe_intensity(more).sum(), probe_intensity(probe).sum())
    assert mode_shares(more)[before:] == pytest.approx([0.02] * (after - before))
    torch.testing.assert_close(more[:before] / more[0, 0, 0], probe / probe[0, 0, 0])


def test_the_first_mode_added_to_a_round_one_leans_to_one_side():
    axis = torch.arange(8.0) - 3.5
    main = torch.exp(-0.2 * (axis[:, None] ** 2 + axis**2)).to(torch.complex64)
    added = with_modes(main[None], 2, share=0.5)[1].real
    lean = added / main.real / axis  # x times a Gaussian
    torch.testing.assert_close(lean, lean[0, 0].expand(8, 8), rtol=1e-3, atol=1e-3)


def test_orthogonal_modes_give_the_same_frames():
    probe, patches = several(3), several(5).flatten(0, 0)
    found = orthogonal_modes(probe)
    before, after = (detector_intensity(exit_waves(patches, modes)) for modes in (probe, found))
    torch.testing.assert_close(before, after)
    products = gram(found)
    torch.testing.assert_close(products, torch.diag(products.diagonal()), atol=1e-9, rtol=0)
    assert sorted(mode_shares(found), reverse=True) == mode_shares(found)
    torch.testing.assert_close(orthogonal_modes(probe[:1]), probe[:1])


def test_two_equal_modes_are_one_of_twice_the_power():
    one = several(1)
    assert mode_shares(orthogonal_modes(torch.cat([one, one]))) == pytest.approx([1, 0], abs=1e-9)


def test_a_second_mode_is_found_from_its_absence():
    raw = simulated(64, modes=2)
    main = scaled_probe(replace(raw, probe=raw.probe[:1])).probe
    _, canvas = truth_on_canvas(raw)
    ones = torch.ones(canvas.shape, dtype=torch.complex64)
    one, two = (
        swept(raw, ones, canvas, with_modes(main, n), sweeps=20, refine_probe=True) for n in (1, 2)
    )
    assert two.free_residual[-1] < 0.2 * one.free_residual[-1]
    true = mode_shares(torch.from_numpy(raw.probe))[1]
    assert mode_shares(orthogonal_modes(two.probe))[1] == pytest.approx(true, rel=0.5)


def test_a_run_finds_as_many_modes_as_asked_for(tmp_path, monkeypatch, caplog):
    for name in ("save_amplitude", "save_phase"):
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
    assert "probe: modes of 9" in caplog.text


def test_modes_that_nothing_would_find_are_refused():
    with pytest.raises(ConfigError, match="n_modes: without --refine_probe"):
        InferenceConfig(model_path="m", test_data="s", output_dir="o", n_modes=2)
    with pytest.raises(ConfigError, match="n_modes: 1; expected the 2"):
        more_modes(several(2).to(torch.complex64), 1)
