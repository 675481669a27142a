"""Small HDF5 files, written by the paths of their entries."""

import numpy as np
import pytest

h5py = pytest.importorskip("h5py")

M, N = 5, 4
COUNTS = np.random.default_rng(0).poisson(20, (M, N, N)).astype(np.uint16)
ROW_COL_M = np.array([[0.0, 0.0], [1.0, 2.0], [-3.0, 1.0], [2.0, -2.0], [0.5, 3.0]]) * 1e-7
"""(row, col) of the probe, growing with the indices of the object, metres."""

ENERGY_J = 8000 * 1.602176634e-19
WAVELENGTH_M = 6.62607015e-34 * 299792458 / ENERGY_J
DISTANCE_M, PIXEL_M = 2.0, 75e-6


def write(path, entries, **of_file):
    """Write entries: path -> value or link, `path@name` -> attribute of the entry at path."""
    path.unlink(missing_ok=True)  # frames of an earlier one may still be open
    with h5py.File(path, "w") as file:
        file.attrs.update(of_file)
        for name, value in entries.items():
            place, _, attribute = name.partition("@")
            if attribute:
                file[place].attrs[attribute] = value
            else:
                file[place] = value
    return path
