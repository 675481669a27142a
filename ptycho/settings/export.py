"""The settings of exporting a reconstruction to another program."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ptycho.settings.base import also
from ptycho.settings.shared import ConsoleSettings, ScanFileSettings


@dataclass(frozen=True, kw_only=True)
class ExportConfig(ScanFileSettings, ConsoleSettings):
    """Write object, probe and positions of a reconstruction as a file of another program.

    A scan from which the reconstruction was made is read as its run read it, unless a flag says
    otherwise. Without a scan, the flags of wavelength, distance and pixels are those to write.
    """

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
