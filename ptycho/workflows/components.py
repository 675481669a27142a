"""The steps that commands share: open a scan, choose its groups, scale its probe.

Way of the data: file -> [RawData -> groups -> batches] -> ...
Settings end here: the stages below are handed plain values.
"""

import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Complex, Int
from torch import Tensor

from ptycho.errors import ConfigError
from ptycho.grouping import default_neighbor_count
from ptycho.io import read_scan
from ptycho.physics.probe import probe_intensity, scale_probe
from ptycho.raw_data import Measurement, RawData

log = logging.getLogger(__name__)


def load_data(
    path: Path,
    *,
    n_images: int | None,
    gridsize: int,
    measurement: Measurement | None = None,
    frame_size: int | None = None,
) -> RawData:
    """Open a scan.

    At gridsize 1 the scan is cut to its first n_images frames. Above, it is returned whole: groups
    are found in the whole scan first and sampled afterwards, so nothing is sliced here.

    Args:
        path: the scan file.
        n_images: frames at gridsize 1; not used here above.
        gridsize: of the groups to come.
        measurement: what the frames are, where the file does not say.
        frame_size: N the user expects, checked against the file.

    Raises:
        DataError: If the file is no sound scan.
        ConfigError: If its frames have another size than expected.
    """
    raw = read_scan(path, measurement=measurement)
    if frame_size is not None and frame_size != raw.frame_size:
        raise ConfigError(
            f"N: {frame_size}; expected {raw.frame_size}, the size of the frames in {path}"
        )
    if gridsize == 1 and n_images is not None and n_images < raw.n_frames:
        return raw.first(n_images)
    return raw


def choose_groups(
    raw: RawData,
    *,
    n_images: int | None,
    gridsize: int,
    neighbor_count: int | None,
    sampling: str,
    seed: int,
    cache: bool,
    cache_dir: Path | None,
) -> Int[np.ndarray, "group member"]:
    """Return the groups to work on: frame indices, one row per group.

    Args:
        raw: the scan, as `load_data` returns it.
        n_images: frames at gridsize 1, groups above; None takes every frame once, or as many
            groups as hold that many frames.
        gridsize: a group has gridsize^2 members.
        neighbor_count: K; None takes the default of the gridsize.
        sampling: uniform, balanced or sequential.
        seed: of the sample.
        cache: keep the table of all groups on disk.
        cache_dir: where, instead of beside the scan.

    Raises:
        GroupingError: If the scan cannot form such groups.
    """
    wanted = n_images if n_images is not None else max(1, raw.n_frames // gridsize**2)
    return raw.select_groups(
        wanted,
        gridsize=gridsize,
        K=neighbor_count,
        seed=seed,
        sampling=sampling,
        use_cache=cache,
        cache_dir=cache_dir,
    )


def neighbours_used(gridsize: int, neighbor_count: int | None) -> int:
    """Return the K that a run uses; 0 at gridsize 1, where there are no groups."""
    if gridsize == 1:
        return 0
    return neighbor_count or default_neighbor_count(gridsize)


class ScaledProbe(NamedTuple):
    """The illumination as networks want it, and what takes their object back to the file's."""

    probe: Complex[Tensor, "mode row col"]
    """sum |probe|^2 = photons of the mean frame, so that the mean object intensity is about 1."""

    transmission: float
    """Factor from that object to transmission through the file's own probe; 1 when the power of
    the file's probe says nothing about the frames."""


def scaled_probe(raw: RawData) -> ScaledProbe:
    """Return the probe in the photon scale of the frames (one stored scaling for everything).

    Args:
        raw: its frames set the scale.

    Raises:
        ConfigError: If the frames are dark.
    """
    photons = raw.photons_per_frame()
    if not photons > 0:
        raise ConfigError(
            f"{raw.path or 'scan'}: {photons:g} photons per frame; expected some light"
        )
    probe = torch.from_numpy(np.array(raw.probe, dtype=np.complex64))
    share = photons / float(probe_intensity(probe).sum())
    # A sample transmits between a little and all of the light; other ratios mean another unit.
    trusted = 0.05 <= share <= 1.05
    log.info(
        "probe: %d mode%s, %.3g photons per frame measured%s",
        len(probe), "s" * (len(probe) > 1), photons,
        f", {100 * share:.0f} % of the probe's" if trusted else "; its scale is set from them",
    )  # fmt: skip
    return ScaledProbe(scale_probe(probe, photons), float(np.sqrt(share)) if trusted else 1.0)


def default_batch_size(gridsize: int, frame_size: int, frames: int) -> int:
    """Return groups per batch that hold about `frames` frames of 64 x 64.

    Args:
        gridsize: groups have gridsize^2 frames.
        frame_size: N, pixels.
        frames: wanted at N = 64; large frames get fewer, down to a quarter.
    """
    wanted = frames if frame_size <= 64 else max(frames // 4, frames * 64**2 // frame_size**2)
    return max(1, wanted // gridsize**2)
