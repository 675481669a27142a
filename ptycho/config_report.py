"""The settings of the page of a run, and of the viewer of many.

As in `ptycho.config`: a frozen dataclass, no behaviour.
"""

from dataclasses import dataclass
from pathlib import Path

from ptycho.config import ConsoleConfig, _at_least, _at_most
from ptycho.settings import also


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
        _at_least(self, 0, "port")
        _at_most(self, 65535, "port")
