"""How well a reconstruction that lies in a folder explains the frames of its scan.

Way of the data: reconstruction.npz + scan -> [detector-space numbers] -> report.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from ptycho.engines.nuisances import Nuisances
from ptycho.engines.residuals import frame_deviances, frame_residuals
from ptycho.errors import DataError
from ptycho.physics.patches import Canvas
from ptycho.progress import Track, untracked
from ptycho.scan.dataset import GroupDataset
from ptycho.scan.raw_data import RawData

_FRAMES_AT_ONCE = 64


class Explained(NamedTuple):
    """Detector-space numbers, frame by frame."""

    frames: Int[np.ndarray, " frame"]
    """Which frames of the scan."""

    residuals: Float[np.ndarray, " frame"]
    """sum (sqrt I - sqrt n)^2 / sum n; NaN for a frame without light."""

    deviances: Float[np.ndarray, " frame"]
    """Poisson deviance per pixel; about 1 when only counting noise is left of many photons."""


def explain(
    found: Mapping[str, np.ndarray], raw: RawData, *, track: Track = untracked
) -> Explained:
    """Return how well a reconstruction explains the frames it was made from.

    Args:
        found: arrays of its `reconstruction.npz`.
        raw: the scan.
        track: wraps batches of frames, given their number, to show progress.
    """
    frames = found["frames"].astype(np.int64)
    obj = torch.from_numpy(np.array(found["object"], dtype=np.complex64))
    probe = torch.from_numpy(np.array(found["probe"], dtype=np.complex64))
    row, col = (round(float(first)) for first in found["origin"])
    canvas = Canvas((row, col), (obj.shape[0], obj.shape[1]))
    dataset = GroupDataset(raw, frames[:, None])
    given = Nuisances.given(probe, dataset)
    positions = given.positions.clone()
    positions[frames] = torch.from_numpy(np.array(found["positions"])).to(positions.dtype)
    beside = given._replace(positions=positions)
    if "intensity" in found:
        intensity = torch.ones(raw.n_frames)
        intensity[frames] = torch.from_numpy(np.array(found["intensity"], dtype=np.float32))
        beside = beside._replace(intensity=intensity)
    if "background" in found:
        background = torch.from_numpy(np.array(found["background"], dtype=np.float32))
        beside = beside._replace(background=background)
    place = obj, canvas, probe, dataset
    shared = {"batch_size": _FRAMES_AT_ONCE, "beside": beside, "track": track}
    return Explained(
        frames=frames,
        residuals=frame_residuals(*place, **shared).numpy(),
        deviances=frame_deviances(*place, **shared).numpy(),
    )


def check_made_from(
    found: Mapping[str, np.ndarray], raw: RawData, *, reconstruction: Path, scan: Path
) -> None:
    """Refuse a reconstruction that was made from another scan.

    Args:
        found: `frames`, `positions` and `probe` of it.
        raw: the scan.
        reconstruction: where the first comes from, for the message.
        scan: the same of the second.

    Raises:
        DataError: If frames, their size or positions are not those of the scan.
    """
    frames, size = found["frames"].astype(np.int64), found["probe"].shape[-1]
    fits = frames.max(initial=0) < raw.n_frames and size == raw.frame_size
    if fits:
        away = np.abs(found["positions"] - raw.positions[frames]).max(initial=0.0)
        fits = away < size / 2
    if not fits:
        raise DataError(
            f"{reconstruction}: {len(frames)} frames of {size} pixels that {scan} does not have "
            "there; expected one made from this scan"
        )
