"""The settings of importing a scan from a file of another format."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ptycho.settings.base import also
from ptycho.settings.bounds import above_zero
from ptycho.settings.shared import ConsoleSettings, ScanFileSettings


@dataclass(frozen=True, kw_only=True)
class ImportConfig(ScanFileSettings, ConsoleSettings):
    """Read a scan of any known format and write it as a scan file."""

    kind: ClassVar[str] = "import"

    source: Path = also(must_exist="scan")
    """The file to read; `docs/FILE_FORMATS.md` lists the formats."""

    output: Path = also(aliases=["output_file"])
    """The scan file to write, .npz."""

    overwrite: bool = False
    """Replace the scan file if it exists."""

    pixel_size_m: float | None = None
    """Size of an object pixel in metres, if the source does not hold it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        above_zero(self, "pixel_size_m")
