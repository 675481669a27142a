"""Nuisance parameters: found where they are present, unchanged where they are not."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_scan import (
    SIDE,
    problem_of,
    saved_untrained,
    simulated,
    start_of,
    swept,
    truth_on_canvas,
)

from ptycho.api import saving
from ptycho.commands import reconstruct as workflow
from ptycho.engines import held_out as held_out_module
from ptycho.engines.background import BackgroundSum
from ptycho.engines.nuisances import (
    Refine,
    beam_factors,
)
from ptycho.engines.position_steps import (
    MOST_MOVED,
    moved,
    position_steps,
    position_sums,
    probe_slopes,
)
from ptycho.engines.residuals import frame_residuals
from ptycho.errors import ConfigError, DataError
from ptycho.experiment import Experiment
from ptycho.physics.detector import Detector, Measured
from ptycho.physics.forward import forward_model
from ptycho.physics.probe import shift_probe
from ptycho.scan.raw_data import RawData
from ptycho.scan.scaling import scaled_probe
from ptycho.settings.reconstruct import InferenceConfig


def wide(raw, margin=8):
    """The object of ones and the true one on a canvas that positions may move on."""
    truth, canvas = truth_on_canvas(raw)
    (row, col), (height, width) = canvas = canvas.widened(margin)
    seen = torch.from_numpy(np.pad(raw.obj, 20, mode="edge"))
    truth = seen[row + 20 : row + 20 + height, col + 20 : col + 20 + width]
    return torch.ones_like(truth), truth / scaled_probe(raw).transmission, canvas


ALL = ("positions", "intensity", "background")
FLAGS = {f"refine_{name}": True for name in ALL}


def test_a_scan_without_nuisances_keeps_what_it_is_told():
    raw = simulated(25)
    _, truth, canvas = wide(raw)
    found = swept(raw, truth, canvas, iterations=6, refine=ALL)
    assert max(found.free_residual) < 1e-6
    torch.testing.assert_close(
        found.nuisances.positions, torch.from_numpy(raw.positions), rtol=0, atol=1e-3
    )
    torch.testing.assert_close(found.nuisances.intensity, torch.ones(25), rtol=0, atol=1e-3)
    assert float(found.nuisances.background.max()) < 0.01  # of 400 photons on the mean pixel


# Slopes and steps


def test_slopes_of_a_probe_are_its_differences():
    raw = simulated(4)
    probe, step = scaled_probe(raw).probe, 1e-2
    slopes = probe_slopes(probe[None])[0]
    for axis in range(2):
        ends = [torch.tensor([[sign * step * (axis == k) for k in range(2)]]) for sign in (1, -1)]
        ahead, behind = (shift_probe(probe, end)[0] for end in ends)
        torch.testing.assert_close(slopes[axis], (ahead - behind) / (2 * step), rtol=1e-2, atol=0.1)


@pytest.mark.parametrize("blur", [0.0, 0.8])
def test_one_step_finds_a_small_displacement(blur):
    raw = simulated(9)
    probe = torch.cat([scaled_probe(raw).probe, 0.3 * scaled_probe(raw).probe.roll(2, -1)])
    g = torch.Generator().manual_seed(0)
    patches = torch.polar(torch.ones(9, SIDE, SIDE), torch.rand(9, SIDE, SIDE, generator=g))
    true = 0.1 * torch.rand(9, 2, generator=g) - 0.05
    model = forward_model(Experiment(blur=blur), SIDE)
    measured = model.intensity(patches, shift_probe(probe, true)).sqrt()
    shifted = shift_probe(probe, torch.zeros(9, 2))
    waves = model.waves(patches, shifted)
    change = model.waves(patches[:, None].expand(-1, 2, -1, -1), probe_slopes(shifted))
    slopes = model.detector.spread((waves.unsqueeze(1).conj() * change).real.sum(dim=2))
    used = torch.rand(9, SIDE, SIDE, generator=g) > 0.1
    measured[~used] = 1e4
    modelled = model.detector.intensity(waves).sqrt()
    steps = position_steps(position_sums(slopes, modelled, measured, used))
    torch.testing.assert_close(steps, true, rtol=0.1, atol=3e-3)


def test_positions_go_no_farther_than_they_may():
    given = torch.zeros(3, 2, dtype=torch.float64)
    there = given
    for _ in range(100):
        there = moved(there, given, torch.tensor([1]), torch.tensor([[0.3, -0.3]]))
    assert there.tolist() == [[0, 0], [MOST_MOVED, -MOST_MOVED], [0, 0]]


def test_wrong_positions_are_corrected_and_the_object_with_them():
    true = simulated(64, photons=1e6)
    raw = simulated(64, photons=1e6, position_error=0.6)
    ones, _, canvas = wide(raw)
    fixed = swept(raw, ones, canvas, iterations=25)
    corrected = swept(raw, ones, canvas, iterations=25, refine=["positions"])
    before, after = (
        (positions - true.positions) - (positions - true.positions).mean(axis=0)
        for positions in (raw.positions, corrected.nuisances.positions.numpy())
    )
    assert np.square(after).mean() < np.square(before).mean() / 9
    assert corrected.free_residual[-1] < 0.3 * fixed.free_residual[-1]
    drift = (corrected.nuisances.positions.numpy() - raw.positions).mean(axis=0)
    np.testing.assert_allclose(drift, 0, atol=1e-9)
    assert torch.equal(fixed.nuisances.positions, torch.from_numpy(raw.positions))


# Beam


def test_a_beam_that_varies_is_found():
    raw = simulated(49)
    beam = 1 + 0.1 * np.random.default_rng(0).standard_normal(49)
    beam /= beam.mean()
    varied = replace(raw, frames=(raw.frames * beam[:, None, None]).astype(np.float32))
    ones, _, canvas = wide(raw)
    found = swept(varied, ones, canvas, iterations=15, refine=["intensity"])
    steady = swept(varied, ones, canvas, iterations=15)
    # What varies slowly over the scan may as well be the sample's absorption.
    row, col = (raw.positions - raw.positions.mean(axis=0)).T
    slow = np.stack([np.ones(49), row, col, row**2, col**2, row * col], axis=1)
    away = found.nuisances.intensity.numpy() - beam
    away -= slow @ np.linalg.lstsq(slow, away, rcond=None)[0]
    assert np.std(away) < 0.2 * np.std(beam)
    assert float(found.nuisances.intensity.mean()) == pytest.approx(1)
    assert found.free_residual[-1] < 0.3 * steady.free_residual[-1]


def test_the_factor_of_a_frame_by_hand():
    photons = torch.tensor([[9.0, 6.0], [0.0, 0.0], [1.0, 100.0]])
    assert beam_factors(photons).tolist() == [1.5, 1.0, 0.5]  # 9 / 6, unknown, the least


# Background


def test_the_background_by_hand():
    expected = torch.tensor([[[0.0, 5.0]], [[1.0, 9.0]]])
    amplitude = torch.tensor([[[4.0, 0.0]], [[6.0, 9.0]]]).sqrt()
    used = torch.tensor([[[True, True]], [[True, False]]])
    found = BackgroundSum.empty(expected[0]).with_frames(expected, amplitude, used, None)
    # (4 / 1 + 5 / 2) / (1 + 1 / 2), and -5 is none.
    torch.testing.assert_close(found.background(), torch.tensor([[6.5 / 1.5, 0.0]]))


def test_light_that_hardly_varies_is_told_from_no_background():
    expected = torch.tensor([[[9.0, 10.0]], [[9.0, 14.0]]])
    amplitude = (expected + 4.0).sqrt()
    used = torch.ones_like(expected, dtype=torch.bool)
    found = BackgroundSum.empty(expected[0]).with_frames(expected, amplitude, used, None)
    # Weights 15/26 and 11/26: <I> = 152/13, <I^2> = 1828/13, and 8 (1 - <I>^2 / <I^2>) of the 4.
    share = 8 * (1 - 152**2 / (13 * 1828))
    torch.testing.assert_close(found.background(), torch.tensor([[0.0, 4.0 * share]]))
    known = torch.tensor([[7.0, 2.0]])  # what a scan tells stands where the light tells nothing
    torch.testing.assert_close(found.background(known), torch.tensor([[7.0, 2.0 + 2.0 * share]]))


def test_the_bright_field_of_a_weak_sample_is_no_background():
    weak = {"phase_range": 0.5, "min_amplitude": 0.8, "photons": 1e4, "noise": True}
    raw = simulated(100, probe="lens", **weak)
    ones, _, canvas = wide(raw)
    grid = torch.arange(SIDE) - SIDE // 2
    wrong = scaled_probe(raw).probe * torch.exp(0.02j * (grid[:, None] ** 2 + 1.5 * grid**2))
    found = swept(raw, ones, canvas, wrong, iterations=30, refine=["background", "probe"])
    assert float(found.nuisances.background.sum()) < 0.02 * raw.photons_per_frame()


def test_a_background_is_found_from_nothing():
    raw = simulated(100, background=20.0)
    ones, _, canvas = wide(raw)
    probe = scaled_probe(replace(raw, background=20.0)).probe
    found = swept(raw, ones, canvas, probe, iterations=15, refine=["background"])
    without = swept(raw, ones, canvas, probe, iterations=15)
    assert float(found.nuisances.background.median()) == pytest.approx(20, rel=0.1)
    assert found.free_residual[-1] < 0.2 * without.free_residual[-1]


@pytest.mark.parametrize("known", [3.0, np.arange(256.0).reshape(SIDE, SIDE)])
def test_a_known_background_takes_its_share(known, tmp_path):
    clear = simulated(25)
    hazy = replace(clear, frames=clear.frames + np.float32(known), background=known)
    hazy.save(tmp_path / "scan.npz")
    raw = RawData.from_file(tmp_path / "scan.npz")
    np.testing.assert_array_equal(raw.background, np.broadcast_to(known, (SIDE, SIDE)))
    torch.testing.assert_close(scaled_probe(raw).probe, scaled_probe(clear).probe)
    _, truth, canvas = wide(clear)
    probe = scaled_probe(raw).probe
    start = start_of(raw, truth, probe)
    assert float(frame_residuals(problem_of(raw, canvas), start).max()) < 1e-6
    found = swept(raw, truth, canvas, probe)
    assert max(found.free_residual) < 1e-6
    scaled = raw.scaled_to(10 * raw.photons_per_frame())
    np.testing.assert_allclose(scaled.background_intensity, 10 * raw.background)


def test_a_modulus_is_shared_with_the_background():
    waves = torch.tensor([[[3.0 + 0j]]])
    measured = Measured(torch.tensor([[10.0]]), background=torch.tensor([[16.0]]))
    out = Detector().corrected(waves, measured)
    torch.testing.assert_close(out, torch.tensor([[[6.0 + 0j]]]))  # 3 sqrt(100 / 25)


@pytest.mark.parametrize("background", [-1.0, np.nan, np.ones(3), np.array("much")])
def test_what_is_no_background_is_refused(background):
    with pytest.raises(DataError, match="background of"):
        replace(simulated(4), background=background)


# Together


def test_held_out_pixels_have_no_say_in_anything_refined(monkeypatch):
    monkeypatch.setattr(held_out_module, "HELD_OUT", 0.3)
    raw = simulated(16)
    held_out = held_out_module.held_out_patterns(SIDE, 0).numpy()[:16]
    spoiled = replace(raw, frames=np.where(held_out, 7.0 * raw.frames + 100.0, raw.frames))
    ones, _, canvas = wide(raw)
    probe = scaled_probe(raw).probe
    one, other = (
        swept(scan, ones, canvas, probe, iterations=5, refine=["probe", *ALL])
        for scan in (raw, spoiled)
    )
    torch.testing.assert_close(one.obj, other.obj)
    for mine, theirs in zip(one.nuisances, other.nuisances, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_everything_asked_for_has_its_turn_before_the_end():
    asked = Refine(probe=True, positions=True)
    assert asked.in_iteration(1) == Refine()
    assert asked.in_iteration(asked.complete) == asked
    assert asked.in_iteration(asked.complete - 1) != asked
    assert Refine().complete == 1
    raw = simulated(49, photons=300, noise=True, position_error=0.5)
    ones, _, canvas = wide(raw)
    found = swept(raw, ones, canvas, iterations=None, refine=["positions"])
    assert len(found.free_residual) >= asked.complete + 2


def test_what_was_found_explains_the_frames():
    raw = simulated(49, position_error=0.4, background=5.0)
    ones, _, canvas = wide(raw)
    found = swept(raw, ones, canvas, iterations=25, refine=ALL)
    problem, given = problem_of(raw, canvas), start_of(raw, found.obj, found.nuisances.probe)
    before, after = (frame_residuals(problem, each) for each in (given, found.estimate))
    assert float(after.mean()) < 0.2 * float(before.mean())
    frames, photons = np.arange(49), raw.photons_per_frame()
    lines = found.nuisances.lines(given.nuisances, frames, photons)
    names = [line.split(":")[0] for line in lines]
    assert names == ["positions", "beam intensity", "background"]
    assert not given.nuisances.lines(given.nuisances, frames, photons)


def test_the_classic_network_alone_finds_nothing_beside_the_object(tmp_path):
    raw = simulated(36)
    raw.save(tmp_path / "scan.npz")
    config = InferenceConfig(
        model_path=saved_untrained(tmp_path / "model", raw, network="unet"), cache=False,
        test_data=tmp_path / "scan.npz", output_dir=tmp_path / "o", sweeps=0, refine_positions=True,
    )  # fmt: skip
    with pytest.raises(
        ConfigError, match="refine_positions: with iterations 0; expected iterations"
    ):
        workflow.run(config)


def test_a_run_keeps_and_tells_what_it_found(tmp_path, monkeypatch, caplog):
    for name in ("save_image",):
        monkeypatch.setattr(saving, name, lambda *_args, **_settings: None)
    raw = simulated(49, position_error=0.4, background=5.0)
    raw.save(tmp_path / "scan.npz")
    settings = {
        "model_path": saved_untrained(tmp_path / "model", raw),
        "test_data": tmp_path / "scan.npz",
        "device": "cpu",
        "progress": False,
        "n_images": 36,
        "sweeps": 8,
        "calibrate": "off",
    }
    with caplog.at_level(logging.INFO):
        both = [
            workflow.run(InferenceConfig(output_dir=tmp_path / str(on), **settings, **flags))
            for on, flags in ((False, {}), (True, FLAGS))
        ]
    plain, refined = (dict(np.load(folder / "reconstruction.npz")) for folder in both)
    np.testing.assert_array_equal(plain["positions"], raw.positions[:36])
    assert {"intensity", "background"} <= set(refined) - set(plain)
    shapes = [refined[name].shape for name in ("positions", "intensity", "background")]
    assert shapes == [(36, 2), (36,), (SIDE, SIDE)]
    moved_by = refined["positions"] - raw.positions[:36]
    assert 0 < np.abs(moved_by).max() <= MOST_MOVED
    assert refined["frame_residuals"].mean() < 0.5 * plain["frame_residuals"].mean()
    assert [
        caplog.text.count(word)
        for word in ("corrected by", "variation between", "photons per frame (")
    ] == [1] * 3
