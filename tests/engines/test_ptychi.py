"""The engines of pty-chi: conventions and refusals; where pty-chi is installed, its results."""

import importlib.util
import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_scan import SIDE, problem_of, saved_untrained, simulated, start_of, truth_on_canvas

from ptycho.commands import cli, evaluate, reconstruct
from ptycho.commands import refine as command
from ptycho.engines import ptychi_task
from ptycho.engines.ending import Ending
from ptycho.engines.held_out import held_out_patterns
from ptycho.engines.nuisances import Refine
from ptycho.engines.ptychi import PtyChi, _handover
from ptycho.engines.ptychi_task import ROOM, Plan, contained, estimate_of, start_task
from ptycho.errors import ConfigError, DataError
from ptycho.experiment import Experiment
from ptycho.physics.forward import ForwardModel
from ptycho.physics.patches import cut_patches, window_corners
from ptycho.physics.probe import shift_probe
from ptycho.progress import untracked
from ptycho.scan.raw_data import RawData
from ptycho.settings.evaluate import EvaluateConfig
from ptycho.settings.reconstruct import InferenceConfig
from ptycho.settings.refine import RefineConfig

WIDE = 16  # at least ROOM, so that the padded truth holds every canvas


def posed(raw, flat=False):
    """A scan as a problem with room, and the true object or empty space as its start."""
    _, canvas = truth_on_canvas(raw)
    (row, col), (height, width) = canvas = canvas.widened(ROOM)
    padded = np.pad(raw.obj, WIDE, mode="edge")
    obj = padded[row + WIDE : row + WIDE + height, col + WIDE : col + WIDE + width].copy()
    obj = torch.from_numpy(np.ones_like(obj) if flat else obj)
    problem = problem_of(raw, canvas, batch_size=4)
    return problem, start_of(raw, obj, torch.from_numpy(raw.probe))


def solved(raw, *, flat=True, method="lsqml", iterations=5, refine=Refine(), start=None):  # noqa: B008
    problem, given = posed(raw, flat)
    ending = Ending(iterations=iterations)
    return PtyChi(method).solve(problem, start or given, ending, refine, untracked)


def finished(obj, probe, positions):
    """What `estimate_of` reads from a task of pty-chi."""
    held = {"object": obj[None], "probe": probe[None], "probe_positions": positions}
    return SimpleNamespace(get_data_to_cpu=lambda name, as_numpy: held[name])


def test_marked_frames_are_zero_on_excluded_pixels_only():
    frames = np.array([[[0.0, 3.0], [5.0, 0.0]]], dtype=np.float32)
    excluded = np.array([[[False, True], [False, True]]])
    marked = ptychi_task._marked(frames, excluded)
    np.testing.assert_array_equal(marked == 0, excluded)
    np.testing.assert_allclose(marked[~excluded], [0, 5], atol=1e-5)
    assert marked[~excluded].min() > ptychi_task._DARK / 2


def test_a_result_keeps_the_power_of_the_probe_and_every_exit_wave():
    start = _handover(*posed(simulated(16)))
    task = finished(3 * start.obj, 2 * start.probe / SIDE, start.positions)
    found = estimate_of(task, start)
    np.testing.assert_allclose(found.probe, start.probe, rtol=1e-5)
    np.testing.assert_allclose(found.obj, 6 * start.obj, rtol=1e-5)


def test_positions_off_the_canvas_are_clipped_to_it():
    start = _handover(*posed(simulated(16)))
    width = start.obj.shape[1]
    off = np.array([[-5.0, 20.0], [20.0, width + 3.0]])
    found = estimate_of(finished(start.obj, start.probe / SIDE, off), start)
    np.testing.assert_array_equal(found.positions, [[8, 20], [20, width - 8]])


