"""The settings of exporting a reconstruction to another program."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ptycho.settings.base import also
from ptycho.settings.bounds import above_zero
from ptycho.settings.shared import ConsoleSettings


@dataclass(frozen=True, kw_only=True)
class ExportConfig(ConsoleSettings):
    """Write object, probe and positions of a reconstruction as a file of another program."""

    kind: ClassVar[str] = "export"

    reconstruction: Path = also(must_exist="reconstruction")
    """Output folder of a reconstruction, or its reconstruction.npz."""

    output: Path | None = also(None, aliases=["output_file"], unnamed=True)
    """The file to write; none writes reconstruction with the ending of the format into the folder
    of the reconstruction."""

    to: str | None = None
    """Format to write: cxi, ptychodus, ptyr, tiff, mat or ptychi, with --test_data also nexus and
    npz; none takes the one with the ending of the output."""

    overwrite: bool = False
    """Replace the output if it exists."""

    test_data: Path | None = also(None, must_exist="scan")
    """The scan it was made from: its frames, mask and geometry are written as well."""

    object_pixel_nm: float | None = None
    """Side of an object pixel in nanometres; none takes it from the reconstruction."""

    energy_kev: float | None = None
    """Energy of the photons; none takes it from the scan."""

    distance_m: float | None = None
    """From sample to detector in metres; none takes it from the scan."""

    detector_pixel_um: float | None = None
    """Side of a detector pixel in micrometres; none takes it from the scan."""

    def __post_init__(self) -> None:
        super().__post_init__()
        above_zero(self, "object_pixel_nm", "energy_kev", "distance_m", "detector_pixel_um")
