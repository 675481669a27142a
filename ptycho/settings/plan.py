"""The settings of planning a scan."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ptycho.errors import ConfigError
from ptycho.settings.base import Settings, also
from ptycho.settings.bounds import above_zero, at_least
from ptycho.settings.shared import ConsoleSettings
from ptycho.simulation import PROBES

_RANGES = {
    "photons": (1e-3, 1e12), "step": (0.1, 1e4), "phase_range": (1e-6, 1e3),
    "min_amplitude": (1e-3, 0.999999), "roughness": (1, 6), "field": (8, 1e5),
}  # fmt: skip
"""Smallest and largest value, beyond which numbers overflow rather than mean anything."""


@dataclass(frozen=True, kw_only=True)
class PlanSettings(Settings):
    """What a scan would be, and of what sample."""

    photons: float | None = None
    """Photons per frame through empty space; none takes those of the scan, or 1e5."""

    step: float | None = None
    """Distance between neighboring positions in object pixels; none takes that of the scan, or a
    quarter of the probe's width."""

    overlap: float | None = None
    """Linear overlap of neighboring probes instead of a step: 1 - step / width."""

    N: int = 64
    """Frame size in pixels, if there is no scan."""

    probe: str = also("disc", choices=PROBES)
    """Shape of the probe, if there is no scan: {choices}."""

    probe_fwhm: float = 16.0
    """Full width of that probe at half of its maximum intensity in object pixels."""

    phase_range: float = 2.0
    """Difference between largest and smallest phase of the sample in radians."""

    min_amplitude: float = 0.5
    """Transmission amplitude of the darkest part of the sample; the brightest has 1."""

    roughness: float = 2.8
    """How the sample's power spectrum falls with the frequency k: 1 / k^roughness; 2 for sharp
    edges and fine textures, 3 to 4 for smooth samples."""

    field: float = 256.0
    """Side of the scanned area in object pixels, if there is no scan."""

    resolution: float | None = None
    """Half period to resolve in object pixels; prints the photons per frame that it requires."""

    def __post_init__(self) -> None:
        super().__post_init__()
        above_zero(self, "probe_fwhm", "resolution")
        at_least(self, 8, "N")
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ConfigError(f"{name}: {value:g}; expected {low:g} to {high:g}")
        if self.overlap is not None and not 0 <= self.overlap < 1:
            raise ConfigError(f"overlap: {self.overlap}; expected 0 or more, below 1")
        if self.overlap is not None and self.step is not None:
            raise ConfigError("overlap: given with a step; expected one of them")


@dataclass(frozen=True, kw_only=True)
class PlanConfig(PlanSettings, ConsoleSettings):
    """Print the smallest errors a scan can have, for its photons and overlap and for others."""

    kind: ClassVar[str] = "plan"

    like: Path | None = also(None, must_exist="scan")
    """A scan whose probe, photons and positions are taken; none takes the settings alone."""

    json: bool = False
    """Print JSON: all numbers."""

    picture: Path | None = None
    """Draw error and resolution against photons, for several overlaps, into this PNG."""
