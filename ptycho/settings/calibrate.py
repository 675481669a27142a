"""The settings of calibrating a scan."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ptycho.errors import ConfigError
from ptycho.settings.base import also
from ptycho.settings.shared import ConsoleSettings, ScanFileSettings


@dataclass(frozen=True, kw_only=True)
class CalibrateConfig(ScanFileSettings, ConsoleSettings):
    """Find from the frames how a scan is to be read, and what is to be refined."""

    kind: ClassVar[str] = "calibrate"

    source: Path = also(must_exist="scan")
    """The scan."""

    output: Path | None = also(None, aliases=["output_file"])
    """File of the calibration, .npz, for `ptycho reconstruct --calibration`; none writes none."""

    full: bool = False
    """Try all readings of orientation and probe, even if the one of the file fits."""

    json: bool = False
    """Print JSON: what was found, and the evidence."""

    picture: Path | None = None
    """Draw the score of each reading and each nuisance parameter into this PNG."""

    overwrite: bool = False
    """Replace the output and the picture if they exist."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, ending in (("output", ".npz"), ("picture", ".png")):
            path = getattr(self, name)
            if path is not None and path.suffix.lower() != ending:
                raise ConfigError(f"{name}: {path}; expected a name that ends in {ending}")
            if path is not None and path.exists() and not self.overwrite:
                raise ConfigError(f"{name}: {path} exists; expected a new name, or --overwrite")
