"""The settings of the page of a run.

As in `ptycho.config`: a frozen dataclass, no behaviour.
"""

from dataclasses import dataclass
from pathlib import Path

from ptycho.config import ConsoleConfig
from ptycho.settings import also


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportConfig(ConsoleConfig):
    """Make the page of a run, report.html, from what the run has left in its folder."""

    folder: Path = also(must_exist="folder of a run")
    """Output folder of a training, a reconstruction, an evaluation; the run may still go on."""
