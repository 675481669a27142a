"""Hand-over to pty-chi: a reconstruction goes on as the start of a classical iterative engine.

Way of the data: patches -> object -> [refinement] -> object, probe, positions.
A translation of conventions and a rule when to end, no algorithm of its own: pty-chi is an optional
package, imported when first used. Plain arrays in and out; knows neither files nor settings.

pty-chi knows one common mask of valid pixels. What may differ from frame to frame is its threshold
below which a measured pixel constrains nothing: pixels held out are handed over as 0 photons, dark
ones as `_DARK`, and the threshold lies between. So each frame keeps pixels of its own for judging.
"""

import contextlib
import importlib.util
import logging
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float, Float32

from ptycho.engines.sweeps import better
from ptycho.errors import ConfigError
from ptycho.physics.forward import detector_intensity, exit_waves
from ptycho.physics.losses import poisson_loss
from ptycho.physics.patches import cut_patches, window_corners
from ptycho.physics.probe import shift_probe
from ptycho.progress import Track

log = logging.getLogger(__name__)

Engine = Literal["lsqml", "rpie"]

ROOM = 8
"""Pixels of canvas around the windows: pty-chi wants some, moving positions need them."""

MOST_EPOCHS = 100
_PATIENCE = 3  # epochs without a better prediction before the end; LSQML's first ones waver
_DARK = 1e-6  # photons on a pixel that counted none; far below what any engine can see
_FRAMES_AT_ONCE = 64


class Estimate(NamedTuple):
    """What an engine starts from and ends with."""

    obj: Complex[np.ndarray, "height width"]
    """Transmission on the canvas, which has `ROOM` around the windows."""

    probe: Complex[np.ndarray, "mode row col"]
    """sqrt(photons) per object pixel."""

    positions: Float[np.ndarray, "frame 2"]
    """Probe centres as (row, col) of the canvas, object pixels."""


class Plan(NamedTuple):
    """How an engine is to go on."""

    engine: Engine
    """lsqml (least squares, maximum likelihood) or rpie."""

    batch_size: int
    """Frames corrected together."""

    seed: int = 0
    """Of the order of the frames."""

    refine_probe: bool = False
    """Whether the probe is corrected too; its power is kept."""

    refine_positions: bool = False
    """Whether the positions are corrected too."""

    device: str = "cpu"
    """cpu or cuda."""


class Refined(NamedTuple):
    """An estimate after the engine."""

    estimate: Estimate

    free_residual: list[float]
    """Misfit of the held-out pixels at the start and after each epoch, as in `sweeps`."""

    kept: int
    """Epochs behind the estimate; 0 when none helped."""


def refine(
    intensity: Float32[np.ndarray, "frame row col"],
    start: Estimate,
    held_out: Bool[np.ndarray, "frame row col"],
    plan: Plan,
    *,
    epochs: int | None,
    track: Track,
) -> Refined:
    """Let an engine of pty-chi go on from an estimate.

    Args:
        intensity: photons per detector pixel, zero frequency at N//2.
        start: its canvas holds every window and `ROOM` around them.
        held_out: pixels that correct nothing; they judge each epoch.
        plan: which engine, and what it corrects.
        epochs: how many; None ends when held-out pixels are no longer predicted better, and
            returns the best epoch's estimate.
        track: wraps the numbers of the epochs, given the most there can be, to show progress.

    Raises:
        ConfigError: If pty-chi is not installed.

    Source:
        pty-chi: Du et al., arXiv:2510.20929 (2025). LSQML: Odstrcil, Menzel & Guizar-Sicairos,
        Opt. Express 26, 3108 (2018). rPIE: Maiden, Johnson & Li, Optica 4, 736 (2017).
    """
    history = [free_residual(intensity, start, held_out)]
    best = Refined(start, history, 0)
    most = MOST_EPOCHS if epochs is None else epochs
    with contained():
        task = start_engine(intensity, start, held_out, plan)
        for number in track(range(1, most + 1), most):
            task.run(1)
            now = estimate_of(task, start)
            history.append(free_residual(intensity, now, held_out))
            if epochs is not None or better(history[-1], history[best.kept]):
                best = Refined(now, history, number)
            elif number - best.kept >= _PATIENCE:
                break
    return best


@torch.inference_mode()
def free_residual(
    intensity: Float32[np.ndarray, "frame row col"],
    estimate: Estimate,
    held_out: Bool[np.ndarray, "frame row col"],
) -> float:
    """Return how far held-out pixels are from their prediction: the Poisson deviance per photon.

    Args:
        intensity: photons per detector pixel.
        estimate: what predicts.
        held_out: the pixels looked at.
    """
    obj, probe = (torch.from_numpy(part).to(torch.complex64) for part in estimate[:2])
    size = probe.shape[-1]
    corners, fractions = window_corners(torch.from_numpy(estimate.positions), size)
    misfit = photons = 0.0
    for first in range(0, len(intensity), _FRAMES_AT_ONCE):
        some = slice(first, first + _FRAMES_AT_ONCE)
        judged = torch.from_numpy(held_out[some])
        patches = cut_patches(obj, corners[some], size)
        waves = exit_waves(patches, shift_probe(probe, fractions[some]))
        amplitude = torch.from_numpy(intensity[some]).sqrt()[judged][None]
        counted = float(amplitude.square().sum())
        misfit += counted * float(poisson_loss(detector_intensity(waves)[judged][None], amplitude))
        photons += counted
    return misfit / max(photons, 1.0)


