"""Reconstructions in the layout of ptypy."""

import h5py
import numpy as np
from written_scan import PIXEL, content, scan, written

from ptycho.experiment import Experiment

ID = "SscanMFG00"


def test_storages_have_their_geometry(tmp_path):
    with h5py.File(written(tmp_path, "scan.ptyr")) as file:
        obj, probe = file[f"content/obj/{ID}"], file[f"content/probe/{ID}"]
        np.testing.assert_array_equal(obj["data"][0], scan().obj)
        assert probe["data"].shape == (2, 16, 16)
        np.testing.assert_array_equal(obj["_psize"], [PIXEL, PIXEL])
        np.testing.assert_allclose(obj["_origin"], [-25 * PIXEL, -30 * PIXEL], rtol=1e-12)
        np.testing.assert_allclose(probe["_origin"], [-8 * PIXEL, -8 * PIXEL], rtol=1e-12)
        np.testing.assert_allclose(obj["_energy"][()], 12.3984198, rtol=1e-8)
        np.testing.assert_array_equal(obj["shape"], [1, 50, 60])
        # Frame 0 at (20, 30), centre of 50 x 60 pixels at (25, 30).
        position = file[f"content/positions/{ID}"]
        np.testing.assert_allclose(position[0], [-5 * PIXEL, 0], rtol=1e-12)
        assert position.attrs["type"] == "array"
        assert file["content/obj"].attrs["type"] == "dict"


def test_what_is_unknown_is_not_there(tmp_path):
    with h5py.File(written(tmp_path, "s.ptyr", obj=None, experiment=Experiment())) as file:
        assert sorted(file["content"]) == ["positions", "probe"]
        assert "_energy" not in file[f"content/probe/{ID}"]
        np.testing.assert_allclose(
            file[f"content/positions/{ID}"][0], content().positions[0] * PIXEL, rtol=1e-12
        )
