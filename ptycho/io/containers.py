"""Kinds of files by their first bytes, and how the names of their entries are listed.

Data flow: [file] -> fields -> RawData -> ...
Several formats share a container (NPZ, HDF5, ...); the entries distinguish them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ptycho.io.npz import open_npz

LONGEST_MAGIC = 512
"""Bytes at the beginning of a file that are read to recognise it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A kind of file."""

    name: str
    """As users know it."""

    magic: tuple[bytes, ...]
    """First bytes of its files, any of these."""

    entries: Callable[[Path], frozenset[str]] | None = None
    """Lists the names of its entries without reading them, DataError when it is damaged; None
    where the first bytes alone name the format."""

    def holds(self, head: bytes) -> bool:
        """Return whether a file that begins with these bytes is of this kind."""
        return head.startswith(self.magic)


def _npz_entries(path: Path) -> frozenset[str]:
    return frozenset(open_npz(path))


NPZ = Container(name="NPZ", magic=(b"PK\x03\x04", b"PK\x05\x06"), entries=_npz_entries)
