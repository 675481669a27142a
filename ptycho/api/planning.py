"""Planning a scan: the smallest error it can have.

Data flow: settings, RawData -> [bound] -> numbers.
"""

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from ptycho.api.loading import name_of
from ptycho.api.training import opened
from ptycho.engines.bound import Bound, bound_of, illumination_levels
from ptycho.engines.spectral_prior import SpectralPrior, power_law
from ptycho.errors import ConfigError
from ptycho.physics.probe import probe_fwhm
from ptycho.scan.raw_data import RawData
from ptycho.scan.scaling import scaled_probe
from ptycho.scan.summary import nearest_step
from ptycho.settings.base import from_mapping
from ptycho.settings.plan import PlanSettings
from ptycho.simulation.probes import make_probe

OVERLAPS = (0.8, 0.6, 0.4, 0.2)
DOSES = (1e2, 1e3, 1e4, 1e5, 1e6, 1e7)
_PHOTONS = 1e5
_SPREAD = 0.22
"""Standard deviation of a picture over its range: 0.17 to 0.28 for photographs and textures."""
_LARGEST_DOSE = 1e12
_SIDE = 12  # positions per side of the part of a raster whose illumination is computed


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScanPlan:
    """A planned scan, and the smallest errors of its reconstruction."""

    settings: PlanSettings

    probe: Complex[Tensor, "mode row col"]
    """In units of one photon per frame."""

    width: float
    """Full width of the probe at half of its maximum, object pixels."""

    photons: float
    """Per frame through empty space."""

    step: float
    """Between neighboring positions, object pixels."""

    positions: Float[Tensor, "frame 2"] | None
    """Of a scan that exists; None for a raster."""

    field: float
    """Side of the scanned area, object pixels."""

    def bound(self, photons: float | None = None, overlap: float | None = None) -> Bound:
        """Return the smallest error.

        Args:
            photons: per frame; None takes those of the plan.
            overlap: of a raster, 1 - step / width; None takes the positions of the plan.
        """
        photons = self.photons if photons is None else photons
        probe = self.probe * math.sqrt(photons)
        if overlap is not None or self.positions is None:
            step = self.step if overlap is None else (1 - overlap) * self.width
            positions = _raster(step)
        else:
            positions = self.positions
        levels, through = illumination_levels(probe, positions), transmission(self.settings)
        return bound_of(probe, levels, self._prior(), transmission=through, field=self.field)

    @property
    def overlap(self) -> float:
        """Linear overlap, 1 - step / width; 0 if there is none."""
        return max(0.0, 1 - self.step / self.width)

    def photons_for(self, resolution: float) -> float | None:
        """Return the photons per frame from which a half period is resolved; None if none suffice.

        Args:
            resolution: object pixels.
        """
        low, high = 0.0, math.log10(_LARGEST_DOSE)
        if self.bound(10**high).resolution > resolution:
            return None
        while high - low > 0.02:
            middle = (low + high) / 2
            fine = self.bound(10**middle).resolution <= resolution
            low, high = (low, middle) if fine else (middle, high)
        return float(10**high)

    def table(self) -> list[dict[str, float]]:
        """Return the bound for powers of ten of the photons and several overlaps."""
        return [
            {"photons": dose, "overlap": overlap, **_numbers(self.bound(dose, overlap))}
            for dose in DOSES
            for overlap in OVERLAPS
        ]

    def document(self) -> dict[str, Any]:
        """Return all numbers, for JSON."""
        wanted = self.settings.resolution
        found: dict[str, Any] = {
            "photons": self.photons, "step_px": self.step, "probe_fwhm_px": self.width,
            "overlap": self.overlap, **_numbers(self.bound()), "table": self.table(),
        }  # fmt: skip
        if wanted is not None:
            found["wanted_resolution_px"] = wanted
            found["photons_for_it"] = self.photons_for(wanted)
        return found

    def _prior(self) -> SpectralPrior:
        settings = self.settings
        spreads = (-math.log(settings.min_amplitude) * _SPREAD, settings.phase_range * _SPREAD)
        laws = (power_law(s**2, settings.roughness / 2, 1 / self.field) for s in spreads)
        return SpectralPrior(*laws)


def plan(scan: RawData | Path | str | None = None, /, **settings: Any) -> ScanPlan:
    """Return a planned scan and the smallest errors of its reconstruction.

    Args:
        scan: one, or its file, whose probe, photons and positions are taken; None takes the
            settings alone.
        **settings: any setting of `ptycho plan` by name, such as photons, overlap, phase_range.

    Raises:
        ConfigError: If a setting is unknown or has a wrong value.
    """
    chosen = from_mapping(PlanSettings, settings, where="ptycho.plan")
    return planned(chosen, None if scan is None else opened(scan))


def planned(settings: PlanSettings, raw: RawData | None = None) -> ScanPlan:
    """Return the plan of a scan.

    Args:
        settings: of the scan; what they leave open is that of `raw`.
        raw: a scan.

    Raises:
        ConfigError: If the probe does not fit its frame, or the scan has one position.
    """
    positions: Float[Tensor, "frame 2"] | None = None
    if raw is None:
        fwhm, photons, field = settings.probe_fwhm, _PHOTONS, settings.field
        probe = torch.from_numpy(make_probe(settings.probe, settings.N, fwhm=fwhm, photons=1.0))
        step = probe_fwhm(probe) / 4
    else:
        if raw.n_frames < 2:
            raise ConfigError(f"{name_of(raw)}: one position; expected a scan of two or more")
        scaled = scaled_probe(raw).probe
        counted = float(scaled.abs().square().sum())
        probe, photons = scaled / math.sqrt(counted), counted / transmission(settings)
        positions = torch.from_numpy(raw.positions)
        step, field = nearest_step(raw.positions), float(np.ptp(raw.positions, axis=0).mean())
    width = probe_fwhm(probe)
    if settings.overlap is not None:
        step, positions = (1 - settings.overlap) * width, None
    if settings.step is not None:
        step, positions = settings.step, None
    if step > 2 * width:
        raise ConfigError(f"step: {step:.3g} px; expected up to twice the probe's {width:.3g} px")
    return ScanPlan(
        settings=replace(settings), probe=probe, width=width, step=step, positions=positions,
        photons=photons if settings.photons is None else settings.photons, field=max(field, width),
    )  # fmt: skip


def transmission(settings: PlanSettings) -> float:
    """Return the mean squared amplitude of a sample with as many bright as dark parts."""
    return 0.5 * (1 + settings.min_amplitude**2)


def _raster(step: float) -> Float[Tensor, "frame 2"]:
    """Return the positions of a part of a raster."""
    along = step * torch.arange(_SIDE, dtype=torch.float64)
    return torch.cartesian_prod(along, along)


def _numbers(bound: Bound) -> dict[str, float]:
    return asdict(bound) | {"resolution_px": bound.resolution}
