"""What the functions share: the probe in the scale of the frames, batch sizes, threads."""

import hashlib
import logging
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Complex, Int
from torch import Tensor

from ptycho.errors import ConfigError
from ptycho.physics.forward import detector_intensity
from ptycho.physics.probe import mode_shares, probe_intensity, scale_probe, with_modes
from ptycho.scan.raw_data import RawData

log = logging.getLogger(__name__)

Members = Int[np.ndarray, "group member"]
"""Frame indices, one row per group."""


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
