"""MRC stacks: frames of an electron detector one after the other; needs `mrcfile`.

Data flow: [file] -> Recorded -> fields -> RawData -> ...

Layout: a header of 1024 bytes with `MAP ` at byte 208, an extended header of `nsymbt` bytes, then
nz frames of ny rows x nx columns. Modes 0 (int8), 1 (int16), 2 (float32), 6 (uint16), 12 (float16).
Frames are as stored. The raster is not in the file.
"""

from pathlib import Path

import numpy as np

from ptycho.errors import DataError
from ptycho.io.readers.stacks import Layout, records
from ptycho.io.recorded import Recorded


def read(path: Path) -> Recorded:
    """Return the frames of an MRC stack.

    Raises:
        DataError: If `mrcfile` is missing, or the file is damaged or holds no real numbers.
    """
    try:
        import mrcfile
    except ImportError:
        raise DataError(
            f"{path}: MRC file, but mrcfile is not installed; expected: pip install 'ptycho[em]'"
        ) from None
    try:
        with mrcfile.open(path, mode="r", header_only=True, permissive=True) as file:
            header = file.header
            if header is None:
                raise ValueError("no header")
            dtype = mrcfile.utils.data_dtype_from_header(header)
            shape = tuple(int(header[key]) for key in ("nz", "ny", "nx"))
            begin = 1024 + int(header.nsymbt)
    except (ValueError, OSError) as problem:
        text = " ".join(str(problem).split())[:200]
        raise DataError(f"{path}: {text}; expected a complete MRC file") from None
    if np.dtype(dtype).kind not in "iuf" or min(shape) < 1 or begin < 1024:
        raise DataError(
            f"{path}: {shape[0]} frames of {shape[1]} x {shape[2]} values of type {dtype}; "
            "expected a stack of real numbers"
        )
    layout = Layout(frame=shape[1:], dtype=np.dtype(dtype).str, begin=begin)
    return Recorded(source="MRC", frames=records(path, layout, shape[0]))
