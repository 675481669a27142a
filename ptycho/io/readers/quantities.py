"""Lengths and photon energies of HDF5 files, whatever unit they are stored in.

Data flow: [file] -> Recorded -> fields -> RawData -> ...
Serves readers of HDF5 formats; knows none of them.
"""

import numpy as np
from jaxtyping import Float, Shaped

from ptycho.errors import DataError
from ptycho.experiment import photon_wavelength
from ptycho.io.hdf5 import Hdf5File
from ptycho.io.units import guessed_photon_energy_ev, metres_per


def length_m(file: Hdf5File, *names: str, unit: str = "m") -> float | None:
    """Return a length in metres, without its sign; None if it is missing, 0 or not finite.

    Args:
        file: the file.
        names: data sets; the first that exists is read. An attribute `units` names its unit.
        unit: of a number without that attribute.

    Raises:
        DataError: If the unit is no length.
    """
    for name in names:
        value = first_number(file, name)
        if value:
            return abs(value) * length_factor_of(file, name, unit)
    return None


def length_factor_of(file: Hdf5File, name: str, unit: str = "m") -> float:
    """Return the length, metres, of the unit of a data set.

    Args:
        file: the file.
        name: of the data set; its attribute `units` names the unit.
        unit: without that attribute.

    Raises:
        DataError: If the unit is no length.
    """
    stated = str(file.attribute(name, "units") or unit)
    factor = metres_per(stated)
    if factor is None:
        raise DataError(f"{file.path}: {name} in {stated!r}; expected a length such as m or um")
    return factor


def numbers(file: Hdf5File, *names: str) -> Shaped[np.ndarray, "..."] | None:
    """Return the values of the first of these data sets that exists; None without one.

    Raises:
        DataError: If they are no real numbers.
    """
    values = file.array(*names)
    if values is not None and values.dtype.kind not in "iufb":
        raise DataError(
            f"{file.path}: {names[0]} of type {values.dtype}; expected an array of real numbers"
        )
    return values


def table(file: Hdf5File, name: str, columns: int) -> Float[np.ndarray, "row column"]:
    """Return a table with a row for each position, also where it is stored the other way round.

    Raises:
        DataError: If it is missing, holds no numbers, or neither axis has that many columns.
    """
    numbers(file, name)
    return as_rows(file, name, columns)


def first_number(file: Hdf5File, name: str) -> float | None:
    """Return the first finite number of a data set; None without one."""
    values = file.array(name)
    if values is None or values.dtype.kind not in "iuf":
        return None
    finite = values.reshape(-1)[np.isfinite(values.reshape(-1))]
    return float(finite[0]) if len(finite) else None


def wavelength_m(
    file: Hdf5File, name: str, *, unit: str = ""
) -> tuple[float | None, tuple[str, ...]]:
    """Return the wavelength of the photons whose energy a data set holds, and notes about it.

    Args:
        file: the file.
        name: of the data set; its attribute `units` names the unit.
        unit: without that attribute; empty if it may be J, keV or eV.
    """
    value = first_number(file, name)
    if value is None:
        return None, ()
    stated = str(file.attribute(name, "units") or "")
    found = guessed_photon_energy_ev(value, stated or unit)
    if found is None:
        return None, (f"{name} = {value:g} {stated} is not a photon energy: ignored",)
    energy, read_in = found
    clear = stated or unit or read_in == "J"  # no other unit has numbers so small
    guessed = f"{name} = {value:g} without a unit: read in {read_in}"
    return photon_wavelength(energy), () if clear else (guessed,)


def as_rows(file: Hdf5File, name: str, columns: int) -> Float[np.ndarray, "row column"]:
    """Return a table with a row for each position, also where it is stored the other way round.

    Raises:
        DataError: If neither axis has that many columns.
    """
    file.dataset(name)  # raises if it is missing
    values = np.asarray(numbers(file, name), np.float64)
    if values.ndim == 2 and values.shape[1] != columns and values.shape[0] == columns:
        values = values.T
    if values.ndim != 2 or values.shape[1] < columns:
        raise DataError(
            f"{file.path}: {name} has shape {values.shape}; expected (positions, {columns})"
        )
    return values[:, :columns]
