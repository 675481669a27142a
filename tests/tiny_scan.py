"""Small simulated scans and small untrained networks, for the tests of the learning half."""

from pathlib import Path

import torch

from ptycho.bundle import ModelSettings, build_model, save_model
from ptycho.config import SimulateConfig
from ptycho.raw_data import RawData
from ptycho.workflows.components import scaled_probe
from ptycho.workflows.simulate import simulate

SIDE = 16


def simulated(n_frames=49, **changes):
    """A noise-free raster of 16 x 16 frames over leaves and clouds, its truth inside."""
    settings = {
        "output": Path("scan.npz"),
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
    return simulate(SimulateConfig(**settings | changes))


def model_settings(raw: RawData, gridsize=1, network="lifted", window=SIDE):
    """What describes a network of a quarter of the usual width, and little physics before it."""
    options = {"window": window, "width": 8}
    if network == "lifted":
        options["sweeps"] = 1
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


def saved_untrained(folder: Path, raw: RawData, gridsize=1, window=SIDE, stirred=0.0):
    """The folder of such a network; stirred, its weights are some random ones."""
    model = untrained(raw, gridsize, window=window)
    with torch.no_grad():
        for weights in model.parameters():
            weights += stirred * torch.randn(weights.shape)
    save_model(folder, model, model_settings(raw, gridsize, window=window))
    return folder
