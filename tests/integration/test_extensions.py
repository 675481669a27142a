"""New physics, an engine, a loss and a network in a few lines each, the whole way.

Each is defined here, named by one row of its table, and goes through simulation, training,
reconstruction and the report without a change of the package. A format: `test_toy_format`.
"""

import dataclasses
import json

import numpy as np
import pytest
import torch
from torch import nn

import ptycho
from ptycho.commands import cli
from ptycho.engines import ENGINES
from ptycho.engines.problem import Solution
from ptycho.experiment import Experiment
from ptycho.networks import NETWORKS
from ptycho.networks.network import Network
from ptycho.physics import INTERACTIONS, LOSSES
from ptycho.physics.interaction import Interaction
from ptycho.physics.losses import Loss

SMALL = {
    "n_frames": 49, "N": 16, "step": 2.0, "jitter": 0.2, "probe_fwhm": 6.0, "progress": False,
    "amplitude_image": "leaves", "phase_image": "clouds",
}  # fmt: skip
QUICK = {"nepochs": 1, "gridsize": 2, "n_images": 16, "progress": False, "device": "cpu"}


class Modulated(Interaction):
    """A known diffuser directly behind the sample, at rest with the beam: psi = M P o."""

    def exit_waves(self, patches, probe):
        rng = torch.Generator().manual_seed(0)
        phase = 2 * torch.rand(patches.shape[-2:], generator=rng)
        return torch.polar(torch.ones_like(phase), phase) * probe * patches.unsqueeze(-3)


class Descent:
    """Plain gradient steps over all frames at once."""

    def room(self, refine):
        return 0

    def solve(self, problem, start, ending, refine, track):
        obj, nuisances = start.to(problem.device)
        history = []
        for _ in track(range(ending.iterations or 5), ending.iterations or 5):
            (batch,) = problem.batches(len(problem.frames))
            placed = problem.placed(*batch, nuisances)
            probe = nuisances.probe.expand(len(placed.members), -1, -1, -1)
            found = problem.forward.back_project(obj, placed.corners, probe, placed.measured)
            history.append(problem.misfit(start._replace(obj=obj)).value)
            obj = obj + found.step / found.illumination.max()
        return Solution(obj, nuisances, history, len(history))


class Mean(Network):
    """One complex number for every patch: as little as a network can know."""

    any_gridsize = any_frame_size = True

    def __init__(self, group_size, **options):
        super().__init__()
        self.value = nn.Parameter(torch.tensor([1.0, 0.0]))

    def forward(self, batch, probe, weight):
        return torch.view_as_complex(self.value).expand(batch.amplitude.shape)


CUBIC = Loss(lambda expected, counted: ((expected + 1e-6).sqrt() - counted.sqrt()).abs() ** 3)


@pytest.fixture
def tables(monkeypatch):
    """The tables, without what a test has added afterwards."""
    added = []

    def add(table, name, value):
        table[name] = value
        added.append((table, name))

    yield add
    for table, name in added:
        del table[name]


def whole_way(folder, scan, *, network="lifted", loss="amplitude", engine="learned", sweeps=4):
    """Train, reconstruct and report by the command line; return the numbers of the result."""
    scan.save(folder / "scan.npz")
    flags = [f"--{name}={value}" for name, value in QUICK.items() if name != "progress"]
    train = ["train", str(folder / "scan.npz"), str(folder / "model"), "--network", network]
    more = ["--no_cache", "--no_progress", "--no_report"]
    assert cli.main([*train, "--loss", loss, *flags, *more]) == 0
    reconstruct = [
        "reconstruct", str(folder / "scan.npz"), str(folder / "object"), "--engine", engine,
        "--model_path", str(folder / "model"), "--sweeps", str(sweeps), "--no_cache",
        "--no_progress", "--device", "cpu",
    ]  # fmt: skip
    assert cli.main(reconstruct) == 0
    assert (folder / "object" / "report.html").is_file()
    return json.loads((folder / "object" / "metrics.json").read_text())


def test_an_interaction(tables, tmp_path):
    tables(INTERACTIONS, "modulated", lambda experiment: Modulated())
    scan = ptycho.simulate(**SMALL, interaction="modulated")
    numbers = whole_way(tmp_path, scan, sweeps=20)
    plain = dataclasses.replace(scan, experiment=Experiment())
    wrong = ptycho.reconstruct(plain, iterations=20, progress=False, device="cpu")
    assert numbers["object"]["phase_psnr_db"] > wrong.metrics["object"]["phase_psnr_db"] + 3


def test_an_engine(tables, tmp_path):
    tables(ENGINES, "descent", lambda network: Descent())
    numbers = whole_way(tmp_path, ptycho.simulate(**SMALL), engine="descent", sweeps=6)
    assert numbers["sweeps"] == 6
    assert numbers["free_residual"][-1] < numbers["free_residual"][0]
    found = ptycho.reconstruct(
        tmp_path / "scan.npz", tmp_path / "model", engine="descent", iterations=6,
        progress=False, device="cpu", cache=False,
    )  # fmt: skip
    np.testing.assert_array_equal(
        found.obj, np.load(tmp_path / "object" / "reconstruction.npz")["object"]
    )


def test_a_loss(tables, tmp_path):
    tables(LOSSES, "cubic", CUBIC)
    whole_way(tmp_path, ptycho.simulate(**SMALL), loss="cubic")
    settings = json.loads((tmp_path / "model" / "settings.json").read_text())
    assert settings["training"]["loss"] == "cubic"
    assert settings["training"]["noise_floor"] > 0


def test_a_network(tables, tmp_path):
    tables(NETWORKS, "mean", Mean)
    numbers = whole_way(tmp_path, ptycho.simulate(**SMALL), network="mean")
    assert numbers["detector_residual"] > 0


@pytest.mark.parametrize(
    "experiment", [{"propagation": "near", "fresnel_number": 0.2}, {"blur": 0.6}]
)
def test_near_field_and_blur_by_the_command_line(experiment, tmp_path):
    scan = ptycho.simulate(**SMALL, noise=False, **experiment)
    numbers = whole_way(tmp_path, scan, sweeps=30)
    assert numbers["free_residual"][-1] < 0.1 * numbers["free_residual"][0]
