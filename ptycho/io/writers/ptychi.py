"""Arrays of a task of pty-chi, which has no file format, in an NPZ.

Data flow: Content -> [NPZ].
Layout: `data` (M, N, N) as intensities, zero frequency in the middle (`fft_shift` true),
`probe_position_x_px`, `probe_position_y_px` in object pixels: the centre of the window of a
frame, at (N - 1) / 2, from the origin that pty-chi derives from the object by default
(`SUPPORT`), n / 2 rounded to even, minus 0.5; `probe` (1, mode, N, N), `object` (1, H, W) if
there is one, else `object_shape`; `valid_pixel_mask` True on valid pixels; `wavelength_m`,
`free_space_propagation_distance_m`, `detector_pixel_size_m`, `pixel_size_m` where known.
"""

from pathlib import Path

import numpy as np

from ptycho.io.npz import write_npz
from ptycho.io.writers.content import Content, Writer


def write(content: Content, path: Path) -> None:
    """Write a scan or a reconstruction; see the module for the layout."""
    about = content.positions_about(lambda n: round(n / 2) - 0.5, lambda n: (n - 1) / 2)
    geometry, (_, shape) = content.geometry, content.canvas()
    arrays = {
        "data": content.intensities,
        "probe_position_x_px": about[:, 1],
        "probe_position_y_px": about[:, 0],
        "probe": content.probe[None],
        "object": None if content.obj is None else content.obj[None],
        "object_shape": np.array([1, *shape]) if content.obj is None else None,
        "valid_pixel_mask": content.mask,
        "wavelength_m": geometry.wavelength_m,
        "free_space_propagation_distance_m": geometry.distance_m,
        "detector_pixel_size_m": geometry.detector_pixel_m,
        "pixel_size_m": content.pixel_size_m,
        "frame_numbers": content.frame_numbers,
    }
    write_npz(path, {name: array for name, array in arrays.items() if array is not None})


PTYCHI = Writer(
    endings=(".npz",),
    by_ending=False,
    holds=frozenset(
        {"frames", "positions", "probe", "object", "mask", "pixel size", "wavelength", "distance",
         "detector pixel", "frame numbers"}
    ),
    write=write,
)  # fmt: skip