def test_without_torchvision_an_empty_module_replaces_it_for_the_import_only(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.delitem(sys.modules, "torchvision.transforms", raising=False)
    with ptychi_task._torchvision_or_stand_in():
        assert hasattr(importlib.import_module("torchvision.transforms"), "GaussianBlur")
    assert "torchvision.transforms" not in sys.modules


def test_batches_of_rpie_illuminate_a_pixel_once_on_average():
    problem, start = posed(simulated(49))
    problem = replace(problem, batch_size=None)
    begin = _handover(problem, start)
    from ptycho.engines.ptychi import _repeats

    repeats = _repeats(begin)
    size = PtyChi("rpie")._batch_size(problem, begin)
    assert size * repeats / 49 <= 1 < (size + 1) * repeats / 49
    assert PtyChi("lsqml")._batch_size(problem, begin) == 16


@pytest.mark.parametrize("experiment", [Experiment(blur=0.5), Experiment(fresnel_number=0.5,
                                        propagation="near")])  # fmt: skip
def test_another_experiment_is_refused(experiment):
    with pytest.raises(ConfigError, match="engine: lsqml, for a thin sample in the far field"):
        solved(replace(simulated(16), experiment=experiment))


@pytest.mark.parametrize("name", ["intensity", "background", "affine", "search"])
def test_nuisance_parameters_without_a_counterpart_are_refused(name):
    with pytest.raises(ConfigError, match=f"{name}: not supported by engine lsqml"):
        solved(simulated(16), refine=Refine(**{name: True}))


@pytest.fixture
def without_ptychi(monkeypatch):
    for name in ("ptychi", "ptychi.api"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A scan, and its reconstruction by an untrained network."""
    folder = tmp_path_factory.mktemp("home")
    raw = simulated(49)
    raw.save(folder / "scan.npz")
    reconstruct.run(
        InferenceConfig(
            model_path=saved_untrained(folder / "model", raw), test_data=folder / "scan.npz",
            output_dir=folder / "result", sweeps=0, device="cpu", cache=False, progress=False,
            report=False,
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
        "report": False,
    }
    return RefineConfig(**settings | changes)


def test_absent_pty_chi_costs_one_line_and_leaves_nothing(home, tmp_path, capsys, without_ptychi):
    given = ["--reconstruction", str(home / "result"), "--test_data", str(home / "scan.npz")]
    assert cli.main(["refine", *given, "--output_dir", str(tmp_path / "out")]) == 2
    printed = capsys.readouterr().err
    lines = [line for line in printed.splitlines() if "read as by the run" not in line]
    assert len(lines) == 1
    assert "ptychi: not installed" in lines[0]
    assert "pip install" in lines[0]
    assert not (tmp_path / "out" / "reconstruction.npz").exists()


def test_a_reconstruction_of_another_scan_is_refused(home, tmp_path):
    raw = RawData.from_file(home / "scan.npz")
    for number, other in enumerate((raw.first(40), replace(raw, xcoords=raw.xcoords + SIDE))):
        other.save(tmp_path / f"{number}.npz")
        with pytest.raises(DataError, match="expected a reconstruction of this scan"):
            command.run(
                config(
                    home, tmp_path / "out", test_data=tmp_path / f"{number}.npz", engine="sweeps"
                )
            )


def test_another_engine_of_ours_continues_a_reconstruction(home, tmp_path):
    first = json.loads((home / "result" / "metrics.json").read_text())
    out = command.run(config(home, tmp_path / "out", engine="sweeps", epochs=10))
    after = json.loads((out / "metrics.json").read_text())
    assert after["sweeps"] == 10
    assert after["detector_residual"] < 0.5 * first["detector_residual"]


# From here on pty-chi itself works.

needs_ptychi = pytest.mark.skipif(
    importlib.util.find_spec("ptychi") is None, reason="needs ptycho[refine]"
)


def windows(raw, obj, canvas, positions):
    corners, fractions = window_corners(torch.as_tensor(positions), SIDE)
    return cut_patches(obj, corners - torch.tensor(canvas.origin), SIDE), fractions


def distance(raw, found):
    """Distance of all exit waves from the true ones, up to a global phase."""
    problem, truth = posed(raw)
    light = torch.from_numpy(raw.probe[0]).abs()
    one, other = (
        (windows(raw, obj, problem.canvas, raw.positions)[0] * light).flatten()
        for obj in (found, truth.obj)
    )
    overlap = torch.vdot(one, other)
    return float((one * overlap / overlap.abs() - other).norm() / other.norm())


@needs_ptychi
def test_pty_chi_expects_the_frames_that_we_expect():
    raw = simulated(16)
    problem, start = posed(raw)
    photons = raw.intensity(np.arange(16))
    with contained(), torch.no_grad():
        task = start_task(photons, _handover(problem, start), None, Plan("lsqml", 16))
        frames = task.reconstructor.forward_model(torch.arange(16)).cpu()
    frames = torch.fft.fftshift(frames, dim=(-2, -1)).numpy()
    patches, fractions = windows(raw, start.obj, problem.canvas, raw.positions)
    probes = shift_probe(start.nuisances.probe, fractions)
    ours = ForwardModel().intensity(patches, probes).numpy()
    np.testing.assert_allclose(frames, ours, rtol=1e-4, atol=1e-4 * frames.max())
    np.testing.assert_allclose(frames, photons, rtol=1e-3, atol=1e-3 * frames.max())


@needs_ptychi
@pytest.mark.parametrize("method", ["lsqml", "rpie"])
def test_the_object_is_found_upright_and_in_its_place(method):
    raw = simulated(49)
    found = solved(raw, method=method, iterations=8)
    assert all(np.diff(found.free_residual) < 0)
    assert found.kept == 8
    assert distance(raw, found.obj) < 0.4 * distance(raw, posed(raw, flat=True)[1].obj)
    np.testing.assert_allclose(found.nuisances.positions, raw.positions, atol=1e-4)
    np.testing.assert_allclose(found.nuisances.probe, raw.probe, atol=1e-3)


@needs_ptychi
@pytest.mark.parametrize("method", ["lsqml", "rpie"])
def test_held_out_pixels_have_no_influence(method):
    raw = simulated(16)
    held_out = held_out_patterns(SIDE, 0)[:16].numpy()
    # As bright as before in the sum of the brightest frame, from which LSQML takes a scale.
    spoiled = replace(raw, frames=np.where(held_out, raw.frames[:, ::-1], raw.frames))
    one, other = (
        solved(each, method=method, iterations=2, refine=Refine(probe=True))
        for each in (raw, spoiled)
    )
    np.testing.assert_allclose(one.obj, other.obj, atol=1e-5)
    np.testing.assert_allclose(one.nuisances.probe, other.nuisances.probe, atol=1e-2)
    assert other.free_residual[-1] > 2 * one.free_residual[-1]


@needs_ptychi
def test_held_out_pixels_end_it_and_the_best_iteration_is_kept():
    raw = simulated(49, photons=300, noise=True)
    found = solved(raw, iterations=None)
    assert 0 < found.kept < len(found.free_residual) - 1 < 100
    misfit = posed(raw)[0].misfit(found.estimate).value
    assert misfit == pytest.approx(found.free_residual[found.kept])


@needs_ptychi
def test_the_true_object_is_not_made_worse():
    raw = simulated(49, photons=1e4, noise=True)
    found = solved(raw, flat=False, iterations=None)
    assert found.free_residual[found.kept] <= found.free_residual[0]
    assert found.kept == 0
    torch.testing.assert_close(found.obj, posed(raw)[1].obj)


@needs_ptychi
def test_wrong_positions_are_corrected():
    raw = simulated(49)
    _, start = posed(raw)
    error = np.random.default_rng(0).normal(0, 0.3, raw.positions.shape)
    nuisances = start.nuisances._replace(positions=torch.from_numpy(raw.positions + error))
    found = solved(
        raw, start=start._replace(nuisances=nuisances), iterations=15,
        refine=Refine(positions=True),
    )  # fmt: skip
    left = found.nuisances.positions.numpy() - raw.positions
    assert (left - left.mean(axis=0)).std() < 0.5 * 0.3


@needs_ptychi
def test_a_refined_folder_is_evaluated_and_refined_again(home, tmp_path):
    first = command.run(config(home, tmp_path / "first", epochs=3))
    again = command.run(
        config(home, tmp_path / "again", reconstruction=first, epochs=2, engine="rpie")
    )
    for folder in (first, again):
        evaluate.run(EvaluateConfig(reconstruction=folder, truth=home / "scan.npz", report=False))
    one, two = (json.loads((f / "metrics.json").read_text()) for f in (first, again))
    assert (one["sweeps"], two["sweeps"]) == (3, 2)
    assert two["free_residual"][-1] < one["free_residual"][-1] < one["free_residual"][0]
    assert two["free_residual"][0] == pytest.approx(one["free_residual"][-1], rel=1e-3)
    assert two["object"]["phase_psnr_db"] > one["object"]["phase_psnr_db"]


@needs_ptychi
def test_pty_chi_leaves_the_default_device_as_it_was():
    solved(simulated(9), iterations=1)
    assert torch.get_default_device() == torch.device("cpu")
