"""Scan files of any known format: `read_fields` in, `write_fields` out.

Data flow: [file] -> fields -> RawData -> groups -> batches -> ... -> report.
`formats` is the table of known formats; each other module reads one of them. Every reader returns
the same `ScanFields`: positions in object pixels, zero frequency at N//2, frames tagged as counts,
intensity or amplitude. Nothing outside this package opens a scan file; `RawData.from_file` is the
usual way to read one.
"""

from ptycho.io.containers import NPZ, Container
from ptycho.io.fields import FrameStack, LazyFrames, ScanFields
from ptycho.io.formats import (
    FORMATS,
    Format,
    entries_of,
    read_fields,
    recognise,
    write_fields,
)
from ptycho.io.mask import read_mask
from ptycho.io.measurement import MEASUREMENTS, Measurement

__all__ = [
    "FORMATS",
    "MEASUREMENTS",
    "NPZ",
    "Container",
    "Format",
    "FrameStack",
    "LazyFrames",
    "Measurement",
    "ScanFields",
    "entries_of",
    "read_fields",
    "read_mask",
    "recognise",
    "write_fields",
]
