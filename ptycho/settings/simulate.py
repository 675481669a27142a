"""The settings of simulating a scan."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ptycho.errors import ConfigError
from ptycho.physics import INTERACTIONS, PROPAGATORS
from ptycho.settings.base import also
from ptycho.settings.bounds import above_zero, at_least
from ptycho.settings.shared import ConsoleSettings, DryRunSettings, ProgressSettings
from ptycho.simulation import PICTURES, PROBES, SCAN_PATTERNS
from ptycho.simulation.presets import PRESETS


@dataclass(frozen=True, kw_only=True)
class SimulateSettings(ProgressSettings):
    """What is simulated."""

    kind: ClassVar[str] = "simulate"

    preset: str | None = also(None, choices=PRESETS, presets=PRESETS)
    """A set of values for the settings below; values given explicitly take precedence."""

    n_frames: int = 2000
    """Number of scan positions."""

    N: int = 64
    """Frame size in pixels."""

    scan: str = also("raster", choices=SCAN_PATTERNS)
    """Scan pattern: {choices}."""

    step: float = 4.0
    """Distance between neighboring positions in object pixels; along a row, if there are rows."""

    row_step: float | None = None
    """Distance between rows in object pixels; none takes the step."""

    jitter: float = 0.5
    """Random displacement of each position in object pixels (standard deviation)."""

    amplitude_image: str = also("camera", choices=PICTURES)
    """Picture from which the transmission amplitude of the sample is made."""

    phase_image: str = also("coins", choices=PICTURES)
    """Picture from which the phase of the sample is made."""

    min_amplitude: float = 0.5
    """Transmission amplitude of the darkest pixel; the brightest has 1, that of empty space."""

    phase_range: float = 2.0
    """Difference between largest and smallest phase of the sample in radians, centred at zero."""

    probe: str = also("disc", choices=PROBES)
    """Shape of the probe: {choices}."""

    probe_fwhm: float = 16.0
    """Full width of the probe at half of its maximum intensity in object pixels."""

    aperture: float = 0.15
    """Radius of the disc of a lens probe on the detector as a fraction of N."""

    modes: int = 1
    """Incoherent modes of the probe; each has 0.3 of the power of the one before."""

    photons: float = 1e5
    """Photons per frame through empty space."""

    noise: bool = True
    """Apply Poisson noise; without it, frames are expected intensities."""

    background: float = 0.0
    """Background photons per detector pixel, the same everywhere."""

    position_error: float = 0.0
    """Random error of the positions in the file in object pixels (standard deviation)."""

    interaction: str = also("thin", choices=INTERACTIONS)
    """How probe and sample make the exit wave: {choices}."""

    propagation: str = also("far", choices=PROPAGATORS)
    """From the exit wave to the detector: {choices}."""

    fresnel_number: float | None = None
    """Fresnel number of an object pixel for propagation near: pixel^2 / (wavelength * distance)."""

    blur: float = 0.0
    """Point spread of the detector in detector pixels (standard deviation)."""

    seed: int = also(0, aliases=["subsample_seed"])
    """Seed of all random numbers; the same seed gives the same scan."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "n_frames", "modes")
        at_least(self, 0, "jitter", "position_error", "background", "phase_range", "seed")
        at_least(self, 0, "blur")
        above_zero(self, "step", "row_step", "probe_fwhm", "photons", "fresnel_number")
        if self.N < 8 or self.N % 2:
            raise ConfigError(f"N: {self.N}; expected an even number, 8 or more")
        if not 0 < self.min_amplitude <= 1:
            raise ConfigError(f"min_amplitude: {self.min_amplitude}; expected above 0, at most 1")


@dataclass(frozen=True, kw_only=True)
class SimulateConfig(SimulateSettings, DryRunSettings, ConsoleSettings):
    """Simulate a scan with a known object and write it as a scan file."""

    output: Path = also(aliases=["output_file"])
    """The scan file to write, .npz; each preset has a default."""

    overwrite: bool = False
    """Replace the scan file if it exists."""
