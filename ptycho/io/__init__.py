"""Scan files of any known format: `read_fields` in, `write_fields` out.

Data flow: [file] -> fields -> RawData -> groups -> batches -> ... -> report.
`format_table` lists the known formats, `readers` reads them. Every reader returns what its file
states as `Recorded`; `assemble` turns it into `ScanFields`: positions in object pixels, zero
frequency at N//2, frames tagged as counts, intensity or amplitude. Nothing outside this package
opens a scan file; `RawData.from_file` is the usual way to read one.
"""

from ptycho.io.array_file import read_mask
from ptycho.io.containers import HDF5, NPZ, Container
from ptycho.io.fields import FrameStack, LazyFrames, ScanFields
from ptycho.io.format_table import FORMATS, Format
from ptycho.io.formats import entries_of, read_fields, recognise, write_fields
from ptycho.io.measurement import MEASUREMENTS, Measurement
from ptycho.io.reading import MappedEntry, Reading
from ptycho.io.recorded import Recorded

__all__ = [
    "FORMATS",
    "HDF5",
    "MEASUREMENTS",
    "NPZ",
    "Container",
    "Format",
    "FrameStack",
    "LazyFrames",
    "MappedEntry",
    "Measurement",
    "Reading",
    "Recorded",
    "ScanFields",
    "entries_of",
    "read_fields",
    "read_mask",
    "recognise",
    "write_fields",
]
