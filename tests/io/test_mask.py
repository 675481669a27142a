"""Files of masks."""

import numpy as np
import pytest

from ptycho.errors import DataError
from ptycho.io import read_mask

GOOD = np.random.default_rng(5).random((8, 8)) > 0.1


def test_a_mask_is_read_from_npy_and_from_npz(tmp_path):
    np.save(tmp_path / "mask.npy", GOOD)
    np.savez(tmp_path / "only.npz", any_name=GOOD)
    np.savez(tmp_path / "named.npz", other=~GOOD, mask=GOOD)
    for name in ("mask.npy", "only.npz", "named.npz"):
        np.testing.assert_array_equal(read_mask(tmp_path / name), GOOD)


def test_a_file_without_a_mask_is_one_line(tmp_path):
    np.savez(tmp_path / "two.npz", one=GOOD, other=GOOD)
    np.save(tmp_path / "objects.npy", np.array([None]))
    (tmp_path / "text.npy").write_text("nothing")
    for name, message in (
        ("two.npz", "no entry mask .* expected one named mask"),
        ("objects.npy", "cannot be read"),
        ("text.npy", "neither .npy, .npz nor .tif"),
        ("gone.npy", "no such file"),
    ):
        with pytest.raises(DataError, match=message) as caught:
            read_mask(tmp_path / name)
        assert "\n" not in str(caught.value)
