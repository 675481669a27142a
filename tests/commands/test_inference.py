"""A trained model applied to a scan: what is used, what comes out, and what is refused."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import shift as shifted
from tiny_scan import SIDE, saved_untrained, simulated, untrained

from ptycho.api import reconstruction, saving
from ptycho.commands import cli, train
from ptycho.commands import reconstruct as workflow
from ptycho.engines.nuisances import Nuisances
from ptycho.engines.problem import Estimate, Problem
from ptycho.engines.residuals import frame_residuals
from ptycho.errors import ConfigError, DataError
from ptycho.grouping import GroupRule
from ptycho.learning.prediction import noise_floor, predict_patches
from ptycho.physics.device import choose_device
from ptycho.physics.losses import amplitude_loss
from ptycho.physics.overlap import merge_weight
from ptycho.physics.patches import Canvas, canvas_of
from ptycho.scan.dataset import GroupDataset
from ptycho.scan.raw_data import RawData
from ptycho.scan.scaling import scaled_probe
from ptycho.settings.reconstruct import InferenceConfig
from ptycho.settings.train import TrainConfig

WINDOW = 8
INNER = slice(4, 12)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A scan and, for each gridsize, a network of random weights that decodes 8 of 16 pixels."""
    folder = tmp_path_factory.mktemp("home")
    raw = simulated(64)
    raw.save(folder / "scan.npz")
    for gridsize in (1, 2):
        saved_untrained(folder / f"model{gridsize}", raw, gridsize, "unet", WINDOW, stirred=0.01)
    return folder


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch):
    """Pictures cost more than these reconstructions; the integration tests have them drawn."""
    for name in ("save_image",):
        monkeypatch.setattr(saving, name, lambda *_args, **_settings: None)


def reconstructed(home, folder, *, gridsize=1, **changes):
    """The arrays that a run leaves."""
    settings = {
        "model_path": home / f"model{gridsize}",
        "test_data": home / "scan.npz",
        "output_dir": folder,
        "device": "cpu",
        "cache": False,
        "progress": False,
        "report": False,
        "sweeps": 3,
    }
    with np.load(
        workflow.run(InferenceConfig(**settings | changes)) / "reconstruction.npz"
    ) as file:
        return dict(file)