def start_engine(
    intensity: Float32[np.ndarray, "frame row col"],
    start: Estimate,
    held_out: Bool[np.ndarray, "frame row col"] | None,
    plan: Plan,
) -> Any:
    """Return a task of pty-chi that is ready to run.

    Its frames come centred, in photons, its positions as (row, col) from a point of the canvas that
    we name. Its Fourier transform is not unitary but larger by N, so its probe is smaller by that.
    It would scale the probe by the measured power, and object against probe every ten epochs: both
    are off, ours fit the frames.

    Args:
        intensity: photons per detector pixel, zero frequency at N//2.
        start: where to begin.
        held_out: pixels that correct nothing; None corrects by all.
        plan: which engine, and what it corrects.

    Raises:
        ConfigError: If pty-chi is not installed.
    """
    api = load_ptychi()
    task_module = importlib.import_module("ptychi.api.task")
    size = intensity.shape[-1]
    options = _options(api, plan, size)
    if held_out is not None:
        options.reconstructor_options.exclude_measured_pixels_below = _DARK / 2
    task = task_module.PtychographyTask(
        options,
        diffraction_data=intensity if held_out is None else _marked(intensity, held_out),
        object_data=start.obj[None].astype(np.complex64),
        probe_data=(start.probe[None] / size).astype(np.complex64),
        probe_position_y_px=start.positions[:, 0].astype(np.float32),
        probe_position_x_px=start.positions[:, 1].astype(np.float32),
        opr_mode_weights_data=np.ones((len(intensity), 1), dtype=np.float32),
    )
    task.build()
    task.reconstructor.dataloader.generator.manual_seed(plan.seed)
    return task


def _options(api: ModuleType, plan: Plan, size: int) -> Any:
    """Return pty-chi's options for frames of a size, as far as they are not its own defaults."""
    options = {"lsqml": api.LSQMLOptions, "rpie": api.RPIEOptions}[plan.engine]()
    how, obj, probe = options.reconstructor_options, options.object_options, options.probe_options
    how.batch_size = plan.batch_size
    how.default_device = api.Devices.GPU if plan.device == "cuda" else api.Devices.CPU
    obj.remove_object_probe_ambiguity.enabled = False
    obj.determine_position_origin_coords_by = api.ObjectPosOriginCoordsMethods.SPECIFIED
    # A window of pty-chi begins (N - 1) / 2 before the rounded position, ours N // 2.
    obj.position_origin_coords = [(size - 1) / 2 - size // 2] * 2
    probe.optimizable = plan.refine_probe
    probe.orthogonalize_incoherent_modes.enabled = plan.refine_probe
    positions = options.probe_position_options
    positions.optimizable = plan.refine_positions
    positions.step_size = 1.0  # with 0.3 and no momentum, errors shrink by a tenth in 15 epochs
    if plan.engine == "lsqml":
        how.rescale_probe_intensity_in_first_epoch = False
        positions.momentum_acceleration_gain = 0.5
    return options


def estimate_of(task: Any, start: Estimate) -> Estimate:
    """Return what a task of pty-chi has found so far, its probe at the power of the start's.

    Positions that have wandered off come back to where their window fits on the canvas.

    Args:
        task: of `start_engine`.
        start: what it began with.
    """
    size = start.probe.shape[-1]
    obj = task.get_data_to_cpu("object", as_numpy=True)[0]
    probe = size * task.get_data_to_cpu("probe", as_numpy=True)[0]
    scale = np.linalg.norm(start.probe) / max(np.linalg.norm(probe), np.finfo(np.float32).tiny)
    moved = task.get_data_to_cpu("probe_positions", as_numpy=True).astype(np.float64)
    last = np.array(obj.shape) - size + size // 2
    return Estimate(
        (obj / scale).astype(np.complex64),
        (probe * scale).astype(np.complex64),
        moved.clip(size // 2, last),
    )


def load_ptychi() -> ModuleType:
    """Return `ptychi.api`, imported at the first call.

    pty-chi takes one blur from torchvision, which no engine here calls. On a machine whose
    torchvision is absent or was built for another torch (that of PyPI beside a CPU build), a
    stand-in without it takes its place while pty-chi is imported, and goes again.

    Raises:
        ConfigError: If pty-chi is not installed.
    """
    if importlib.util.find_spec("ptychi") is None:
        raise ConfigError(
            "ptychi: not installed; expected pty-chi, which does the refinement; "
            "pip install 'ptycho[refine]'"
        )
    if "ptychi.api" not in sys.modules:
        logging.getLogger("ptychi").setLevel(logging.ERROR)
        with _torchvision_or_stand_in():
            importlib.import_module("ptychi.api")
    return sys.modules["ptychi.api"]


@contextlib.contextmanager
def _torchvision_or_stand_in() -> Iterator[None]:
    try:
        importlib.import_module("torchvision.transforms")
    except (ImportError, RuntimeError) as problem:
        if not isinstance(problem, ImportError):  # its compiled part does not fit this torch
            log.warning(
                "torchvision does not fit this PyTorch: %s; refinement goes without, training "
                "fails: pip uninstall torchvision", problem,
            )  # fmt: skip
        names = ("torchvision", "torchvision.transforms")
        sys.modules.update({name: ModuleType(name) for name in names})
        sys.modules["torchvision.transforms"].GaussianBlur = None
        try:
            yield
        finally:
            for name in names:
                del sys.modules[name]
    else:
        yield


@contextlib.contextmanager
def contained() -> Iterator[None]:
    """Keep inside what pty-chi does to all of PyTorch, a default device, and its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            yield
        finally:
            torch.set_default_device(None)


def _marked(
    intensity: Float32[np.ndarray, "frame row col"], held_out: Bool[np.ndarray, "frame row col"]
) -> Float32[np.ndarray, "frame row col"]:
    """Return the frames with 0 on held-out pixels and nowhere else."""
    return np.where(held_out, np.float32(0), np.maximum(intensity, np.float32(_DARK)))
