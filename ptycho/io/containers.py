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


def _mat5_entries(path: Path) -> frozenset[str]:
    from ptycho.io.readers.matlab_variables import names_5

    return names_5(path)


def _is_emd(path: Path, head: bytes) -> bool:
    """Return whether an HDF5 file calls itself EMD, whatever the name of its root."""
    if not head.startswith(HDF5.magic) or path.is_dir():
        return False
    from ptycho.io.hdf5 import Hdf5File

    with Hdf5File(path) as file:
        return file.attribute("/", "version_major") is not None


def _is_empad(path: Path, head: bytes) -> bool:
    from ptycho.io.readers.empad import suits

    return suits(path, head)


def _is_dm(path: Path, head: bytes) -> bool:
    """Return whether a file begins as .dm3 or .dm4 do: version, size, byte order 0 or 1."""
    place = {b"\0\0\0\3": 8, b"\0\0\0\4": 12}.get(head[:4])
    return place is not None and head[place : place + 4] in (b"\0\0\0\0", b"\0\0\0\1")


def _is_text(path: Path, head: bytes) -> bool:
    from ptycho.io.readers.text_positions import suits

    return suits(path, head)


def _is_zarr(path: Path, head: bytes) -> bool:
    marks = (".zgroup", ".zarray", ".zmetadata", "zarr.json")
    return not head and path.is_dir() and any((path / mark).is_file() for mark in marks)


def _is_tiff_folder(path: Path, head: bytes) -> bool:
    """Return whether a path is a folder with TIFF files in it."""
    endings = (".tif", ".tiff")
    return not head and path.is_dir() and any(f.suffix.lower() in endings for f in path.iterdir())


NPZ = Container(name="NPZ", magic=(b"PK\x03\x04", b"PK\x05\x06"), entries=_npz_entries)

HDF5 = Container(
    name="HDF5",
    magic=(b"\x89HDF\r\n\x1a\n",),
    offsets=(0, 512, 1024, 2048),
    entries=_hdf5_entries,
)
"""MATLAB 7.3 writes its own header first, so the signature may come later."""

EMD = Container(name="EMD", suits=_is_emd, entries=_hdf5_entries)
"""HDF5 with any name for its root; the attribute `version_major` of the file identifies it."""

MAT73 = Container(name="MATLAB 7.3", magic=(b"MATLAB 7.3 MAT-file",), entries=_hdf5_entries)

MAT5 = Container(name="MATLAB 5", magic=(b"MATLAB 5.0 MAT-file",), entries=_mat5_entries)

NPY = Container(name="NPY", magic=(b"\x93NUMPY",))

TIFF = Container(name="TIFF", magic=(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"))

TIFF_FOLDER = Container(name="folder of TIFF files", suits=_is_tiff_folder)

MRC = Container(name="MRC", magic=(b"MAP ", b"MAP\0"), offsets=(208,))

MIB = Container(name="Merlin", magic=(b"MQ1,", b"HDR,"))

DM = Container(name="DigitalMicrograph", suits=_is_dm)

BLO = Container(name="blockfile", magic=(b"IMGBLO",))

EMPAD = Container(name="EMPAD", suits=_is_empad)
"""Without first bytes: an .xml, or the name, together with the size of the file."""

TEXT = Container(name="text", suits=_is_text)

ZARR = Container(name="Zarr", suits=_is_zarr)
