"""The settings of converting a scan into the format of another program."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ptycho.settings.base import also
from ptycho.settings.shared import ConsoleSettings, ScanFileSettings


@dataclass(frozen=True, kw_only=True)
class ConvertConfig(ScanFileSettings, ConsoleSettings):
    """Read a scan of any known format and write it as a file of another program."""

    kind: ClassVar[str] = "convert"

    source: Path = also(must_exist="scan")
    """The file to read; `docs/FILE_FORMATS.md` lists the formats."""

    output: Path = also(aliases=["output_file"])
    """The file to write."""

    to: str | None = None
    """Format to write: npz, cxi, ptychodus, ptyr, nexus, tiff, mat or ptychi; none takes the one
    with the ending of the output: .npz, .cxi, .h5, .ptyr, .nxs, .tif, .mat."""

    overwrite: bool = False
    """Replace the output if it exists."""
