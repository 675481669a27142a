"""NanoMegas blockfile (.blo): 8-bit diffraction patterns of a raster.

Data flow: [file] -> Recorded -> fields -> RawData -> ...

Layout, little-endian: `IMGBLO`, then at byte 12 the offset of the patterns, at 20 their side, at 24
and 26 the columns and rows of the scan, at 30 and 38 its steps (nm), at 46 the beam energy (V).
Each pattern follows a header of 6 bytes, AA 55 and its number.
"""

import struct
from pathlib import Path

from ptycho.errors import DataError
from ptycho.experiment import Geometry, electron_wavelength
from ptycho.io.readers.stacks import Layout, records
from ptycho.io.recorded import Recorded

_HEADER = struct.Struct("<6sHIIIHHHHHddI")


def read(path: Path) -> Recorded:
    """Return the patterns of a blockfile.

    Raises:
        DataError: If it is cut short.
    """
    with path.open("rb") as file:
        head = file.read(_HEADER.size)
    if len(head) < _HEADER.size:
        raise DataError(f"{path}: {len(head)} bytes; expected the header of a blockfile")
    _, _, _, begin, _, side, _, columns, rows, _, step_x, step_y, volts = _HEADER.unpack(head)
    if 0 in (side, columns, rows):
        raise DataError(
            f"{path}: {rows} x {columns} patterns of {side} pixels; expected at least one"
        )
    layout = Layout(frame=(side, side), dtype="|u1", begin=begin, header=6)
    steps = (step_y * 1e-9, step_x * 1e-9)
    known = 1e3 <= volts <= 3e6
    return Recorded(
        source="blockfile",
        frames=records(path, layout, rows * columns),
        measurement="intensity",
        raster=(rows, columns),
        raster_step_m=steps if min(steps) > 0 else None,
        geometry=Geometry(wavelength_m=electron_wavelength(volts) if known else None),
        notes=("8-bit values of a camera, scaled and cut at 255: read as intensity, not counts",),
    )
