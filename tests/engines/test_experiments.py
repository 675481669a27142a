"""Scans in the near field and with detector blur: simulated, stored, reconstructed."""

import dataclasses

import numpy as np
import pytest
import torch
from tiny_scan import SIDE, problem_of, start_of, swept, truth_on_canvas

from ptycho.engines.residuals import frame_residuals
from ptycho.experiment import Experiment
from ptycho.scan.raw_data import RawData
from ptycho.scan.scaling import scaled_probe
from ptycho.simulation.objects import make_object
from ptycho.simulation.probes import make_probe
from ptycho.simulation.scans import place_scan, raster_scan
from ptycho.simulation.simulate import simulate_scan

EXPERIMENTS = {
    "far": Experiment(),
    "near": Experiment(propagation="near", fresnel_number=0.2),
    "blurred": Experiment(blur=0.6),
    "near and blurred": Experiment(propagation="near", fresnel_number=0.2, blur=0.5),
}


def scanned(experiment, n_frames=49, photons=1e5):
    """A noise-free scan of leaves and clouds by a structured beam."""
    rng = np.random.default_rng(0)
    path = raster_scan(n_frames, step=2.0, jitter=0.2, rng=rng)
    positions, shape = place_scan(path, SIDE)
    obj = make_object(shape, "leaves", "clouds", rng=rng)
    probe = make_probe("disc", SIDE, fwhm=6.0, photons=photons)
    return simulate_scan(obj, probe, positions, rng=None, experiment=experiment)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_true_object_explains_its_frames(name):
    raw = scanned(EXPERIMENTS[name])
    truth, canvas = truth_on_canvas(raw)
    found = swept(raw, truth, canvas, iterations=2)
    assert max(found.free_residual) < 1e-6


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_object_is_found_by_its_own_experiment_and_not_by_another(name, tmp_path):
    scanned(EXPERIMENTS[name]).save(tmp_path / "scan.npz")
    raw = RawData.from_file(tmp_path / "scan.npz")
    assert raw.experiment == EXPERIMENTS[name]
    truth, canvas = truth_on_canvas(raw)
    flat = torch.ones_like(truth)
    found = swept(raw, flat, canvas, iterations=40)
    assert found.free_residual[-1] < 0.02 * found.free_residual[0]
    if name != "far":
        other = dataclasses.replace(raw, experiment=Experiment())
        wrong = swept(other, flat, canvas, iterations=40)
        assert wrong.free_residual[-1] > 3 * found.free_residual[-1]


def test_residuals_use_the_experiment_of_the_scan():
    raw = scanned(EXPERIMENTS["near and blurred"])
    truth, canvas = truth_on_canvas(raw)
    start = start_of(raw, truth, scaled_probe(raw).probe)
    assert float(frame_residuals(problem_of(raw, canvas), start).max()) < 1e-6
