"""The settings of managing groups caches."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from ptycho.settings.base import also
from ptycho.settings.shared import ConsoleSettings


@dataclass(frozen=True, kw_only=True)
class CacheConfig(ConsoleSettings):
    """List, verify or remove the files that hold the groups of scans."""

    kind: ClassVar[str] = "cache"

    action: Literal["list", "verify", "clear"] = also()
    """list prints them, verify reads each and compares it with its scan, clear removes them."""

    folder: Path = also(Path("."), must_exist="folder of scans, or a scan")
    """Folder of scans, or one scan file."""
