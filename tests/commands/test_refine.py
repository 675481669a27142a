"""The hand-over to pty-chi: conventions, what judges, what is refused; with pty-chi, its results.

The second half runs where ptycho[refine] is installed.
"""

import importlib.util
import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_scan import SIDE, saved_untrained, simulated

from ptycho.commands import cli, evaluate, reconstruct
from ptycho.commands import refine as workflow
from ptycho.engines import ptychi as refinement
from ptycho.engines.ptychi import (
    ROOM,
    Estimate,
    Plan,
    estimate_of,
    free_residual,
    refine,
    start_engine,
)
from ptycho.errors import ConfigError, DataError
from ptycho.physics.forward import detector_intensity, exit_waves
from ptycho.physics.patches import canvas_of, cut_patches, window_corners
from ptycho.physics.probe import shift_probe
from ptycho.scan.raw_data import RawData
from ptycho.settings.evaluate import EvaluateConfig
from ptycho.settings.reconstruct import InferenceConfig
from ptycho.settings.refine import RefineConfig

WIDE = 16  # at least ROOM, so that the padded truth holds every canvas


def truth_of(raw):
    """The true object on a canvas with room, the true probe, the true positions."""
    (row, col), (height, width) = canvas_of(torch.from_numpy(raw.positions), SIDE)
    padded = np.pad(raw.obj, WIDE, mode="edge")
    first = np.array([row, col]) - ROOM
    (top, left), tall, broad = first + WIDE, height + 2 * ROOM, width + 2 * ROOM
    return Estimate(
        padded[top : top + tall, left : left + broad].copy(),
        raw.probe.copy(),
        raw.positions - first,
    )


def flat_of(raw):
    truth = truth_of(raw)
    return truth._replace(obj=np.ones_like(truth.obj))


def photons(raw):
    return raw.intensity(np.arange(raw.n_frames))


def some_pixels(raw, share=0.05):
    return np.random.default_rng(0).random((raw.n_frames, SIDE, SIDE)) < share


def windows(estimate):
    corners, fractions = window_corners(torch.from_numpy(estimate.positions), SIDE)
    return cut_patches(torch.from_numpy(estimate.obj), corners, SIDE), fractions


def expected(estimate):
    patches, fractions = windows(estimate)
    probes = shift_probe(torch.from_numpy(estimate.probe), fractions)
    return detector_intensity(exit_waves(patches, probes)).numpy()


def test_the_truth_leaves_no_free_residual_and_a_flat_object_does():
    raw = simulated(16)
    assert free_residual(photons(raw), truth_of(raw), some_pixels(raw)) < 1e-6
    assert free_residual(photons(raw), flat_of(raw), some_pixels(raw)) > 1e-2


def test_only_held_out_pixels_are_judged():
    raw = simulated(16)
    held_out = some_pixels(raw, 0.3)
    spoiled = np.where(held_out, photons(raw), 7 * photons(raw) + 100).astype(np.float32)
    one, other = (
        free_residual(frames, flat_of(raw), held_out) for frames in (photons(raw), spoiled)
    )
    assert one == other


def test_marked_frames_are_zero_on_held_out_pixels_only():
    frames = np.array([[[0.0, 3.0], [5.0, 0.0]]], dtype=np.float32)
    held_out = np.array([[[False, True], [False, True]]])
    marked = refinement._marked(frames, held_out)
    np.testing.assert_array_equal(marked == 0, held_out)
    np.testing.assert_allclose(marked[~held_out], [0, 5], atol=1e-5)
    assert marked[~held_out].min() > refinement._DARK / 2


def finished(obj, probe, positions):
    """What `estimate_of` asks of a task of pty-chi."""
    held = {"object": obj[None], "probe": probe[None], "probe_positions": positions}
    return SimpleNamespace(get_data_to_cpu=lambda name, as_numpy: held[name])


def test_a_result_keeps_the_power_of_the_probe_and_every_exit_wave():
    raw = simulated(16)
    start = truth_of(raw)
    task = finished(3 * start.obj, 2 * start.probe / SIDE, start.positions)
    found = estimate_of(task, start)
    np.testing.assert_allclose(found.probe, start.probe, rtol=1e-5)
    np.testing.assert_allclose(found.obj, 6 * start.obj, rtol=1e-5)


