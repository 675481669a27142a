"""The settings of where scans come from: simulated, or imported from a file of another format.

As in `ptycho.settings.config`: frozen dataclasses, no behaviour.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ptycho.errors import ConfigError
from ptycho.settings.base import also
from ptycho.settings.config import ConsoleConfig, Measurement, above_zero, at_least
from ptycho.simulation.presets import PRESETS, Picture


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulateConfig(ConsoleConfig):
    """Simulate a scan with a known object and write it as a scan file."""

    output: Path = also(aliases=["output_file"])
    """The scan file to write, .npz; a preset names one of its own."""

    preset: Literal["demo", "fly001"] | None = also(None, presets=PRESETS)
    """A ready set of values for the settings below; those given explicitly win."""

    n_frames: int = 2000
    """Scan positions."""

    N: int = 64
    """Frame size in pixels."""

    scan: Literal["raster", "fly", "fermat"] = "raster"
    """Path of the probe: row by row, a continuous sweep to and fro, or a spiral."""

    step: float = 4.0
    """Distance of neighbouring positions in object pixels; along a row, if there are rows."""

    row_step: float | None = None
    """Distance of rows in object pixels; none takes the step."""

    jitter: float = 0.5
    """Random displacement of each position in object pixels (standard deviation)."""

    amplitude_image: Picture = "camera"
    """Picture the transmission of the sample is made from."""

    phase_image: Picture = "coins"
    """Picture the phase of the sample is made from."""

    min_amplitude: float = 0.5
    """Transmission amplitude of the darkest pixel; the brightest has 1, empty space."""

    phase_range: float = 2.0
    """Difference of largest and smallest phase of the sample, radians; zero lies in the middle."""

    probe: Literal["disc", "lens", "gaussian"] = "disc"
    """Shape of the probe: a defocused disc, the beam of a lens far out of focus, a Gaussian."""

    probe_fwhm: float = 16.0
    """Full width of the probe at half its maximum intensity, object pixels."""

    aperture: float = 0.15
    """Radius of the disc that a lens probe throws on the detector, as a share of N."""

    modes: int = 1
    """Incoherent modes of the probe; each has 0.3 of the power of the one before."""

    photons: float = 1e5
    """Photons per frame through empty space."""

    noise: bool = True
    """Count whole photons (Poisson); without, frames are expected intensities."""

    background: float = 0.0
    """Further photons per detector pixel, the same everywhere."""

    position_error: float = 0.0
    """Random error of the positions the file tells, in object pixels (standard deviation)."""

    seed: int = also(0, aliases=["subsample_seed"])
    """Start of every random choice; the same seed gives the same scan."""

    dry_run: bool = False
    """Tell what would happen and how long it would take, having tried a small part; write nothing.
    """

    def __post_init__(self) -> None:
        ConsoleConfig.__post_init__(self)
        at_least(self, 1, "n_frames", "modes")
        at_least(self, 0, "jitter", "position_error", "background", "phase_range", "seed")
        above_zero(self, "step", "row_step", "probe_fwhm", "photons")
        if self.N < 8 or self.N % 2:
            raise ConfigError(f"N: {self.N}; expected an even number, 8 or more")
        if not 0 < self.min_amplitude <= 1:
            raise ConfigError(f"min_amplitude: {self.min_amplitude}; expected above 0, at most 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportConfig(ConsoleConfig):
    """Read a scan of any known format and write it as a scan file."""

    source: Path = also(must_exist="scan")
    """The file to read; `docs/FILE_FORMATS.md` lists the formats."""

    output: Path = also(aliases=["output_file"])
    """The scan file to write, .npz."""

    measurement: Measurement | None = None
    """What the frames of the source are; none believes the file."""

    mask: Path | None = also(None, must_exist="mask")
    """Which detector pixels are good: an array (N, N) in .npy or .npz, True or 1 on good ones; none
    believes the source."""

    pixel_size_m: float | None = None
    """Side of an object pixel in metres, where the source does not tell it."""

    def __post_init__(self) -> None:
        ConsoleConfig.__post_init__(self)
        above_zero(self, "pixel_size_m")
