"""The steps that commands share: open a scan, choose its groups, scale its probe.

Way of the data: file -> [RawData -> groups -> batches] -> ...
Settings end here: the stages below are handed plain values.
"""

import hashlib
import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Complex, Int
from torch import Tensor

from ptycho.errors import ConfigError, DataError
from ptycho.grouping import default_neighbor_count
from ptycho.io import read_mask
from ptycho.physics.forward import detector_intensity
from ptycho.physics.probe import (
    largest_pair_distance,
    mode_shares,
    probe_fwhm,
    probe_intensity,
    scale_probe,
    with_modes,
)
from ptycho.scan.checks import odd_pixels
from ptycho.scan.raw_data import Measurement, RawData
from ptycho.settings.config import SelectionConfig

log = logging.getLogger(__name__)

MOST_SPREAD = 100
"""Largest area of a scan in units of all its windows side by side."""

LOOKED_AT = 64
"""Frames spread over the scan in which dead and hot pixels are looked for."""

Groups = Int[np.ndarray, "group member"]


def load_data(
    path: Path,
    *,
    measurement: Measurement | None = None,
    frame_size: int | None = None,
    nphotons: float | None = None,
    mask: Path | None = None,
) -> RawData:
    """Open a whole scan; nothing is sliced here.

    Which frames take part is decided by `choose_groups`: the first n frames at gridsize 1; above,
    groups are found in the whole scan first and sampled afterwards.

    Args:
        path: the scan file.
        measurement: what the frames are, where the file does not say.
        frame_size: N the user expects, checked against the file.
        nphotons: photons of the mean frame, where the file's unit is another; None believes it.
        mask: file that says which pixels are good; None believes the scan file.

    Raises:
        DataError: If the file is no sound scan.
        ConfigError: If its frames have another size than expected.
    """
    good = None if mask is None else read_mask(mask)
    raw = RawData.from_file(path, measurement=measurement, mask=good)
    if frame_size is not None and frame_size != raw.frame_size:
        raise ConfigError(
            f"{path}: frames of {raw.frame_size} pixels; expected {frame_size} (--N, or the size "
            "of the frames trained on)"
        )
    _check_extent(path, raw)
    tell_pixels(raw)
    if nphotons is None:
        return raw
    log.info(
        "nphotons: the mean frame, %.3g in the file, is taken as %.3g photons",
        raw.photons_per_frame(), nphotons,
    )  # fmt: skip
    return raw.scaled_to(nphotons)


def _check_extent(path: Path, raw: RawData) -> None:
    """Refuse positions spread so far that one of them must be wrong."""
    positions = raw.positions
    spread = np.ptp(positions, axis=0) + raw.frame_size
    if spread.prod() <= MOST_SPREAD * raw.n_frames * raw.frame_size**2:
        return
    away = np.abs(positions - np.median(positions, axis=0)).max(axis=1)
    raise DataError(
        f"{path}: positions spread over {spread[0]:.3g} x {spread[1]:.3g} pixels, frame "
        f"{away.argmax()} lies farthest out; expected windows that cover more of it; check "
        "the unit of the positions, or leave out that frame"
    )


def tell_pixels(raw: RawData) -> None:
    """Say in the log how many pixels a mask takes out, and which look as if one should."""
    if raw.mask is not None:
        n_good = int(raw.mask.sum())
        inverted = "; True stands for good ones" if 2 * n_good < raw.mask.size else ""
        level = logging.WARNING if inverted else logging.INFO
        log.log(level, "mask: %d of %d pixels are good%s", n_good, raw.mask.size, inverted)
    chosen = np.unique(np.linspace(0, raw.n_frames - 1, LOOKED_AT).astype(int))
    odd = np.argwhere(odd_pixels(raw.intensity(chosen), raw.mask))
    if len(odd):
        named = ", ".join(f"({row}, {col})" for row, col in odd[:8].tolist())
        log.warning(
            "%d pixels look dead or hot: %s%s; if they are, leave them out by --mask", len(odd),
            named, ", ..." if len(odd) > 8 else "",
        )  # fmt: skip


def probe_diameter(raw: RawData) -> float:
    """Return the width of the scan's probe at half maximum, object pixels."""
    return probe_fwhm(torch.from_numpy(np.array(raw.probe, dtype=np.complex64)))


def distance_limits(raw: RawData, config: SelectionConfig) -> dict[str, float | str | None]:
    """Return the limits of the distance of two members that the settings ask for.

    Args:
        raw: its probe turns an overlap into a distance.
        config: min_overlap or max_distance, min_distance, metric.

    Returns:
        `max_distance` and `min_distance`, object pixels, and `metric`.
    """
    largest = config.max_distance
    if config.min_overlap is not None:
        diameter = probe_diameter(raw)
        largest = largest_pair_distance(diameter, config.min_overlap)
        log.info(
            "min_overlap %g: members at most %.4g px apart, the probe is %.4g px wide",
            config.min_overlap, largest, diameter,
        )  # fmt: skip
    return {
        "max_distance": largest, "min_distance": config.min_distance, "metric": config.metric,
    }  # fmt: skip


