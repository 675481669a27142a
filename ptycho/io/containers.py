"""Kinds of files by their first bytes, and how the names of their entries are listed.

Data flow: [file] -> Recorded -> fields -> RawData -> ...
Several formats share a container (NPZ, HDF5, ...); the entries distinguish them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ptycho.io.npz import open_npz

LONGEST_MAGIC = 2048 + 8
"""Bytes at the beginning of a file that are read to recognise it; HDF5 may begin at 2048."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A kind of file or folder."""

    name: str
    """As users know it."""

    magic: tuple[bytes, ...] = ()
    """First bytes of its files, any of these."""

    offsets: tuple[int, ...] = (0,)
    """Bytes at which they may be."""

    suits: Callable[[Path, bytes], bool] | None = None
    """Tells files without first bytes of their own from others, by path and beginning; a folder
    has an empty beginning."""

    entries: Callable[[Path], frozenset[str]] | None = None
    """Lists the names of its entries without reading them, DataError when it is damaged; None
    where the first bytes alone name the format."""

    def holds(self, head: bytes, path: Path | None = None) -> bool:
        """Return whether a file that begins with these bytes is of this kind."""
        if any(head[place:].startswith(self.magic) for place in self.offsets if self.magic):
            return True
        return self.suits is not None and path is not None and self.suits(path, head)


def _npz_entries(path: Path) -> frozenset[str]:
    return frozenset(open_npz(path))


def _hdf5_entries(path: Path) -> frozenset[str]:
    from ptycho.io.hdf5 import entries

    return entries(path)


NPZ = Container(name="NPZ", magic=(b"PK\x03\x04", b"PK\x05\x06"), entries=_npz_entries)

HDF5 = Container(
    name="HDF5",
    magic=(b"\x89HDF\r\n\x1a\n",),
    offsets=(0, 512, 1024, 2048),
    entries=_hdf5_entries,
)
"""MATLAB 7.3 writes its own header first, so the signature may come later."""