def test_positions_that_wander_off_come_back_to_the_canvas():
    start = truth_of(simulated(16))
    width = start.obj.shape[1]
    away = np.array([[-5.0, 20.0], [20.0, width + 3.0]])
    found = estimate_of(finished(start.obj, start.probe / SIDE, away), start)
    np.testing.assert_array_equal(found.positions, [[8, 20], [20, width - 8]])


def test_without_torchvision_a_stand_in_is_there_for_the_import_only(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.delitem(sys.modules, "torchvision.transforms", raising=False)
    with refinement._torchvision_or_stand_in():
        assert hasattr(importlib.import_module("torchvision.transforms"), "GaussianBlur")
    assert "torchvision.transforms" not in sys.modules


@pytest.fixture
def without_ptychi(monkeypatch):
    for name in ("ptychi", "ptychi.api"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A scan, and what an untrained network makes of it."""
    folder = tmp_path_factory.mktemp("home")
    raw = simulated(49)
    raw.save(folder / "scan.npz")
    reconstruct.run(
        InferenceConfig(
            model_path=saved_untrained(folder / "model", raw), test_data=folder / "scan.npz",
            output_dir=folder / "result", sweeps=0, device="cpu", cache=False, progress=False,
        )
    )  # fmt: skip
    return folder


def config(home, folder, **changes):
    settings = {
        "reconstruction": home / "result",
        "test_data": home / "scan.npz",
        "output_dir": folder,
        "device": "cpu",
        "progress": False,
    }
    return RefineConfig(**settings | changes)


def test_absent_pty_chi_costs_one_line_and_leaves_nothing(home, tmp_path, capsys, without_ptychi):
    given = ["--reconstruction", str(home / "result"), "--test_data", str(home / "scan.npz")]
    assert cli.main(["refine", *given, "--output_dir", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "ptychi: not installed" in told
    assert "pip install" in told
    assert not (tmp_path / "out").exists()


def test_a_reconstruction_read_back_has_room_and_the_same_windows(home, tmp_path):
    raw = RawData.from_file(home / "scan.npz")
    start = workflow._start(config(home, tmp_path), raw)
    with np.load(home / "result" / "reconstruction.npz") as file:
        whole, coverage = file["object"], file["coverage"]
        corners, _ = window_corners(torch.from_numpy(file["positions"] - file["origin"]), SIDE)
    cut = cut_patches(torch.from_numpy(whole), corners, SIDE).numpy()
    seen = cut_patches(torch.from_numpy(coverage), corners, SIDE).numpy() > 0
    ours = windows(start.estimate)[0].numpy()
    np.testing.assert_array_equal(ours[seen], cut[seen])
    assert (np.abs(start.estimate.obj) > 0).all()


def test_a_reconstruction_of_another_scan_is_refused(home, tmp_path):
    raw = RawData.from_file(home / "scan.npz")
    for other in (raw.first(40), replace(raw, xcoords=raw.xcoords + SIDE)):
        with pytest.raises(DataError, match="expected one made from this scan"):
            workflow._start(config(home, tmp_path), other)


def test_batches_of_rpie_light_a_pixel_once_on_average(home, tmp_path):
    start = workflow._start(config(home, tmp_path), RawData.from_file(home / "scan.npz"))
    size = workflow._batch_size("rpie", start)
    assert size * start.coverage.max() / 49 <= 1 < (size + 1) * start.coverage.max() / 49
    assert workflow._batch_size("lsqml", start) == 16


# From here on pty-chi itself works.

needs_ptychi = pytest.mark.skipif(
    importlib.util.find_spec("ptychi") is None, reason="needs ptycho[refine]"
)


def once(numbers, total):
    return numbers


def refined(raw, start, held_out=None, epochs=5, **changes):
    held_out = some_pixels(raw) if held_out is None else held_out
    plan = Plan(**{"engine": "lsqml", "batch_size": 4} | changes)
    return refine(photons(raw), start, held_out, plan, epochs=epochs, track=once)


def away(estimate, truth):
    """Distance of all exit waves from the true ones, up to a global phase."""
    one, other = (
        (windows(e)[0] * torch.from_numpy(truth.probe[0]).abs()).flatten()
        for e in (estimate, truth)
    )
    overlap = torch.vdot(one, other)
    return float((one * overlap / overlap.abs() - other).norm() / other.norm())


@needs_ptychi
def test_pty_chi_expects_the_frames_that_we_expect():
    raw = simulated(16)
    start = truth_of(raw)
    plan = Plan("lsqml", 16)
    with refinement.contained(), torch.no_grad():
        task = start_engine(photons(raw), start, None, plan)
        frames = task.reconstructor.forward_model(torch.arange(16)).cpu()
    frames = torch.fft.fftshift(frames, dim=(-2, -1)).numpy()
    np.testing.assert_allclose(frames, expected(start), rtol=1e-4, atol=1e-4 * frames.max())
    np.testing.assert_allclose(frames, photons(raw), rtol=1e-3, atol=1e-3 * frames.max())


@needs_ptychi
@pytest.mark.parametrize("engine", ["lsqml", "rpie"])
def test_an_engine_finds_the_object_upright_and_in_its_place(engine):
    raw = simulated(49)
    truth, flat = truth_of(raw), flat_of(raw)
    found = refined(raw, flat, engine=engine, epochs=8)
    assert all(np.diff(found.free_residual) < 0)
    assert found.kept == 8
    assert away(found.estimate, truth) < 0.4 * away(flat, truth)
    np.testing.assert_array_equal(found.estimate.positions, np.float32(truth.positions))
    np.testing.assert_allclose(found.estimate.probe, truth.probe, atol=1e-3)


@needs_ptychi
@pytest.mark.parametrize("engine", ["lsqml", "rpie"])
def test_held_out_pixels_correct_nothing(engine):
    raw = simulated(16)
    held_out = some_pixels(raw, 0.3)
    # As bright as before in the sum of the brightest frame, from which LSQML takes a scale.
    spoiled = replace(raw, frames=np.where(held_out, raw.frames[:, ::-1], raw.frames))
    changes = {"held_out": held_out, "engine": engine, "refine_probe": True, "epochs": 2}
    one, other = (refined(r, flat_of(raw), **changes) for r in (raw, spoiled))
    np.testing.assert_allclose(one.estimate.obj, other.estimate.obj, atol=1e-5)
    np.testing.assert_allclose(one.estimate.probe, other.estimate.probe, atol=1e-2)
    assert other.free_residual[-1] > 2 * one.free_residual[-1]


@needs_ptychi
def test_left_alone_it_ends_and_returns_the_best():
    raw = simulated(49, photons=300, noise=True)
    found = refined(raw, flat_of(raw), epochs=None)
    assert 0 < found.kept < len(found.free_residual) - 1 < refinement.MOST_EPOCHS
    judged = free_residual(photons(raw), found.estimate, some_pixels(raw))
    assert judged == pytest.approx(found.free_residual[found.kept])


@needs_ptychi
def test_the_truth_is_not_made_worse():
    raw = simulated(49, photons=1e4, noise=True)
    truth = truth_of(raw)
    found = refined(raw, truth, epochs=None)
    assert found.free_residual[found.kept] <= found.free_residual[0]
    assert found.kept == 0
    assert found.estimate is truth


@needs_ptychi
def test_wrong_positions_are_mended():
    raw = simulated(49)
    truth = truth_of(raw)
    wrong = truth.positions + np.random.default_rng(0).normal(0, 0.3, truth.positions.shape)
    found = refined(raw, truth._replace(positions=wrong), epochs=15, refine_positions=True)
    error = found.estimate.positions - truth.positions
    assert (error - error.mean(axis=0)).std() < 0.5 * 0.3


@needs_ptychi
def test_a_refined_folder_is_evaluated_and_refined_again(home, tmp_path):
    first = workflow.run(config(home, tmp_path / "first", epochs=3))
    again = workflow.run(
        config(home, tmp_path / "again", reconstruction=first, epochs=2, engine="rpie")
    )
    for folder in (first, again):
        evaluate.run(EvaluateConfig(reconstruction=folder, truth=home / "scan.npz"))
    one, two = (json.loads((f / "metrics.json").read_text()) for f in (first, again))
    assert (one["sweeps"], two["sweeps"]) == (3, 2)
    assert two["free_residual"][-1] < one["free_residual"][-1] < one["free_residual"][0]
    assert two["free_residual"][0] == pytest.approx(one["free_residual"][-1], rel=1e-3)
    assert two["object"]["phase_psnr_db"] > one["object"]["phase_psnr_db"]


@needs_ptychi
def test_pty_chi_leaves_the_default_device_as_it_was():
    raw = simulated(9)
    refined(raw, flat_of(raw), epochs=1)
    assert torch.get_default_device() == torch.device("cpu")
    with pytest.raises(ConfigError, match="epochs"):
        RefineConfig(reconstruction="r", test_data="s", output_dir="o", epochs=0)
