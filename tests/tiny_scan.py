"""Small simulated scans, small untrained networks, sweeps of the scans: for the learning half."""

from pathlib import Path

import numpy as np
import torch

from ptycho.api.simulation import simulate
from ptycho.commands import cli
from ptycho.engines.ending import Ending
from ptycho.engines.nuisances import Nuisances, Refine
from ptycho.engines.problem import Estimate, Problem
from ptycho.engines.sweeps import Sweeps
from ptycho.learning.model_folder import ModelSettings, build_model, save_model
from ptycho.physics.patches import canvas_of, cut_patches, window_corners
from ptycho.physics.probe import probe_intensity
from ptycho.progress import untracked
from ptycho.scan.dataset import GroupDataset
from ptycho.scan.raw_data import RawData
from ptycho.scan.scaling import scaled_probe

SIDE = 16


def simulated(n_frames=49, **changes):
    """A noise-free raster of 16 x 16 frames over leaves and clouds, its truth inside."""
    settings = {
        "n_frames": n_frames,
        "N": SIDE,
        "step": 2.0,
        "jitter": 0.2,
        "probe_fwhm": 6.0,
        "photons": 1e5,
        "noise": False,
        "amplitude_image": "leaves",
        "phase_image": "clouds",
    }
    return simulate(**settings | changes)


def model_settings(raw: RawData, gridsize=1, network="lifted", window=SIDE):
    """What describes a network of a quarter of the usual width, and little physics before it."""
    options = {"width": 8}
    options |= {"sweeps": 1} if network == "lifted" else {"window": window}
    return ModelSettings(
        network=network,
        network_options=options,
        gridsize=gridsize,
        neighbor_count=0 if gridsize == 1 else 8,
        frame_size=raw.frame_size,
        n_modes=len(raw.probe),
    )


def untrained(raw: RawData, gridsize=1, network="lifted", window=SIDE):
    """A network that has seen nothing yet, with the probe of a scan."""
    torch.manual_seed(0)
    settings = model_settings(raw, gridsize, network, window)
    return build_model(settings, scaled_probe(raw).probe)


def saved_untrained(
    folder: Path, raw: RawData, gridsize=1, network="lifted", window=SIDE, stirred=0.0
):
    """The folder of such a network; stirred, its weights are some random ones."""
    model = untrained(raw, gridsize, network, window)
    with torch.no_grad():
        for weights in model.parameters():
            weights += stirred * torch.randn(weights.shape)
    save_model(folder, model, model_settings(raw, gridsize, network, window))
    return folder


def reconstructed_in_groups(home):
    """The folder of a reconstruction of 100 frames in 30 groups of 4; its scan is next to it."""
    raw = simulated(100)
    raw.save(home / "scan.npz")
    model = saved_untrained(home / "model", raw)
    words = ["--model_path", model, "--test_data", home / "scan.npz", "--gridsize", 2, "--n_images",
             30, "--sweeps", 1, "--quiet", "--output_dir", home / "object"]  # fmt: skip
    assert cli.inference_main([str(word) for word in words]) == 0
    return home / "object"


def truth_on_canvas(raw):
    """The true object in the scale of the probe that explains the frames, and its canvas."""
    canvas = canvas_of(torch.from_numpy(raw.positions), SIDE)
    (row, col), (height, width) = canvas
    obj = torch.from_numpy(raw.obj[row : row + height, col : col + width])
    return obj / scaled_probe(raw).transmission, canvas


def problem_of(raw, canvas, *, batch_size=8, seed=0):
    """All frames of a scan as a problem on the CPU."""
    data = GroupDataset(raw, np.arange(raw.n_frames)[:, None])
    return Problem.of(data, canvas, device=torch.device("cpu"), seed=seed, batch_size=batch_size)


def start_of(raw, obj, probe=None):
    """An object with the probe of its scan, or another one."""
    probe = scaled_probe(raw).probe if probe is None else probe
    data = GroupDataset(raw, np.arange(raw.n_frames)[:, None])
    return Estimate(obj, Nuisances.given(probe, data))


def swept(raw, obj, canvas, probe=None, *, iterations=3, refine=(), seed=0, fused=True):
    """The solution of the engine `sweeps`."""
    return Sweeps(fused=fused).solve(
        problem_of(raw, canvas, seed=seed), start_of(raw, obj, probe),
        Ending(iterations=iterations), Refine(**dict.fromkeys(refine, True)), untracked,
    )  # fmt: skip


def away(obj, truth, raw):
    """Distance from the truth where there is light, up to a global phase."""
    light = probe_intensity(scaled_probe(raw).probe)
    canvas = canvas_of(torch.from_numpy(raw.positions), SIDE)
    corners, _ = window_corners(torch.from_numpy(raw.positions), SIDE)
    corners = corners - torch.tensor(canvas.origin)
    obj, truth = (cut_patches(o, corners, SIDE) * light for o in (obj, truth))
    overlap = torch.vdot(obj.flatten(), truth.flatten())
    return float((obj * overlap / overlap.abs() - truth).norm() / truth.norm())
