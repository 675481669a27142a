"""Part `sampling` of the reconstruction benchmark: which groups to learn from, or to look at.

The production scan, `ptycho simulate --preset fly001`, 10,304 frames. First table: networks learn
from n groups, the same number of optimiser steps for each n, and reconstruct the whole scan
one-shot. Second table: the general model reconstructs from n groups only.
"""

import functools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from reconstruction_ruler import Form, against_truth, figures, illumination_on, infer, lit_on

from ptycho import networks
from ptycho.api.components import Members as Groups
from ptycho.api.result import Result
from ptycho.api.simulation import simulated
from ptycho.grouping import GroupRule, sample_groups
from ptycho.learning.model import decoded_window
from ptycho.learning.model_folder import ModelSettings, build_model, save_model
from ptycho.metrics import peak_signal_to_noise, well_covered
from ptycho.physics.patches import Canvas
from ptycho.scan.dataset import GroupDataset
from ptycho.scan.raw_data import RawData
from ptycho.scan.scaling import scaled_probe
from ptycho.settings.simulate import SimulateConfig
from ptycho.simulation.presets import PRESETS

FRAMES_PER_STEP = 32
METHODS = ("sequential", "uniform", "balanced")
NETWORKS = ("unet", "lifted")
SWEEPS_FROM = (0, 5)


@functools.cache
def scan() -> RawData:
    """Return the production scan."""
    return simulated(SimulateConfig(**PRESETS["fly001"]))


def chosen(raw: RawData, n: int, method: str, gridsize: int, seed: int) -> Groups:
    """Return n groups by a sampler; at gridsize 1 n single frames by the sampler's own rule.

    That is the first n, any n, or one member from each of n balanced groups of four (frames drawn
    twice give way to any others). The package itself always takes the first n single frames.
    """
    rule = GroupRule(gridsize=2, K=8)
    if gridsize > 1:
        return sample_groups(raw.xcoords, raw.ycoords, rule, n=n, method=method, seed=seed)
    if method == "sequential":
        return np.arange(n)[:, None]
    rng = np.random.default_rng(seed)
    if method == "uniform":
        return np.sort(rng.choice(raw.n_frames, n, replace=False))[:, None]
    groups = sample_groups(raw.xcoords, raw.ycoords, rule, n=n, method="balanced", seed=seed)
    frames = np.unique(groups[np.arange(n), rng.integers(4, size=n)])
    rest = np.setdiff1d(np.arange(raw.n_frames), frames)
    return np.sort(np.append(frames, rng.choice(rest, n - len(frames), replace=False)))[:, None]


def shown(raw: RawData, form: Form, gridsize: int) -> Groups:
    """Return the groups all over the scan by which networks are judged, always the same."""
    groups = chosen(raw, form.shown_groups, "balanced", 2, seed=0)
    return groups if gridsize > 1 else np.unique(groups)[:, None]


def exact_steps(groups: Groups, steps: int, size: int, seed: int) -> Groups:
    """Return the groups over and over, each time in another order, as many as the steps take."""
    rng = np.random.default_rng(seed)
    rounds = -(-steps * size // len(groups))
    order = np.concatenate([rng.permutation(len(groups)) for _ in range(rounds)])
    return groups[order[: steps * size]]


def learn(raw: RawData, groups: Groups, network: str, steps: int, seed: int, output: Path) -> None:
    """Train a network for so many steps of 32 frames, and write it as a trained model."""
    from ptycho.learning.plan import TrainingOutput, TrainingPlan
    from ptycho.learning.training import fit

    members = groups.shape[1]
    probe = scaled_probe(raw).probe
    options = networks.NETWORKS[network].default_options(decoded_window(probe))
    gridsize = int(members**0.5)
    settings = ModelSettings(
        network=network, network_options=options, gridsize=gridsize,
        neighbor_count=8 if gridsize > 1 else 0, frame_size=raw.frame_size, n_modes=len(probe),
    )  # fmt: skip
    torch.manual_seed(seed)
    size = FRAMES_PER_STEP // members
    repeated = exact_steps(groups, steps, size, seed)
    result = fit(
        build_model(settings, probe), GroupDataset(raw, repeated), None,
        TrainingPlan(epochs=1, batch_size=size, learning_rate=1e-3, seed=seed),
        TrainingOutput(folder=output, progress=False),
    )  # fmt: skip
    save_model(output, result.model, settings)


def measure_learning(
    form: Form, network: str, gridsize: int, n: int, method: str, seed: int
) -> list[dict]:
    """Train with n groups, reconstruct the whole scan one-shot."""
    raw = scan()
    groups = chosen(raw, n, method, gridsize, seed)
    with tempfile.TemporaryDirectory() as folder:
        learn(raw, groups, network, form.steps, seed, Path(folder))
        judged = shown(raw, form, gridsize)
        result, clock = infer(Path(folder), raw, 0, judged)
    row = {"network": network, "gridsize": gridsize, "n": n, "sampler": method, "seed": seed}
    return [row | clock | figures(against_truth(result.obj, result.origin, raw, judged))]


def measure_looking(general: Path, gridsize: int, n: int, method: str, seed: int) -> list[dict]:
    """Reconstruct from n groups only, by the general model."""
    raw = scan()
    groups = chosen(raw, n, method, gridsize, seed)
    rows = []
    for sweeps in SWEEPS_FROM:
        result, clock = infer(general, raw, sweeps, groups)
        row = {"gridsize": gridsize, "n": n, "sampler": method, "seed": seed, "sweeps": sweeps}
        rows.append(row | clock | whole_scan(result, raw))
    return rows


def whole_scan(result: Result, raw: RawData) -> dict[str, float]:
    """Return the phase PSNR over all that the scan lights well, and the share reconstructed.

    Where nothing was reconstructed the object counts as 1, empty space.
    """
    wanted = lit_on(Canvas((0, 0), raw.obj.shape), raw.positions, raw.probe)
    canvas = Canvas(result.origin, result.obj.shape)
    light = illumination_on(canvas, raw.positions[result.frames], raw.probe)
    known = well_covered(light) & (result.obj != 0)
    row, col = result.origin
    part = np.s_[row : row + known.shape[0], col : col + known.shape[1]]
    whole, covered = np.ones(raw.obj.shape, dtype=complex), np.zeros(raw.obj.shape, dtype=bool)
    # With a known probe only the global phase and scale are free.
    factor = np.vdot(result.obj[known], raw.obj[part][known])
    whole[part] = np.where(known, result.obj * factor / abs(factor), 1)
    covered[part] = known
    truth = np.angle(raw.obj[wanted])
    error = np.angle(whole * raw.obj.conj())[wanted]
    return {
        "phase_psnr": peak_signal_to_noise(error, float(np.ptp(truth))),
        "covered": float((covered & wanted).sum() / wanted.sum()),
    }


def jobs(form: Form, general: Path) -> Iterator[tuple[str, object]]:
    """Yield what is to be measured: a name, and a call that returns its rows."""
    choices = [
        (gridsize, n, method, seed)
        for gridsize in (2, 1) for seed in range(form.seeds)
        for n in form.sampled for method in METHODS
    ]  # fmt: skip
    for choice in choices:
        name = "/".join(str(part) for part in choice)
        yield f"looking/{name}", functools.partial(measure_looking, general, *choice)
        for network in NETWORKS:
            call = functools.partial(measure_learning, form, network, *choice)
            yield f"learning/{network}/{name}", call
