"""The settings of comparing a reconstruction with a known object or with another one."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from ptycho.settings.base import also
from ptycho.settings.shared import (
    ConsoleSettings,
    PageSettings,
    ProgressSettings,
    ScanFileSettings,
)


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings(ProgressSettings):
    """How the objects are compared."""

    kind: ClassVar[str] = "evaluate"

    twin: bool = False
    """Try the complex conjugate and the conjugate rotated by 180 degrees as well, which a wrong
    sign of the positions or of the detector axes produces; the best match is measured."""

    metrics: Literal["standard", "ptychopinn-legacy"] = "standard"
    """ptychopinn-legacy adds the metrics as published with PtychoPINN, for comparison with those
    tables only."""


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(EvaluateSettings, ScanFileSettings, PageSettings, ConsoleSettings):
    """Compare a reconstruction with a known object, another reconstruction, or its frames.

    A scan from which the reconstruction was made is read as its run read it, unless a flag says
    otherwise. With both a scan and a truth in another file, the flags are about the scan.
    """

    reconstruction: Path = also(must_exist="reconstruction")
    """Output folder of a reconstruction, or its reconstruction.npz."""

    truth: Path | None = also(None, must_exist="scan or reconstruction", unnamed=True)
    """A scan file with its true object, or another reconstruction. A reconstruction from the other
    half of the frames gives the resolution without a ground truth."""

    test_data: Path | None = also(None, must_exist="scan")
    """The scan it was made from: its frames are compared with those predicted by the object."""

    output_dir: Path | None = None
    """Folder of metrics and figures; none takes the folder of the reconstruction."""
