"""Reconstructions of PtyREX."""

import numpy as np
import pytest
from hdf5_file import N, write

from ptycho.errors import DataError
from ptycho.io import recognise
from ptycho.io.readers.ptyrex import read

OUTPUT = "entry_1/process_1/output_1"
MODULUS = np.arange(1.0, 1 + 2 * N * N).reshape(1, 1, 2, 1, 1, N, N)
RESULT = {
    f"{OUTPUT}/probe_modulus": MODULUS,
    f"{OUTPUT}/probe_phase": np.full_like(MODULUS, np.pi / 2),
    "entry_1/process_1/common_1/dx": [2e-8, 2e-8],
}


def test_the_probe_is_modulus_and_phase(tmp_path):
    path = write(tmp_path / "scan.hdf", RESULT)
    assert recognise(path) == "PtyREX reconstruction"
    found = read(path)
    np.testing.assert_allclose(found.probe, 1j * MODULUS.reshape(2, N, N), rtol=1e-6, atol=1e-6)
    assert found.object_pixel_m == 2e-8
    assert found.frames is None


def test_modulus_and_phase_must_fit(tmp_path):
    with pytest.raises(DataError, match="missing or differ in shape; expected both"):
        read(write(tmp_path / "scan.hdf", RESULT | {f"{OUTPUT}/probe_phase": np.zeros(3)}))
