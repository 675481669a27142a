"""The table of formats that are written, and the choice of one by the name of a file.

Data flow: RawData or reconstruction -> Content -> [file of another program].
A format is one row: a `Writer` that states what its files hold. It is imported when it is used.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from ptycho.errors import ConfigError
from ptycho.tables import Row, Table

if TYPE_CHECKING:
    from ptycho.io.writers.content import Writer

__all__ = ["WRITERS", "format_for"]

WRITERS: "Table[Writer]" = Table(
    "to",
    {
        "npz": Row("ptycho.io.writers.native:NPZ", "the NPZ of ptycho, which holds everything"),
        "cxi": Row("ptycho.io.writers.cxi:CXI", "CXI 1.6 for cdtools and ptychodus"),
        "ptychodus": Row(
            "ptycho.io.writers.ptychodus:PTYCHODUS",
            "HDF5 product of ptychodus, frames in a second file NAME_diffraction.h5",
        ),
        "ptyr": Row("ptycho.io.writers.ptyr:PTYR", "object, probe and positions as ptypy saves"),
        "nexus": Row("ptycho.io.writers.nexus:NEXUS", "NeXus, application NXcxi_ptycho"),
        "tiff": Row(
            "ptycho.io.writers.tiff:TIFF",
            "amplitude and phase of the object for ImageJ; OME-TIFF if NAME ends in .ome.tif",
        ),
        "mat": Row("ptycho.io.writers.matlab:MAT", "MATLAB 5 with the names of PtychoShelves"),
        "ptychi": Row("ptycho.io.writers.ptychi:PTYCHI", "NPZ of arrays with the names of pty-chi"),
    },
)
"""Formats that are written, by name."""


def format_for(path: Path, to: str | None = None) -> str:
    """Return the name of the format in which a file is to be written.

    Args:
        path: the file.
        to: a row of `WRITERS`; None takes the one with the ending of the file.

    Raises:
        ConfigError: If there is no such row, or none for the ending.
    """
    if to is not None:
        WRITERS.find(to)
        return to
    name = path.name.lower()
    fitting = {
        ending: row
        for row in reversed(list(WRITERS))  # of rows with the same ending the first wins
        for ending in WRITERS[row].endings
        if name.endswith(ending)
    }
    if fitting:
        return fitting[max(fitting, key=len)]
    known = ", ".join(f"{row} ({' '.join(WRITERS[row].endings)})" for row in WRITERS)
    raise ConfigError(f"output: {path.name} has no known ending; expected {known}, or --to FORMAT")
