"""The probe of a scan in the photon scale of its frames.

Data flow: file -> RawData -> [scaled probe] -> network + physics.
"""

import hashlib
import logging
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Complex
from torch import Tensor

from ptycho.errors import ConfigError
from ptycho.physics.forward import forward_model
from ptycho.physics.probe import probe_intensity, scale_probe
from ptycho.scan.raw_data import RawData

log = logging.getLogger(__name__)


class ScaledProbe(NamedTuple):
    """The illumination in the scale of the frames, and the factor back to that of the file."""

    probe: Complex[Tensor, "mode row col"]
    """Its photons on good pixels are those of the mean frame, so the mean object intensity is about
    1."""

    transmission: float
    """Factor from that object to the transmission relative to the probe of the file; 1 when the
    power of that probe is unrelated to the frames."""


FEWEST_PHOTONS = 10.0
"""Photons per frame below which the unit of the frames is in doubt."""


MOST_PHOTONS = 1e16
"""Photons per frame above which counts overflow; no source delivers as many."""


def is_transmission(share: float) -> bool:
    """Return whether photons measured / photons of the probe can be the transmission of a sample.

    Other ratios mean that the probe is stored in another unit.
    """
    return 0.05 <= share <= 1.05


def scaled_probe(raw: RawData) -> ScaledProbe:
    """Return the probe in the photon scale of the frames.

    Photons on masked pixels are not counted, but the probe includes them.

    Args:
        raw: its frames set the scale.

    Raises:
        ConfigError: If the frames are dark, or hold more photons than can be counted.
    """
    photons = raw.photons_per_frame()
    if not 0 < photons <= MOST_PHOTONS:
        raise ConfigError(
            f"{raw.path or 'scan'}: {photons:g} photons per frame; expected more than 0, at most "
            f"{MOST_PHOTONS:g}; --nphotons states them if the frames are in another unit"
        )
    if (background := raw.background_intensity) is not None:
        stray = float(background.sum() if raw.mask is None else background[raw.mask].sum())
        photons = max(photons - stray, 1e-3 * photons)
    probe = torch.from_numpy(np.array(raw.probe, dtype=np.complex64))
    power = float(probe_intensity(probe).sum())
    seen = 1.0  # share of the photons that fall on good pixels, without sample
    if raw.mask is not None:
        empty = torch.ones_like(probe[0])
        expected = forward_model(raw.experiment, raw.frame_size).intensity(empty, probe)
        seen = float(expected[torch.from_numpy(raw.mask)].sum()) / power
    share = photons / (seen * power)
    trusted = is_transmission(share)
    if photons < FEWEST_PHOTONS:
        log.warning(
            "%.3g photons per frame: too few for an image; use --nphotons if the frames are in "
            "another unit", photons,
        )  # fmt: skip
    log.info(
        "probe: %d mode%s, %.3g photons per frame measured%s",
        len(probe), "s" * (len(probe) > 1), photons,
        f", {100 * share:.0f} % of the probe's" if trusted else "; probe rescaled to them",
    )  # fmt: skip
    return ScaledProbe(
        scale_probe(probe, photons / seen), float(np.sqrt(share)) if trusted else 1.0
    )


def probe_checksum(raw: RawData) -> str:
    """Return a text that identifies the probe of a scan file."""
    return hashlib.sha256(np.ascontiguousarray(raw.probe).tobytes()).hexdigest()[:16]
