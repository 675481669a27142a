"""Files of ptychodus: diffraction data, products, and training data, as HDF5 and as NPZ.

Data flow: [file] -> Recorded -> fields -> RawData -> groups -> ...

| entry | file | shape | meaning |
|---|---|---|---|
| `patterns` | diffraction, training | (M, H, W) | counts or intensity as collected |
| `indexes` | diffraction | (M,) | frame numbers, which join the two files |
| `bad_pixels` | diffraction, training | (H, W) | True on bad pixels |
| `probe_position_{y, x}_m`, `probe_position_indexes` | product | (P,) | m; frame number |
| `probe_position_{y, x}_px` | training | (M,) | index in the object |
| `probe` | | (opr, mode, H, W) or (mode, H, W) | complex |
| `object` | | (layer, H, W) or (H, W) | complex |

The centre of the object, and of the window whose position is stated, is at index (n - 1) / 2.

Numbers are attributes of the HDF5 file or of an array (`object` : `pixel_width_m`), data sets in
training files, entries (`object_pixel_width_m`) in an NPZ: `photon_energy_eV` (older:
`probe_energy_eV`), `detector_object_distance_m` (0 if unknown), `detector_pixel_width_m`.

Source: files of ptychodus 1.7.0 (BSD-3), older ones after its readers.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped

from ptycho.errors import DataError
from ptycho.experiment import Geometry, photon_wavelength
from ptycho.io.fields import FrameStack
from ptycho.io.hdf5 import Hdf5File
from ptycho.io.npz import open_npz
from ptycho.io.readers.linked import counts_or_intensity
from ptycho.io.readers.products import (
    centre_offset,
    indices_of_centre,
    layers_as_one,
    modes_of,
)
from ptycho.io.recorded import Recorded

_ARRAYS_WITH_ATTRIBUTES = ("patterns", "probe", "object")

_Array = Callable[[str], Shaped[np.ndarray, "..."] | None]
_Number = Callable[[str], float | None]


def read_hdf5(path: Path) -> Recorded:
    """Return the content of a diffraction, product or training file in HDF5.

    Raises:
        DataError: If the file is damaged, or an entry has an unexpected shape.
    """
    with Hdf5File(path) as file:
        patterns = file.first("patterns")
        frames = None if patterns is None else file.frames("patterns")
        return _recorded(path, frames, file.array, lambda name: _of_hdf5(file, name))


def read_npz(path: Path) -> Recorded:
    """Return the content of a diffraction or product file in NPZ.

    Raises:
        DataError: If the file is damaged, or an entry has an unexpected shape.
    """
    archive = open_npz(path)

    def array(name: str) -> Shaped[np.ndarray, "..."] | None:
        return archive.entry(name) if name in archive else None

    def number(name: str) -> float | None:
        found = array(name)
        if found is None or found.size != 1 or found.dtype.kind not in "iuf":
            return None
        return float(found.reshape(-1)[0])

    return _recorded(path, array("patterns"), array, number)


def _of_hdf5(file: Hdf5File, name: str) -> float | None:
    """Return a number that is a data set, an attribute of the file, or one of an array."""
    found = file.number(name)
    if found is not None:
        return found
    places = [("/", name)]
    for owner in _ARRAYS_WITH_ATTRIBUTES:
        places += [(owner, name), (owner, name.removeprefix(f"{owner}_"))]
    for owner, key in places:
        value = file.attribute(owner, key) if owner == "/" or owner in file else None
        if isinstance(value, int | float | np.number) and np.isfinite(value):
            return float(value)
    return None


def _recorded(path: Path, frames: FrameStack | None, array: _Array, number: _Number) -> Recorded:
    """Return the content of a file, whatever its container.

    Args:
        path: of the file.
        frames: (M, H, W); None without.
        array: returns an array by name, None without.
        number: returns a number by name, None without.
    """
    if frames is not None and frames.ndim != 3:
        raise DataError(f"{path}: patterns of shape {frames.shape}; expected (frames, rows, cols)")
    positions, unit = _positions(path, array)
    bad, probe = array("bad_pixels"), array("probe")
    if bad is not None and bad.dtype.kind not in "iub":
        raise DataError(f"{path}: bad_pixels of type {bad.dtype}; expected True on bad pixels")
    obj, notes = layers_as_one(path, array("object"))
    pixel = number("object_pixel_width_m") or number("probe_pixel_width_m")
    energy = number("photon_energy_eV") or number("probe_energy_eV")
    centre = indices_of_centre(
        obj, probe, pixel, number("object_center_y_m"), number("object_center_x_m")
    )
    if positions is not None and unit == "px":
        positions = positions + centre_offset(probe)
    if unit == "m" and centre is None:
        obj = None  # nothing relates it to the positions
    return Recorded(
        source=f"ptychodus {_kind(frames, positions)}",
        frames=frames,
        frames_entry="patterns",
        frame_numbers=array("indexes") if frames is not None else None,
        measurement=None if frames is None else counts_or_intensity(frames),
        positions=positions,
        positions_unit=unit,
        position_numbers=array("probe_position_indexes") if unit == "m" else None,
        probe=None if probe is None else modes_of(path, probe),
        obj=obj,
        obj_centre=centre if unit == "m" else None,
        mask=None if bad is None else bad == 0,
        geometry=Geometry(
            wavelength_m=photon_wavelength(energy) if energy and energy > 0 else None,
            distance_m=abs(number("detector_object_distance_m") or 0) or None,
            detector_pixel_m=number("detector_pixel_width_m")
            or number("detector_pixel_height_m")
            or None,
        ),
        object_pixel_m=pixel or None,
        notes=notes,
    )


def _kind(frames: FrameStack | None, positions: Shaped[np.ndarray, "..."] | None) -> str:
    if frames is None:
        return "product"
    return "diffraction data" if positions is None else "training data"


def _positions(path: Path, array: _Array) -> tuple[Float[np.ndarray, "position 2"] | None, str]:
    """Return (row, col) of the probe and their unit: m, or px for indices of the object."""
    for unit in ("m", "px"):
        row, col = (array(f"probe_position_{axis}_{unit}") for axis in "yx")
        if row is None or col is None:
            continue
        for values, axis in ((row, "y"), (col, "x")):
            if values.dtype.kind not in "iuf":
                raise DataError(
                    f"{path}: probe_position_{axis}_{unit} of type {values.dtype}; expected numbers"
                )
        if row.size != col.size:
            raise DataError(
                f"{path}: probe_position_y_{unit} holds {row.size} and probe_position_x_{unit} "
                f"{col.size} values; expected one of each per position"
            )
        pairs = np.stack([row.reshape(-1), col.reshape(-1)], axis=1)
        return pairs.astype(np.float64), unit
    return None, "m"