def refused(capsys, *words):
    """The only line a refused command says."""
    assert cli.inference_main([str(word) for word in ("--quiet", *words)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("ptycho_inference: ")
    return err


# Which frames are used


@pytest.mark.parametrize("gridsize", [1, 2])
@pytest.mark.parametrize("n", [61, 64])
def test_every_frame_is_used_unless_told_otherwise(home, tmp_path, gridsize, n):
    """Also when groups of four cannot use each frame once."""
    raw = simulated(n)
    raw.save(tmp_path / "scan.npz")
    found = reconstructed(
        home, tmp_path / "out", gridsize=gridsize, test_data=tmp_path / "scan.npz"
    )
    np.testing.assert_array_equal(found["frames"], np.arange(n))
    np.testing.assert_array_equal(found["positions"], raw.positions)
    assert found["frame_residuals"].shape == (n,)


def test_n_images_are_the_first_frames_at_gridsize_one(home, tmp_path):
    found = reconstructed(home, tmp_path, n_images=10)
    np.testing.assert_array_equal(found["frames"], np.arange(10))


@pytest.mark.parametrize("sampling", ["balanced", "uniform", "sequential"])
def test_n_images_are_groups_at_gridsize_two(home, tmp_path, sampling):
    found = reconstructed(home, tmp_path, gridsize=2, n_images=5, sampling=sampling, seed=4)
    groups = simulated(64).select_groups(5, GroupRule(), sampling=sampling, seed=4)
    np.testing.assert_array_equal(found["frames"], np.unique(groups))


# Where light fell


def test_coverage_is_the_light_of_all_frames_and_the_object_lies_where_there_is_some(
    home, tmp_path
):
    found = reconstructed(home, tmp_path, n_images=20)
    raw = simulated(64)
    weight = merge_weight(scaled_probe(raw).probe).numpy()
    row, col = found["origin"].astype(int)
    expected = np.zeros_like(found["coverage"])
    for y, x in np.floor(raw.positions[:20] + 0.5).astype(int) - SIDE // 2 - (row, col):
        expected[y : y + SIDE, x : x + SIDE][INNER, INNER] += weight[INNER, INNER]
    np.testing.assert_allclose(found["coverage"], expected, rtol=1e-5, atol=1e-6)  # float32 sums
    np.testing.assert_array_equal(found["object"] != 0, expected > 0)


def test_one_frame_by_hand(home, tmp_path):
    # Its frame is the canvas; the brightest pixel of the probe is covered once, plus the floor;
    # what the network does not decode is not known.
    found = reconstructed(home, tmp_path, n_images=1)
    y, x = np.floor(simulated(64).positions[0] + 0.5)
    assert found["origin"].tolist() == [y - 8, x - 8]
    assert found["object"].shape == (16, 16)
    assert found["coverage"].max() == pytest.approx(1.0001, rel=1e-6)
    assert (found["coverage"] > 0).sum() == WINDOW**2
    assert found["object"][INNER, INNER].all()


# How well the object explains the frames


def flat_frames(intensity, positions):
    """4 x 4 frames of a probe of ones, which brings 16 photons to the optical axis."""
    row, col = np.asarray(positions, dtype=np.float64).T
    frames = np.broadcast_to(np.float32(intensity), (len(row), 4, 4))
    return RawData(
        frames=frames, measurement="intensity", xcoords=col, ycoords=row, probe=np.ones((4, 4))
    )


def residuals_of(obj, canvas, probe, data):
    """The residual of each frame of a dataset, with the values of its scan."""
    problem = Problem.of(data, canvas, device=torch.device("cpu"))
    return frame_residuals(problem, Estimate(obj, Nuisances.given(probe, data)))


def flat_residuals(intensity, factor=1.0):
    raw = flat_frames(intensity, [(10, 20), (11, 22)])
    canvas = Canvas(origin=(8, 18), shape=(5, 6))
    obj = torch.full(canvas.shape, factor, dtype=torch.complex64)
    probe = torch.ones(1, 4, 4, dtype=torch.complex64)
    data = GroupDataset(raw, np.array([[0], [1]]))
    return residuals_of(obj, canvas, probe, data)


def test_the_residual_of_two_pixels_by_hand():
    # Expected 16 on the axis, 0 elsewhere; measured 9 and 7: ((4 - 3)^2 + 7) / 16 = 1/2.
    frame = np.zeros((4, 4))
    frame[2, 2], frame[0, 1] = 9.0, 7.0
    torch.testing.assert_close(flat_residuals(frame), torch.tensor([0.5, 0.5]))


def test_an_object_of_half_the_amplitude_leaves_a_quarter_of_the_power():
    # Expected 16 / 4, measured 16: (2 - 4)^2 / 16.
    frame = np.zeros((4, 4))
    frame[2, 2] = 16.0
    torch.testing.assert_close(flat_residuals(frame, 0.5), torch.tensor([0.25, 0.25]))


@pytest.mark.parametrize("modes", [1, 2])
def test_the_true_object_explains_noise_free_frames(modes):
    raw = simulated(30, modes=modes)
    frames = np.array([3, 7, 12, 29])
    canvas = canvas_of(torch.from_numpy(raw.positions[frames]), SIDE)
    row, col = canvas.origin
    obj = torch.from_numpy(raw.obj[row : row + canvas.shape[0], col : col + canvas.shape[1]])
    data, probe = GroupDataset(raw, frames[:, None]), torch.from_numpy(raw.probe)
    right = residuals_of(obj, canvas, probe, data)
    assert right.shape == (4,)
    assert right.max() < 1e-9  # of float32 transforms
    wrong = residuals_of(obj.roll(1, dims=0), canvas, probe, data)
    assert wrong.min() > 1e-4


def test_the_noise_floor_is_that_of_the_models_own_frames():
    raw = simulated(40)
    model, data = untrained(raw).eval(), GroupDataset(raw, np.arange(40)[:, None])
    with torch.inference_mode():
        floors = [amplitude_loss.noise_floor(model(batch).intensity) for batch in data.batches(20)]
        whole = amplitude_loss.noise_floor(model(data[range(40)]).intensity)
    assert noise_floor(model, data, batch_size=100) == pytest.approx(whole, rel=1e-5)
    few = noise_floor(model, GroupDataset(raw, data.groups[:20]), batch_size=20)
    assert few == pytest.approx(floors[0], rel=1e-5)


# What does not matter


@pytest.mark.parametrize("gridsize", [1, 2])
def test_the_batch_size_does_not_change_the_result(home, tmp_path, gridsize):
    whole, cut = (
        reconstructed(home, tmp_path / str(size), gridsize=gridsize, batch_size=size, sweeps=0)
        for size in (100, 3)
    )
    # Float32 sums in another order; the object is about 1.
    np.testing.assert_allclose(whole["object"], cut["object"], atol=1e-4)
    np.testing.assert_allclose(whole["frame_residuals"], cut["frame_residuals"], rtol=1e-3)


def test_patches_come_in_the_order_of_the_groups_and_know_their_frames():
    raw = simulated(40)
    groups = raw.select_groups(7, GroupRule())
    shown = []
    found = predict_patches(
        untrained(raw, gridsize=2), GroupDataset(raw, groups), batch_size=3,
        device=torch.device("cpu"),
        track=lambda batches, total: shown.append(total) or batches,
    )  # fmt: skip
    np.testing.assert_array_equal(found.members.reshape(7, 4), groups)
    np.testing.assert_array_equal(found.group_of.reshape(7, 4), np.arange(28).reshape(7, 4) // 4)
    assert found.patches.shape == (28, SIDE, SIDE)
    assert shown == [3]


def test_a_device_that_is_not_there_is_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        ConfigError, match="device: cuda, which PyTorch does not see; expected auto"
    ):
        choose_device("cuda")


def test_a_device_is_the_one_named():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cpu", "cuda", "mps")


@pytest.mark.parametrize("gridsize", [1, 2])
def test_moving_the_whole_scan_moves_the_origin_and_nothing_else(home, tmp_path, gridsize):
    here = reconstructed(home, tmp_path / "here", gridsize=gridsize)
    raw = simulated(64)
    moved(raw, 1000, -7).save(tmp_path / "scan.npz")
    there = reconstructed(
        home, tmp_path / "there", gridsize=gridsize, test_data=tmp_path / "scan.npz"
    )
    np.testing.assert_array_equal(there["origin"] - here["origin"], [1000, -7])
    np.testing.assert_array_equal(there["coverage"], here["coverage"])
    # Rests of positions are rounded to float32 after the move, some 1e-7 pixels.
    np.testing.assert_allclose(there["object"], here["object"], atol=1e-4)
    np.testing.assert_allclose(there["frame_residuals"], here["frame_residuals"], rtol=1e-3)


def moved(raw, rows, cols):
    """The same frames at positions of another origin; its object is no longer the truth."""
    return replace(
        raw, ycoords=raw.ycoords + rows, xcoords=raw.xcoords + cols, xcoords_start=None,
        ycoords_start=None, obj=None,
    )  # fmt: skip


def test_moving_it_by_parts_of_a_pixel_moves_the_object_on_its_grid(tmp_path):
    """By (1000.25, -7.5): whole pixels go to the origin, the rest shows in the object."""
    raw = simulated(64, phase_image="clouds", amplitude_image="flat")
    moved(raw, 0, 0).save(tmp_path / "here.npz")
    moved(raw, 1000.25, -7.5).save(tmp_path / "there.npz")
    saved_untrained(tmp_path / "model2", raw, 2)
    here, there = (
        reconstructed(
            tmp_path, tmp_path / name, gridsize=2, test_data=tmp_path / f"{name}.npz", sweeps=0
        )
        for name in ("here", "there")
    )
    rest = np.array([1000.25, -7.5]) + here["origin"] - there["origin"]
    assert (np.abs(rest) <= 1).all()
    assert (rest % 1).tolist() == [0.25, 0.5]
    middle = np.s_[12:20, 12:20]
    expected = shifted(here["object"], rest, order=3)[middle]
    error = phase_free(there["object"][middle], expected)
    unmoved = phase_free(there["object"][middle], here["object"][middle])
    # 0.025 and 0.074: the grid samples a pixelated object at other places.
    assert error < unmoved / 2


def phase_free(one, other):
    """Root mean square of the difference of two objects, their common phase taken out."""
    turn = np.vdot(one, other)
    return np.sqrt(np.mean(np.abs(one * turn / abs(turn) - other) ** 2))


# The model folder is enough


def test_a_moved_model_reconstructs_when_the_scan_it_learned_from_is_gone(tmp_path):
    scan, model = tmp_path / "lab" / "learned.npz", tmp_path / "lab" / "model"
    scan.parent.mkdir()
    simulated(64).save(scan)
    train.run(TrainConfig(train_data_file=scan, output_dir=model, gridsize=2, nepochs=1,
                          device="cpu", progress=False))  # fmt: skip
    simulated(64).save(tmp_path / "scan.npz")
    shutil.copytree(model, tmp_path / "model2")
    before = reconstructed(tmp_path, tmp_path / "before", gridsize=2, model_path=model)
    shutil.rmtree(scan.parent)
    after = reconstructed(tmp_path, tmp_path / "after", gridsize=2)
    assert before.keys() == after.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value)


def test_weights_and_settings_alone_are_a_model(home, tmp_path):
    assert sorted(p.name for p in (home / "model1").iterdir()) == [
        "model.safetensors", "settings.json",
    ]  # fmt: skip
    assert len(reconstructed(home, tmp_path)["frames"]) == 64


def test_another_scan_brings_its_own_probe(home, tmp_path):
    """Another dose and two modes: the network stays, the probe is that of the scan."""
    simulated(64, photons=1e3, modes=2, seed=5).save(tmp_path / "scan.npz")
    found = reconstructed(home, tmp_path / "out", gridsize=2, test_data=tmp_path / "scan.npz")
    own = reconstructed(home, tmp_path / "own", gridsize=2)
    assert found["frame_residuals"].mean() < 3 * own["frame_residuals"].mean()


# Refused


# Awkward scans


def test_of_several_scans_in_a_file_one_is_reconstructed(home, tmp_path):
    one, two = simulated(36), simulated(49, seed=5)
    both = RawData(
        frames=np.concatenate([one.frames, two.frames]), measurement="intensity", probe=one.probe,
        xcoords=np.append(one.xcoords, two.xcoords), ycoords=np.append(one.ycoords, two.ycoords),
        scan_index=np.repeat([3, 7], [36, 49]),
    )  # fmt: skip
    both.save(tmp_path / "both.npz")
    two.save(tmp_path / "two.npz")
    with pytest.raises(ConfigError, match=r"scan: None, .* holds the scans 3, 7; expected one"):
        reconstructed(home, tmp_path / "a", test_data=tmp_path / "both.npz")
    with pytest.raises(ConfigError, match=r"scan: 1, .* holds the scans 3, 7; expected one"):
        reconstructed(home, tmp_path / "a", test_data=tmp_path / "both.npz", scan=1)
    found = reconstructed(home, tmp_path / "a", test_data=tmp_path / "both.npz", scan=7, sweeps=0)
    alone = reconstructed(home, tmp_path / "b", test_data=tmp_path / "two.npz", sweeps=0)
    assert found["object"].shape == alone["object"].shape
    assert len(found["frames"]) == 49


def test_a_frame_number_that_counts_frames_is_no_scan(home, tmp_path):
    replace(simulated(36), scan_index=np.arange(36)).save(tmp_path / "counted.npz")
    found = reconstructed(home, tmp_path / "a", test_data=tmp_path / "counted.npz")
    assert len(found["frames"]) == 36


def test_a_dark_frame_spoils_no_figure(home, tmp_path, caplog):
    raw = simulated(36)
    frames = raw.frames.copy()
    frames[7] = 0
    replace(raw, frames=frames).save(tmp_path / "dark.npz")
    dark = tmp_path / "dark.npz"
    assert len(reconstructed(home, tmp_path / "b", test_data=dark)["frame_residuals"]) == 35
    found = reconstructed(home, tmp_path / "a", test_data=dark, keep_all=True)
    residuals = found["frame_residuals"]
    assert np.flatnonzero(np.isnan(residuals)).tolist() == [7]
    document = json.loads((tmp_path / "a" / "metrics.json").read_text())
    assert document["n_dark_frames"] == 1
    assert document["detector_residual"] == pytest.approx(np.nanmean(residuals))
    assert "1 frames contain no photons" in caplog.text


def test_an_object_with_unknown_pixels_is_compared_where_it_is_known(home, tmp_path):
    raw = simulated(64)
    obj = raw.obj.copy()
    obj[:3] = np.nan
    replace(raw, obj=obj).save(tmp_path / "holes.npz")
    reconstructed(home, tmp_path / "a", test_data=tmp_path / "holes.npz")
    document = json.loads((tmp_path / "a" / "metrics.json").read_text())
    assert np.isfinite(document["object"]["phase_psnr_db"])


def test_a_stray_position_is_one_line(home, tmp_path):
    raw = simulated(36)
    xcoords = raw.xcoords.copy()
    xcoords[20] = 3e6
    replace(raw, xcoords=xcoords, xcoords_start=None).save(tmp_path / "stray.npz")
    with pytest.raises(DataError, match=r"frame 20 lies .* --skip_frames 20"):
        reconstructed(home, tmp_path / "a", test_data=tmp_path / "stray.npz", keep_all=True)
    found = reconstructed(home, tmp_path / "b", test_data=tmp_path / "stray.npz")
    assert len(found["frames"]) == 35


def test_groups_are_drawn_from_as_many_neighbours_as_in_training(home, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        reconstruction, "choose_groups",
        lambda raw, config, gridsize: asked.append(config.neighbor_count)
        or raw.select_groups(4, GroupRule(gridsize=gridsize), use_cache=False),
    )  # fmt: skip
    reconstructed(home, tmp_path / "a", gridsize=2, n_images=4)
    reconstructed(home, tmp_path / "a", gridsize=2, n_images=4, neighbor_count=5)
    assert asked == [8, 5]


@pytest.mark.parametrize(("trained", "asked"), [(1, 2), (2, 1), (2, 3)])
def test_another_gridsize_than_the_models_is_refused(home, tmp_path, capsys, trained, asked):
    out = tmp_path / "out"
    line = refused(
        capsys, "--model_path", home / f"model{trained}", "--test_data", home / "scan.npz",
        "--output_dir", out, "--gridsize", asked,
    )  # fmt: skip
    assert f"gridsize: {asked}; expected {trained}, with which {home}" in line
    assert not out.exists()


def test_frames_of_another_size_than_the_models_are_refused(home, tmp_path, capsys):
    simulated(30, N=24).save(tmp_path / "large.npz")
    out = tmp_path / "out"
    line = refused(
        capsys, "--model_path", home / "model1", "--test_data", tmp_path / "large.npz",
        "--output_dir", out,
    )  # fmt: skip
    assert "large.npz: frames of 24 pixels; expected 16, with which" in line
    assert not out.exists()
