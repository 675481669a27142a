"""Variables of MATLAB files, version 5 (read whole) and 7.3 (HDF5).

Data flow: [file] -> Recorded -> fields -> RawData -> ...

Layout of 7.3: an HDF5 file in which all axes are reversed and complex numbers are the pair
{real, imag}; groups are structures. Here all axes have MATLAB's order.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ptycho.errors import DataError
from ptycho.io.hdf5 import Hdf5File, check_filter
from ptycho.io.npz import UNREADABLE, reason

_FAULTS = (*UNREADABLE, TypeError, LookupError)


class Stored:
    """A real array of a 7.3 file that may hold frames, its axes in MATLAB's order."""

    def __init__(self, path: Path, data: h5py.Dataset) -> None:
        self.path, self.name, self.dtype = path, data.name, data.dtype
        self.shape: tuple[int, ...] = tuple(reversed(data.shape))
        self.ndim = data.ndim


Variables = Mapping[str, Any]
"""Name, with dots for structures -> array, text, or `Stored`."""


def variables_5(path: Path) -> Variables:
    """Return the variables of a file of version 5; it has to be loaded whole.

    Raises:
        DataError: If it is damaged.
    """
    import scipy.io

    try:
        found = scipy.io.loadmat(path, simplify_cells=True)
    except _FAULTS as problem:
        raise DataError(f"{path}: {reason(problem)}; expected a complete MATLAB file") from None
    return dict(_flat({name: value for name, value in found.items() if name[:2] != "__"}))


def variables_73(path: Path) -> Variables:
    """Return the variables of a file of version 7.3.

    Raises:
        DataError: If it is damaged.
    """
    with Hdf5File(path) as file:
        found: dict[str, Any] = {}
        waiting = [name for name in file.names() if not name.startswith("#")]
        while waiting:
            name = waiting.pop()
            entry = file.get(name)
            if isinstance(entry, h5py.Group):
                waiting += [f"{name}/{each}" for each in entry]
            elif isinstance(entry, h5py.Dataset):
                found[name.replace("/", ".")] = _variable(path, entry)
    return found


def names_5(path: Path) -> frozenset[str]:
    """Return the names of the variables in a file of version 5.

    Raises:
        DataError: If it is damaged.
    """
    import scipy.io

    try:
        return frozenset(name for name, _, _ in scipy.io.whosmat(path))
    except _FAULTS as problem:
        raise DataError(f"{path}: {reason(problem)}; expected a complete MATLAB file") from None


def whole(value: Any) -> Any:
    """Return an array, read now where it is still in its file."""
    if not isinstance(value, Stored):
        return value
    with Hdf5File(value.path) as file:
        return np.asarray(file.dataset(value.name)[()]).transpose()


def _flat(found: Mapping[str, Any], place: str = "") -> list[tuple[str, Any]]:
    values: list[tuple[str, Any]] = []
    for name, value in found.items():
        if isinstance(value, dict):
            values += _flat(value, f"{place}{name}.")
        else:
            values.append((f"{place}{name}", value))
    return values


def _variable(path: Path, data: h5py.Dataset) -> Any:
    """Return a variable of a 7.3 file in MATLAB's order of axes; None for what is no number."""
    names = data.dtype.names
    if names is not None and {"real", "imag"} <= set(names):
        check_filter(path, data)
        pair = data[()]
        return (pair["real"] + 1j * pair["imag"]).transpose()
    if data.dtype.kind not in "iufb" or data.attrs.get("MATLAB_empty", 0):
        return None
    if data.ndim in (3, 4):
        check_filter(path, data)
        return Stored(path, data)
    return np.asarray(data[()]).transpose()
