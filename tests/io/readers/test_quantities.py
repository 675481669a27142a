"""Lengths, energies and tables of HDF5 files in any unit."""

import numpy as np
import pytest
from hdf5_file import WAVELENGTH_M, write

from ptycho.errors import DataError
from ptycho.io.hdf5 import Hdf5File
from ptycho.io.readers.quantities import length_m, numbers, table, wavelength_m


def opened(folder, entries):
    return Hdf5File(write(folder / "file.h5", entries))


@pytest.mark.parametrize(
    ("value", "unit", "metres"),
    [(2.0, "m", 2.0), (-2000.0, "mm", 2.0), ([[55.0]], "µm", 55e-6), (0.0, "m", None),
     (np.nan, "m", None), ([np.nan, 3.0], "m", 3.0)],
)  # fmt: skip
def test_a_length_has_a_unit_and_no_sign(tmp_path, value, unit, metres):
    with opened(tmp_path, {"d": value, "d@units": unit}) as file:
        found = length_m(file, "none", "d")
        assert found == (None if metres is None else pytest.approx(metres))


def test_a_length_without_unit_has_that_of_the_format(tmp_path):
    with opened(tmp_path, {"d": 1.5, "e": 1.0, "e@units": "keV"}) as file:
        assert length_m(file, "d", unit="A") == pytest.approx(1.5e-10)
        with pytest.raises(DataError, match="e in 'keV'; expected a length"):
            length_m(file, "e")


@pytest.mark.parametrize(
    ("value", "stated", "usual", "notes"),
    [(8.0, "keV", "", 0), (8000.0, "eV", "", 0), (8.0, "", "keV", 0), (8.0, "", "", 1)],
)
def test_a_guessed_unit_of_energy_is_reported(tmp_path, value, stated, usual, notes):
    with opened(tmp_path, {"e": value, "e@units": stated}) as file:
        wavelength, found = wavelength_m(file, "e", unit=usual)
    assert wavelength == pytest.approx(WAVELENGTH_M)
    assert len(found) == notes


def test_text_is_no_number(tmp_path):
    with opened(
        tmp_path, {"t": "hello", "raw": np.void(b"abc"), "xy": [[1, 2, 3], [4, 5, 6]]}
    ) as f:
        for name in ("t", "raw"):
            with pytest.raises(DataError, match="expected an array of real numbers"):
                numbers(f, name)
            with pytest.raises(DataError, match="expected an array of real numbers"):
                table(f, name, 2)
        assert table(f, "xy", 3).tolist() == [[1, 2, 3], [4, 5, 6]]
        assert table(f, "xy", 2).tolist() == [[1, 4], [2, 5], [3, 6]]
        assert numbers(f, "none") is None
