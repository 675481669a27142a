"""HDF5 files in an unknown format, read by the paths that a user or a preset names.

Data flow: [file] -> Recorded -> fields -> RawData -> ...
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ptycho.errors import ConfigError, DataError
from ptycho.experiment import Geometry, photon_wavelength
from ptycho.io.hdf5 import Hdf5File
from ptycho.io.readers.quantities import as_rows, numbers
from ptycho.io.reading import MappedEntry
from ptycho.io.recorded import Recorded
from ptycho.io.units import guessed_photon_energy_ev, metres_per

QUANTITIES = {
    "frames": "", "positions": "m", "x": "m", "y": "m", "probe": "", "object": "", "mask": "",
    "bad_pixels": "", "dark": "", "energy": "keV", "wavelength": "m", "distance": "m",
    "detector_pixel": "m", "object_pixel": "m",
}  # fmt: skip
"""Quantity -> the unit it is taken in when none is named and the file has no attribute `units`."""


def read_mapped(
    path: Path, mapped: Mapping[str, MappedEntry], *, source: str = "HDF5 by --map"
) -> Recorded:
    """Return the quantities of an HDF5 file, each from its own path.

    Args:
        path: the file.
        mapped: a name in QUANTITIES -> where it is. `positions` is (M, 2) as (row, col), `x` the
            columns, `y` the rows; both grow with the indices of the object.
        source: what the file is called in messages.

    Raises:
        DataError: If an entry is missing or cannot be read.
        ConfigError: If a unit is unknown.
    """
    with Hdf5File(path) as file:
        lengths = {
            name: _length(file, mapped[name], name)
            for name in ("wavelength", "distance", "detector_pixel", "object_pixel")
            if name in mapped
        }
        if "energy" in mapped:
            lengths["wavelength"] = photon_wavelength(_energy(file, mapped["energy"]))
        positions, unit = _positions(file, mapped)
        return Recorded(
            source=source,
            frames=file.frames(mapped["frames"].path) if "frames" in mapped else None,
            positions=positions,
            positions_unit=unit,
            probe=_modes(file, mapped),
            obj=_object(file, mapped),
            mask=_mask(file, mapped),
            dark=file.array(mapped["dark"].path) if "dark" in mapped else None,
            geometry=Geometry(
                wavelength_m=lengths.get("wavelength"),
                distance_m=lengths.get("distance"),
                detector_pixel_m=lengths.get("detector_pixel"),
            ),
            object_pixel_m=lengths.get("object_pixel"),
        )


def _unit(file: Hdf5File, entry: MappedEntry, name: str) -> str:
    """Return the unit of an entry: the named one, that of the file, or the usual one."""
    stated = file.attribute(entry.path, "units")
    return entry.unit or (str(stated) if stated else "") or QUANTITIES[name]


def _value(file: Hdf5File, entry: MappedEntry) -> float:
    value = file.number(entry.path)
    if value is None:
        file.dataset(entry.path)  # raises if it is missing
        raise DataError(f"{file.path}: {entry.path}: no finite number; expected one")
    return value * entry.scale


def _length(file: Hdf5File, entry: MappedEntry, name: str) -> float:
    unit = _unit(file, entry, name)
    factor = metres_per(unit)
    if factor is None:
        raise ConfigError(f"map: {name}: unit {unit!r}; expected a length such as m, um or nm")
    return abs(_value(file, entry)) * factor  # some beamlines count distances upstream


def _energy(file: Hdf5File, entry: MappedEntry) -> float:
    value, unit = _value(file, entry), _unit(file, entry, "energy")
    found = guessed_photon_energy_ev(value, unit)
    if found is None:
        raise DataError(
            f"{file.path}: {entry.path} = {value:g} {unit}; expected a photon energy of 10 eV to "
            "200 keV; set it with --energy_kev"
        )
    return found[0]


def _positions(
    file: Hdf5File, mapped: Mapping[str, MappedEntry]
) -> tuple[Float[np.ndarray, "position 2"] | None, str]:
    """Return (row, col) in metres or pixels, and which of them."""
    if "positions" in mapped:
        entry = mapped["positions"]
        values = as_rows(file, entry.path, 2)
        return _in_metres(values * entry.scale, _unit(file, entry, "positions"))
    if not {"x", "y"} & mapped.keys():
        return None, "m"
    for name in ("x", "y"):
        if name not in mapped:
            raise ConfigError(f"map: {name}: missing; expected both x and y")
    columns = []
    for name in ("y", "x"):
        entry = mapped[name]
        file.dataset(entry.path)  # raises if it is missing
        values = np.asarray(numbers(file, entry.path), np.float64)
        columns.append(values.reshape(-1) * entry.scale)
    if len(columns[0]) != len(columns[1]):
        raise DataError(
            f"{file.path}: {len(columns[1])} values of x and {len(columns[0])} of y; expected one "
            "of each per frame"
        )
    units = {_unit(file, mapped[name], name) for name in ("x", "y")}
    if len(units) != 1:
        raise ConfigError(f"map: x and y in {' and '.join(sorted(units))}; expected one unit")
    return _in_metres(np.stack(columns, axis=1), units.pop())


def _in_metres(
    values: Float[np.ndarray, "position 2"], unit: str
) -> tuple[Float[np.ndarray, "position 2"], str]:
    if unit in ("px", "pixel", "pixels"):
        return values, "px"
    factor = metres_per(unit)
    if factor is None:
        raise ConfigError(f"map: positions: unit {unit!r}; expected a length such as um, or px")
    return values * factor, "m"


def _modes(file: Hdf5File, mapped: Mapping[str, MappedEntry]) -> np.ndarray | None:
    if "probe" not in mapped:
        return None
    probe = file.array(mapped["probe"].path)
    return None if probe is None else probe.reshape(-1, *probe.shape[-2:])


def _object(file: Hdf5File, mapped: Mapping[str, MappedEntry]) -> np.ndarray | None:
    if "object" not in mapped:
        return None
    obj = file.array(mapped["object"].path)
    return None if obj is None else obj.reshape(-1, *obj.shape[-2:])[0]


def _mask(file: Hdf5File, mapped: Mapping[str, MappedEntry]) -> np.ndarray | None:
    """Return the valid pixels: those of `mask` that are not 0, of `bad_pixels` that are."""
    if "bad_pixels" in mapped:
        bad = file.array(mapped["bad_pixels"].path)
        return None if bad is None else bad == 0
    if "mask" not in mapped:
        return None
    valid = file.array(mapped["mask"].path)
    return None if valid is None else valid != 0
