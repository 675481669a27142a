"""Reconstructions of PtyREX (Diamond): the probe, and the size of an object pixel.

Data flow: [file] -> Recorded -> fields -> RawData -> groups -> ...
`/entry_1/process_1/output_1/{object, probe}_{modulus, phase}` are 7-D with (rows, columns) last,
`/entry_1/process_1/common_1/dx` is (y, x) in metres. The file does not relate object and
positions, so it serves to start from its probe, with frames and positions of another file.

Source: files of PtyREX as PtyPy's users convert them, by reading.
"""

from pathlib import Path

import numpy as np

from ptycho.errors import DataError
from ptycho.io.hdf5 import Hdf5File
from ptycho.io.readers.products import modes_of
from ptycho.io.readers.quantities import length_m, numbers
from ptycho.io.recorded import Recorded

_OUTPUT = "entry_1/process_1/output_1"


def read(path: Path) -> Recorded:
    """Return the probe of a reconstruction.

    Raises:
        DataError: If the file is damaged, or modulus and phase differ in shape.
    """
    with Hdf5File(path) as file:
        modulus, phase = (numbers(file, f"{_OUTPUT}/probe_{part}") for part in ("modulus", "phase"))
        if modulus is None or phase is None or modulus.shape != phase.shape:
            raise DataError(
                f"{path}: {_OUTPUT}: probe_modulus and probe_phase are missing or differ in shape; "
                "expected both, of one shape"
            )
        probe = (modulus * np.exp(1j * phase)).reshape(-1, *modulus.shape[-2:])
        return Recorded(
            source="PtyREX reconstruction",
            probe=modes_of(path, probe),
            object_pixel_m=length_m(file, "entry_1/process_1/common_1/dx"),
            notes=("the object is not read: the file does not relate it to positions",),
        )
