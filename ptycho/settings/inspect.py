"""The settings of inspecting scan files."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ptycho.settings.base import also
from ptycho.settings.shared import ConsoleSettings, ScanFileSettings


@dataclass(frozen=True, kw_only=True)
class InspectConfig(ScanFileSettings, ConsoleSettings):
    """Report what scan files hold, and what is wrong with them, before anything is computed."""

    kind: ClassVar[str] = "inspect"

    files: str = also(many=0, must_exist="scan file")
    """The scan files. Files that hold parts of one scan, frames in some and positions in another,
    are inspected together."""

    trial: bool = True
    """Reconstruct a few frames for seconds, in the orientation read and, if that does not explain
    the frames, in others."""

    json: bool = False
    """Print JSON: numbers and findings of each scan."""

    picture: Path | None = None
    """Draw mean frame, positions, photons of each frame and probe into this PNG."""

    write_mask: Path | None = None
    """Write the proposed mask, True on valid pixels, into this .npy."""
