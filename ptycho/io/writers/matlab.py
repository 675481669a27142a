"""MATLAB 5 files with the variables of PtychoShelves.

Data flow: Content -> [.mat file].
Layout: `object` (row, col), `probe` (row, col, mode), `outputs.probe_positions` (M, 2) as (x, y)
in object pixels, `outputs.fourier_error_out` of no iteration, `p.dx_spec`, `p.lambda`, `p.z`,
`p.ds` in metres where known, frames as `dp` (row, col, frame), `mask` true on valid pixels. A
position is an offset of the window counted from 1: its first row, counted from 0, is y + ceil((H
- N) / 2) - 1.

The frames are appended one after the other: MATLAB stores the last axis slowest.

Source: MAT-File Format, The MathWorks, chapter 1 (level 5); PtychoShelves, Wakonig et al., J. Appl.
Cryst. 53, 574 (2020).
"""

import struct
from pathlib import Path
from typing import IO

import numpy as np
import scipy.io
from jaxtyping import Float

from ptycho.errors import DataError
from ptycho.io.fields import blocks
from ptycho.io.writers.content import Content, Writer

_MATRIX, _INT8, _INT32, _UINT32 = 14, 1, 5, 6
_TYPES = {
    # NumPy -> class of a MATLAB array, type of its stored values.
    "f8": (6, 9), "f4": (7, 7), "i1": (8, 1), "u1": (9, 2), "i2": (10, 3), "u2": (11, 4),
    "i4": (12, 5), "u4": (13, 6), "i8": (14, 12), "u8": (15, 13),
}  # fmt: skip
_MOST_BYTES = 2**31 - 2**16  # of one variable


def write(content: Content, path: Path) -> None:
    """Write a scan or a reconstruction; see the module for the layout.

    Raises:
        DataError: If the frames are larger than a variable of such a file may be.
    """
    if (frames := content.intensities) is not None:
        n_bytes = int(np.prod(frames.shape)) * frames.dtype.itemsize
        if n_bytes > _MOST_BYTES:
            raise DataError(
                f"{content.source}: frames of {n_bytes / 1e9:.1f} GB; expected at most 2.1 GB, the "
                "largest variable of a MATLAB 5 file; take --to cxi, which MATLAB reads by h5read"
            )
    variables = {
        "object": content.obj,
        "probe": np.moveaxis(content.probe, 0, -1),
        # Without its errors, ptychodus opens no reconstruction.
        "outputs": {
            "probe_positions": offsets(content)[:, ::-1],
            "fourier_error_out": np.zeros(0),
        },
        "p": _parameters(content),
        "mask": content.mask,
        "scan_index": content.scan_index,
        "frame_numbers": content.frame_numbers,
    }
    known = {name: value for name, value in variables.items() if value is not None}
    with path.open("xb") as file:
        scipy.io.savemat(file, known)
        if content.frames is not None:
            _append_frames(file, content)


def offsets(content: Content) -> Float[np.ndarray, "position 2"]:
    """Return positions (row, col) as PtychoShelves counts them, object pixels."""
    origin, shape = content.canvas()
    size = content.probe.shape[-1]
    first = content.positions - origin - size // 2
    return first - [-((size - n) // 2) for n in shape] + 1


def _parameters(content: Content) -> dict[str, object]:
    pixel, geometry, energy = content.pixel_size_m, content.geometry, content.photon_energy_ev
    _, shape = content.canvas()
    size = content.probe.shape[-1]
    values = {
        "dx_spec": None if pixel is None else np.array([[pixel, pixel]]),
        "lambda": geometry.wavelength_m,
        "z": geometry.distance_m,
        "ds": geometry.detector_pixel_m,
        "energy": None if energy is None else energy / 1e3,
        "asize": np.array([[size, size]], float),
        "object_size": np.array([shape], float),
    }
    return {name: value for name, value in values.items() if value is not None}


def _append_frames(file: IO[bytes], content: Content) -> None:
    """Append the variable `dp` (row, col, frame), some frames at a time."""
    frames = content.intensities
    assert frames is not None
    n, rows, cols = frames.shape
    kind = frames.dtype.newbyteorder("<")
    plain = np.dtype(np.uint8) if kind.kind == "b" else kind
    if plain.str[1:] not in _TYPES:
        plain = np.dtype("<f4")  # half precision
    matlab_class, stored = _TYPES[plain.str[1:]]
    n_bytes = n * rows * cols * plain.itemsize
    padding = -n_bytes % 8
    header = (
        struct.pack("<IIII", _UINT32, 8, matlab_class, 0)
        + struct.pack("<IIiiii", _INT32, 12, rows, cols, n, 0)
        + struct.pack("<HH4s", _INT8, 2, b"dp\0\0")
        + struct.pack("<II", stored, n_bytes)
    )
    file.write(struct.pack("<II", _MATRIX, len(header) + n_bytes + padding) + header)
    for block in blocks(frames):
        file.write(np.ascontiguousarray(np.swapaxes(block, 1, 2), dtype=plain).tobytes())
    file.write(bytes(padding))


MAT = Writer(
    endings=(".mat",),
    holds=frozenset(
        {"frames", "positions", "probe", "object", "mask", "pixel size", "wavelength", "distance",
         "detector pixel", "scan_index", "frame numbers"}
    ),
    write=write,
)  # fmt: skip
