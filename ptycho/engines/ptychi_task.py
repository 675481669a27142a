"""A task of pty-chi made from our arrays, and its results in our conventions.

Plain arrays in and out. pty-chi is an optional package, imported when first used.

pty-chi knows one common mask of valid pixels. Its threshold below which a measured pixel constrains
nothing may differ from frame to frame: excluded pixels are handed over as 0 photons, dark ones as
`_DARK`, and the threshold lies between. So each frame keeps held-out pixels of its own.
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

from ptycho.errors import ConfigError

log = logging.getLogger(__name__)

Method = Literal["lsqml", "rpie"]

ROOM = 8
"""Pixels of canvas around the windows: pty-chi needs some, moving positions too."""

_DARK = 1e-6  # photons on a pixel that counted none; negligible for any engine


class Handover(NamedTuple):
    """An estimate in the units of pty-chi's task: positions in pixels of the canvas."""

    obj: Complex[np.ndarray, "height width"]
    """Transmission on the canvas, which has `ROOM` around the windows."""

    probe: Complex[np.ndarray, "mode row col"]
    """sqrt(photons) per object pixel."""

    positions: Float[np.ndarray, "frame 2"]
    """Probe centres as (row, col) of the canvas, object pixels."""


class Plan(NamedTuple):
    """How a task of pty-chi runs."""

    engine: Method
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


def start_task(
    intensity: Float32[np.ndarray, "frame row col"],
    start: Handover,
    excluded: Bool[np.ndarray, "frame row col"] | None,
    plan: Plan,
) -> Any:
    """Return a task of pty-chi that is ready to run.

    Frames are centred and in photons, positions are (row, col) from a specified origin. pty-chi's
    Fourier transform is not unitary but larger by N, so its probe is smaller by that factor. Its
    scaling of the probe to the measured power, and of object against probe every ten epochs, are
    off: our scale fits the frames.

    Args:
        intensity: photons per detector pixel, zero frequency at N//2.
        start: where to begin.
        excluded: pixels that constrain nothing; None uses all.
        plan: which engine, and what it corrects.

    Raises:
        ConfigError: If pty-chi is not installed.
    """
    api = load_ptychi()
    task_module = importlib.import_module("ptychi.api.task")
    size = intensity.shape[-1]
    options = _options(api, plan, size)
    if excluded is not None:
        options.reconstructor_options.exclude_measured_pixels_below = _DARK / 2
    task = task_module.PtychographyTask(
        options,
        diffraction_data=intensity if excluded is None else _marked(intensity, excluded),
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
    """Return pty-chi's options where they differ from its defaults."""
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


def estimate_of(task: Any, start: Handover) -> Handover:
    """Return the estimate of a task of pty-chi so far, its probe at the power of the start's.

    Positions are clipped to where their window fits on the canvas.

    Args:
        task: from `start_task`.
        start: the estimate it began with.
    """
    size = start.probe.shape[-1]
    obj = task.get_data_to_cpu("object", as_numpy=True)[0]
    probe = size * task.get_data_to_cpu("probe", as_numpy=True)[0]
    scale = np.linalg.norm(start.probe) / max(np.linalg.norm(probe), np.finfo(np.float32).tiny)
    moved = task.get_data_to_cpu("probe_positions", as_numpy=True).astype(np.float64)
    last = np.array(obj.shape) - size + size // 2
    return Handover(
        (obj / scale).astype(np.complex64),
        (probe * scale).astype(np.complex64),
        moved.clip(size // 2, last),
    )


def load_ptychi() -> ModuleType:
    """Return `ptychi.api`, imported at the first call.

    pty-chi imports one blur from torchvision, which no engine here calls. Where torchvision is
    absent or was built for another torch (that of PyPI with a CPU build), an empty module replaces
    it while pty-chi is imported.

    Raises:
        ConfigError: If pty-chi is not installed.
    """
    if importlib.util.find_spec("ptychi") is None:
        raise ConfigError(
            "ptychi: not installed; expected the package pty-chi for engines lsqml and rpie; "
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
                "torchvision does not fit this PyTorch: %s; pty-chi works without it, training "
                "fails: pip uninstall torchvision", problem,
            )  # fmt: skip
        names = ("torchvision", "torchvision.transforms")
        sys.modules.update({name: ModuleType(name) for name in names})
        setattr(sys.modules["torchvision.transforms"], "GaussianBlur", None)  # noqa: B010
        try:
            yield
        finally:
            for name in names:
                del sys.modules[name]
    else:
        yield


@contextlib.contextmanager
def contained() -> Iterator[None]:
    """Undo pty-chi's changes to all of PyTorch (a default device) and hide its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            yield
        finally:
            torch.set_default_device(None)


def _marked(
    intensity: Float32[np.ndarray, "frame row col"], excluded: Bool[np.ndarray, "frame row col"]
) -> Float32[np.ndarray, "frame row col"]:
    """Return the frames with 0 on excluded pixels and nowhere else."""
    return np.where(excluded, np.float32(0), np.maximum(intensity, np.float32(_DARK)))
