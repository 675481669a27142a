"""A reconstruction as the arrays of `reconstruction.npz`, and back.

Data flow: object, nuisance parameters <-> [arrays] <-> file.
"""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Complex64, Float32, Shaped

from ptycho.engines.nuisances import Nuisances
from ptycho.engines.problem import Estimate, Problem
from ptycho.engines.reconstruction import Reconstruction
from ptycho.engines.varying_probe import Variation
from ptycho.errors import DataError
from ptycho.physics.patches import Canvas
from ptycho.scan.dataset import GroupDataset
from ptycho.scan.raw_data import RawData

REQUIRED = ("object", "coverage", "origin", "probe", "positions", "frames")
"""Entries without which a reconstruction cannot be continued or compared with its frames."""

OPTIONAL = (
    "frame_residuals", "intensity", "background", "probe_components", "probe_weights",
)  # fmt: skip
"""Further entries that matter to the forward model or the report."""

_UNITS = (
    "object: complex transmission; positions, origin: object pixels (row, col); coverage: "
    "illumination relative to the maximum of one probe; probe: sqrt(photons)"
)


def to_arrays(
    result: Reconstruction, pixel_size_m: float | None
) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Return what later steps compute with.

    Args:
        result: of a scan.
        pixel_size_m: object pixel, where it is known.
    """
    nuisances = result.nuisances
    arrays: dict[str, Shaped[np.ndarray, ...]] = {
        "object": result.obj.astype(np.complex64),
        "coverage": result.coverage.astype(np.float32),
        "positions": nuisances.positions[result.frames].double().numpy(),
        "origin": np.array(result.origin, dtype=np.float64),
        "frames": result.frames,
        "probe": result.probe.astype(np.complex64),
        "frame_residuals": result.residuals.astype(np.float32),
        "pixel_size_m": np.array(np.nan if pixel_size_m is None else pixel_size_m),
        "units": np.array(_UNITS),
    }
    if nuisances.intensity is not None:
        arrays["intensity"] = nuisances.intensity[result.frames].numpy()
    if nuisances.background is not None:
        arrays["background"] = nuisances.background.numpy()
    if nuisances.variation is not None:
        arrays["probe_components"] = nuisances.variation.components.numpy()
        arrays["probe_weights"] = nuisances.variation.weights[result.frames].numpy()
    return arrays


def from_arrays(
    arrays: Mapping[str, Shaped[np.ndarray, "..."]], raw: RawData, where: str
) -> Reconstruction:
    """Return the reconstruction that `to_arrays` described.

    Args:
        arrays: those of `REQUIRED`, and of `OPTIONAL` what there is.
        raw: the scan it was made from.
        where: what the arrays come from, for errors.

    Raises:
        DataError: If it was made from another scan.
    """
    frames = np.asarray(arrays["frames"]).astype(np.int64)
    _check_made_from(arrays, raw, where)
    probe = np.array(arrays["probe"], dtype=np.complex64)
    given = Nuisances.given(torch.from_numpy(probe), GroupDataset(raw, frames[:, None]))
    positions = given.positions.clone()
    positions[frames] = torch.from_numpy(np.array(arrays["positions"])).to(positions.dtype)
    nuisances = given._replace(positions=positions)
    if "intensity" in arrays:
        intensity = torch.ones(raw.n_frames)
        intensity[frames] = torch.from_numpy(np.array(arrays["intensity"], dtype=np.float32))
        nuisances = nuisances._replace(intensity=intensity)
    if "background" in arrays:
        background = torch.from_numpy(np.array(arrays["background"], dtype=np.float32))
        nuisances = nuisances._replace(background=background)
    if "probe_components" in arrays or "probe_weights" in arrays:
        components, weights = _variation_of(arrays, where)
        every = torch.zeros(raw.n_frames, weights.shape[1])
        every[frames] = torch.from_numpy(weights)
        nuisances = nuisances._replace(variation=Variation(torch.from_numpy(components), every))
    row, col = (round(float(first)) for first in arrays["origin"])
    unknown = np.full(len(frames), np.nan, np.float32)
    return Reconstruction(
        obj=np.array(arrays["object"], dtype=np.complex64),
        coverage=np.array(arrays["coverage"], dtype=np.float32),
        origin=(row, col),
        frames=frames,
        residuals=np.array(arrays.get("frame_residuals", unknown)),
        probe=probe,
        free_residual=[],
        iterations=0,
        nuisances=nuisances,
    )


def as_problem(
    result: Reconstruction, raw: RawData, device: torch.device
) -> tuple[Problem, Estimate]:
    """Return the frames of a reconstruction as a problem, and the reconstruction as its estimate.

    Args:
        result: made from this scan.
        raw: the scan.
        device: where to compute.
    """
    canvas = Canvas(result.origin, (result.obj.shape[0], result.obj.shape[1]))
    nuisances = result.nuisances._replace(probe=torch.from_numpy(np.array(result.probe)))
    frames = GroupDataset(raw, result.frames[:, None])
    problem = Problem.of(frames, canvas, device=device, positions=nuisances.positions)
    obj = torch.from_numpy(np.array(result.obj, dtype=np.complex64))
    return problem, Estimate(obj, nuisances)


def _variation_of(
    arrays: Mapping[str, Shaped[np.ndarray, "..."]], where: str
) -> tuple[Complex64[np.ndarray, "component n n"], Float32[np.ndarray, "frame component"]]:
    """Return how the probe varies; refuse what does not belong to the other entries."""
    none = np.empty(0)
    components, weights = (arrays.get(n, none) for n in ("probe_components", "probe_weights"))
    size, n_frames = arrays["probe"].shape[-1], len(arrays["frames"])
    count = len(components)
    if components.shape != (count, size, size) or weights.shape != (n_frames, count):
        raise DataError(
            f"{where}: probe_components {components.shape}, probe_weights {weights.shape}; "
            f"expected (components, {size}, {size}) and ({n_frames}, components)"
        )
    return np.array(components, np.complex64), np.asarray(weights, np.float32)


def _check_made_from(
    arrays: Mapping[str, Shaped[np.ndarray, "..."]], raw: RawData, where: str
) -> None:
    """Refuse a reconstruction whose frames, their size or positions are not those of the scan."""
    frames, size = np.asarray(arrays["frames"]).astype(np.int64), arrays["probe"].shape[-1]
    fits = frames.min(initial=0) >= 0 and frames.max(initial=0) < raw.n_frames
    fits = fits and size == raw.frame_size
    if fits:
        distance = np.abs(arrays["positions"] - raw.positions[frames]).max(initial=0.0)
        fits = distance < size / 2
    if not fits:
        raise DataError(
            f"{where}: {len(frames)} frames of {size} pixels that {raw.path or 'the scan'} does "
            "not hold at these positions; expected a reconstruction of this scan"
        )