def choose_groups(raw: RawData, config: SelectionConfig, gridsize: int) -> Groups:
    """Return the groups to work on: frame indices, one row per group.

    Args:
        raw: the scan.
        config: n_images, neighbor_count, sampling, seed and cache settings.
        gridsize: a group has gridsize^2 members.

    Raises:
        GroupingError: If the scan cannot form such groups.
    """
    return raw.select_groups(
        config.n_images,
        gridsize=gridsize,
        K=config.neighbor_count,
        seed=config.seed,
        sampling=config.sampling,
        use_cache=config.cache and not getattr(config, "dry_run", False),
        cache_dir=config.cache_dir,
        probe_diameter=probe_diameter(raw),
        **(distance_limits(raw, config) if gridsize > 1 else {}),
    )


def neighbours_used(gridsize: int, neighbor_count: int | None) -> int:
    """Return the K that a run uses; 0 at gridsize 1, where there are no groups."""
    if gridsize == 1:
        return 0
    return neighbor_count or default_neighbor_count(gridsize)


class ScaledProbe(NamedTuple):
    """The illumination as networks want it, and what takes their object back to the file's."""

    probe: Complex[Tensor, "mode row col"]
    """Its photons on good pixels are those of the mean frame, so that the mean object intensity is
    about 1."""

    transmission: float
    """Factor from that object to transmission through the file's own probe; 1 when the power of
    the file's probe says nothing about the frames."""


FEWEST_PHOTONS = 10.0
"""Photons per frame below which the unit of the frames is in doubt."""


def is_transmission(share: float) -> bool:
    """Return whether photons measured / photons of the probe can be what a sample lets through.

    A sample transmits between a little and all of the light; other ratios mean that the probe is
    kept in another unit.
    """
    return 0.05 <= share <= 1.05


def scaled_probe(raw: RawData) -> ScaledProbe:
    """Return the probe in the photon scale of the frames (one stored scaling for everything).

    Behind a mask a part of the light is never counted; the probe keeps it.

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
    if (background := raw.background_intensity) is not None:
        stray = float(background.sum() if raw.mask is None else background[raw.mask].sum())
        photons = max(photons - stray, 1e-3 * photons)
    probe = torch.from_numpy(np.array(raw.probe, dtype=np.complex64))
    power = float(probe_intensity(probe).sum())
    seen = 1.0  # share of the probe's light that falls on good pixels, through empty space
    if raw.mask is not None:
        seen = float(detector_intensity(probe)[torch.from_numpy(raw.mask)].sum()) / power
    share = photons / (seen * power)
    trusted = is_transmission(share)
    if photons < FEWEST_PHOTONS:
        log.warning(
            "%.3g photons per frame: too few for an image; if the frames are in another unit, give "
            "--nphotons", photons,
        )  # fmt: skip
    log.info(
        "probe: %d mode%s, %.3g photons per frame measured%s",
        len(probe), "s" * (len(probe) > 1), photons,
        f", {100 * share:.0f} % of the probe's" if trusted else "; its scale is set from them",
    )  # fmt: skip
    return ScaledProbe(
        scale_probe(probe, photons / seen), float(np.sqrt(share)) if trusted else 1.0
    )


def probe_checksum(raw: RawData) -> str:
    """Return what tells the probe of a scan file from any other."""
    return hashlib.sha256(np.ascontiguousarray(raw.probe).tobytes()).hexdigest()[:16]


def more_modes(
    probe: Complex[Tensor, "mode row col"], n_modes: int | None
) -> Complex[Tensor, "all_modes row col"]:
    """Return a probe of so many modes, to be refined; None keeps those it has.

    Raises:
        ConfigError: If it has more.
    """
    if n_modes is None:
        return probe
    if n_modes < len(probe):
        raise ConfigError(f"n_modes: {n_modes}; expected the {len(probe)} of the file, or more")
    return with_modes(probe, n_modes)


def tell_modes(probe: Complex[Tensor, "mode row col"]) -> None:
    """Say in the log how the light of a probe found is shared by its modes."""
    if len(probe) > 1:
        shares = ", ".join(f"{100 * share:.3g} %" for share in mode_shares(probe))
        log.info("probe: modes of %s of the light", shares)


def default_batch_size(members: int, frame_size: int, frames: int) -> int:
    """Return groups per batch.

    Args:
        members: frames in a group.
        frame_size: N, pixels; frames above 64 count by their area, up to 4 times.
        frames: wanted per batch at N = 64.
    """
    area = min(4.0, max(1.0, (frame_size / 64) ** 2))
    return max(1, round(frames / area) // members)


def use_threads(threads: int | None) -> None:
    """Let PyTorch use so many CPU threads; None leaves the choice to it."""
    if threads is not None:
        torch.set_num_threads(threads)
