"""The settings of writing the page of a run."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ptycho.settings.base import also
from ptycho.settings.shared import ConsoleSettings


@dataclass(frozen=True, kw_only=True)
class ReportConfig(ConsoleSettings):
    """Write the page of a run, report.html, from the files in its folder."""

    kind: ClassVar[str] = "report"

    folder: Path = also(must_exist="folder of a run")
    """Output folder of a training, a reconstruction or an evaluation; the run may still go on."""
