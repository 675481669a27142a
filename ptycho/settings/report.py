"""The settings of looking at results: numbers, the page of a run, the viewer of many.

As in `ptycho.settings.config`: a frozen dataclass, no behaviour.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ptycho.settings.base import also
from ptycho.settings.config import ConsoleConfig, at_least, at_most


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateConfig(ConsoleConfig):
    """Compare a reconstruction with a known object, or with another reconstruction."""

    reconstruction: Path = also(must_exist="reconstruction")
    """Output folder of a reconstruction, or its reconstruction.npz."""

    truth: Path | None = also(None, must_exist="scan or reconstruction", unnamed=True)
    """A scan file that holds its true object, or another reconstruction; of the other half of the
    frames, if the two are to tell the resolution without a truth."""

    test_data: Path | None = also(None, must_exist="scan")
    """The scan it was made from: its frames are compared with those the object predicts."""

    twin: bool = False
    """Also try the conjugate and the object turned by 180 degrees and conjugated, which a wrong
    sign of the positions or of the detector makes; the best one is measured."""

    metrics: Literal["standard", "ptychopinn-legacy"] = "standard"
    """ptychopinn-legacy adds the numbers as published with PtychoPINN, for its tables only."""

    output_dir: Path | None = None
    """Folder for the numbers and figures; none takes the folder of the reconstruction."""

    report: bool = True
    """Leave a page of the run, report.html, in the output folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportConfig(ConsoleConfig):
    """Make the page of a run, report.html, from what the run has left in its folder."""

    folder: Path = also(must_exist="folder of a run")
    """Output folder of a training, a reconstruction, an evaluation; the run may still go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewConfig(ConsoleConfig):
    """Look at the runs below a folder in a browser: list, open, compare, watch. Reads only."""

    folder: Path = also(must_exist="folder of runs")
    """Looked through, four folders deep; links are not followed."""

    port: int = 5010
    """On this machine only, at 127.0.0.1; 0 takes a free one. From afar: ssh -L 5010:127.0.0.1:5010
    """

    open: bool = True
    """Open the browser."""

    def __post_init__(self) -> None:
        ConsoleConfig.__post_init__(self)
        at_least(self, 0, "port")
        at_most(self, 65535, "port")
