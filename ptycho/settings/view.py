"""The settings of the viewer of many runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ptycho.settings.base import also
from ptycho.settings.bounds import at_least, at_most
from ptycho.settings.shared import ConsoleSettings


@dataclass(frozen=True, kw_only=True)
class ViewConfig(ConsoleSettings):
    """Show the runs below a folder in a browser: list, open, compare, follow. Reads only."""

    kind: ClassVar[str] = "view"

    folder: Path = also(must_exist="folder of runs")
    """Folder to search, four levels deep; links are not followed."""

    port: int = 5010
    """Port at 127.0.0.1, reachable from this machine only; 0 takes a free one. From another
    machine: ssh -L 5010:127.0.0.1:5010"""

    open: bool = True
    """Open the browser."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 0, "port")
        at_most(self, 65535, "port")
