"""NXcxi_ptycho, the NeXus definition of a ptychography scan (.nxs).

Data flow: [file] -> Recorded -> fields -> RawData -> groups -> ...
Everything is below `/entry_1`:

| entry | shape | meaning |
|---|---|---|
| `data/data`, `data_1/data`, `.../detector_1/data` | (M, H, W) or (ny, nx, H, W) | counts |
| `data/{x, y}`, `sample_1/transformations/{x, y}` | M values, or axes of a raster | motors |
| `data_1/translation` | (M, 3) or (3, M) | the same as x, y, z |
| `instrument_1/beam_1/energy` | | energy of the photons: J, eV, keV, often without unit |
| `instrument_1/source_1/energy` | | energy of the storage ring, never of the photons |
| `instrument_1/detector_1/{distance, x_pixel_size, y_pixel_size}` | | with `units` |

Motors move the sample along their attribute `vector`, x by default [1 0 0], y [0 1 0]; the probe
moves the opposite way: row = -y, column = -x.

Source: NeXus definition NXcxi_ptycho (nexusformat.org); the published tree of Diamond I08-1, where
x and y are (79, 1, 1) and the energy has no unit.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from ptycho.errors import DataError
from ptycho.experiment import Geometry
from ptycho.io.fields import FrameStack
from ptycho.io.hdf5 import Hdf5File, plain_text
from ptycho.io.readers.linked import counts_or_intensity
from ptycho.io.readers.quantities import (
    first_number,
    length_factor_of,
    length_m,
    numbers,
    table,
    wavelength_m,
)
from ptycho.io.recorded import Recorded

_INSTRUMENT = "entry_1/instrument_1"
_DETECTOR = f"{_INSTRUMENT}/detector_1"
_FRAMES = ("entry_1/data/data", "entry_1/data_1/data", f"{_DETECTOR}/data")
_MOTORS = ("entry_1/data", "entry_1/sample_1/transformations")
_TRANSLATIONS = (
    "entry_1/data_1/translation",
    "entry_1/sample_1/geometry_1/translation",
    f"{_DETECTOR}/translation",
)
OBJECT_PIXEL = "entry_1/ptycho/object_pixel_size"
"""Our own entry, metres, next to those of the definition, which has none."""

_LARGEST_JOULE = 1e-10  # far above any photon, far below any number in eV


def read(path: Path) -> Recorded:
    """Return the content of an NXcxi_ptycho file.

    Raises:
        DataError: If the file is damaged, or an entry has an unexpected shape or unit.
    """
    with Hdf5File(path) as file:
        entry = next((name for name in _FRAMES if file.first(name) is not None), None)
        frames = None if entry is None else file.frames(entry)
        shape = () if entry is None else file.dataset(entry).shape
        positions, position_notes = _positions(file, frames, shape[:-2])
        wavelength, notes = _photons(file)
        return Recorded(
            source="NeXus NXcxi_ptycho",
            frames=frames,
            frames_entry=entry or "frames",
            measurement=None if frames is None else counts_or_intensity(frames),
            positions=positions,
            mask=_mask(file),
            geometry=Geometry(
                wavelength_m=wavelength,
                distance_m=length_m(file, f"{_DETECTOR}/distance"),
                detector_pixel_m=length_m(
                    file, f"{_DETECTOR}/x_pixel_size", f"{_DETECTOR}/y_pixel_size"
                ),
            ),
            object_pixel_m=length_m(file, OBJECT_PIXEL),
            notes=(*notes, *position_notes),
        )


def _photons(file: Hdf5File) -> tuple[float | None, tuple[str, ...]]:
    """Return the wavelength of the photons, and notes."""
    ring = f"{_INSTRUMENT}/source_1/energy"
    found, notes = wavelength_m(file, f"{_INSTRUMENT}/beam_1/energy")
    found = found or length_m(file, f"{_INSTRUMENT}/beam_1/incident_wavelength")
    value = first_number(file, ring)
    if found is not None or value is None:
        return found, notes
    if 0 < value < _LARGEST_JOULE:  # as CXI has it
        return wavelength_m(file, ring, unit="J")
    unit = file.attribute(ring, "units") or ""
    return None, (*notes, f"source_1/energy = {value:g} {unit} is not a photon energy: ignored")


def _positions(
    file: Hdf5File, frames: FrameStack | None, leading: tuple[int, ...]
) -> tuple[Float[np.ndarray, "position 2"] | None, tuple[str, ...]]:
    """Return (row, col) of the probe in metres, and notes.

    Args:
        file: the file.
        frames: its frames.
        leading: axes of the frames before (H, W), as stored.
    """
    n_frames = None if frames is None else len(frames)
    for group in _MOTORS:
        if file.first(f"{group}/x") is None or file.first(f"{group}/y") is None:
            continue
        x, y = _by_frame(file, group, n_frames, leading)
        sample = _moved(file, f"{group}/x", x, 0) + _moved(file, f"{group}/y", y, 1)
        return -sample[:, 1::-1], ("positions are minus the motors x, y of the sample",)
    for name in _TRANSLATIONS:
        found = file.first(name)
        if found is not None and found.ndim == 2:
            metres = table(file, name, 3) * length_factor_of(file, name)
            return -metres[:, 1::-1], ("positions are minus the translation of the sample",)
    return None, ()


def _moved(
    file: Hdf5File, name: str, values: Float[np.ndarray, " position"], axis: int
) -> Float[np.ndarray, "position 3"]:
    """Return the translation (x, y, z) of the sample by one motor, metres."""
    vector = np.zeros(3)
    vector[axis] = 1.0
    stated = file.attribute(name, "vector")
    if isinstance(stated, str):
        stated = stated.strip("[]() ").replace(",", " ").split()
    if stated is not None:
        try:
            vector = np.asarray(stated, np.float64).reshape(3)
        except ValueError:
            raise DataError(
                f"{file.path}: {name}: vector {stated}; expected three numbers"
            ) from None
    return np.outer(values * length_factor_of(file, name), vector)


def _by_frame(
    file: Hdf5File, group: str, n_frames: int | None, leading: tuple[int, ...]
) -> tuple[Float[np.ndarray, " position"], Float[np.ndarray, " position"]]:
    """Return x and y of each frame; the axes of a raster are meshed."""
    values = [numbers(file, f"{group}/{name}") for name in ("x", "y")]
    x, y = (np.asarray(each, np.float64).reshape(-1) for each in values)
    if n_frames is None or len(x) == len(y) == n_frames:
        if len(x) == len(y):
            return x, y
    elif len(x) * len(y) == n_frames:
        # Ambiguous only where both have the same length; then the order of the axes counts.
        if leading == (len(x), len(y)) and (len(x) != len(y) or _x_first(file)):
            return np.repeat(x, len(y)), np.tile(y, len(x))
        return np.tile(x, len(y)), np.repeat(y, len(x))
    shown = "an unknown number of" if n_frames is None else n_frames
    raise DataError(
        f"{file.path}: {group}/x and y hold {len(x)} and {len(y)} values for {shown} frames; "
        "expected one of each per frame, or the axes of a raster"
    )


def _x_first(file: Hdf5File) -> bool:
    """Return whether x is a slower axis of the frames than y, by the attribute `axes`."""
    stated = file.attribute("entry_1/data", "axes")
    if stated is None:
        return False
    named = stated.split(":") if isinstance(stated, str) else np.asarray(stated).reshape(-1)
    axes = [plain_text(axis) for axis in named]
    return "x" in axes and "y" in axes and axes.index("x") < axes.index("y")


def _mask(file: Hdf5File) -> Bool[np.ndarray, "row col"] | None:
    """Return the valid pixels; the definition has no mask, writers add `pixel_mask` or `mask`."""
    bad = numbers(file, f"{_DETECTOR}/pixel_mask", f"{_DETECTOR}/mask")
    if bad is None or bad.ndim < 2:
        return None
    return np.asarray((bad == 0).all(axis=tuple(range(bad.ndim - 2))))
