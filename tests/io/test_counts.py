"""Counts NPZ: which entry becomes which field."""

import numpy as np
import pytest
from small_scan import counts_entries

from ptycho.errors import DataError
from ptycho.scan.raw_data import RawData


def written(folder, **changes):
    path = folder / "counts.npz"
    entries = counts_entries() | changes
    np.savez_compressed(path, **{key: value for key, value in entries.items() if value is not None})
    return path


def test_rows_are_y_and_columns_are_x(tmp_path):
    raw, entry = RawData.from_file(written(tmp_path)), counts_entries()
    np.testing.assert_array_equal(raw.frames, entry["counts"])
    np.testing.assert_array_equal(raw.positions[:, 0], entry["position_row"])
    np.testing.assert_array_equal(raw.positions[:, 1], entry["position_col"])
    np.testing.assert_array_equal(raw.ycoords, entry["position_row"])
    assert raw.positions[5].tolist() == [23.0, 32.0]  # frame 5: row 1, column 1
    assert raw.probe.shape == (1, 16, 16)
    assert raw.measurement == "counts"
    assert raw.metadata["scan_shape"] == [3, 4]
    assert raw.metadata["source_format"] == "counts NPZ"


def test_the_raster_is_optional(tmp_path):
    assert "scan_shape" not in RawData.from_file(written(tmp_path, scan_row=None)).metadata


def test_the_probe_is_optional_and_estimated_from_the_mean_frame(tmp_path):
    raw = RawData.from_file(written(tmp_path, probe=None))
    assert raw.probe.shape == (1, 16, 16)
    assert not raw.probe_known


def test_its_mask_is_kept(tmp_path):
    good = np.random.default_rng(0).random((16, 16)) > 0.1
    np.testing.assert_array_equal(RawData.from_file(written(tmp_path, mask=good)).mask, good)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probe": np.array([{"a": 1}], dtype=object)}, r"entry probe cannot be read"),
        ({"probe": np.zeros(3)}, r"probe has shape \(3,\), type float64; expected \(N, N\)"),
        ({"position_row": np.zeros(11)}, r"position_row holds 11 positions and position_col 12"),
        ({"counts": np.zeros((12, 4), int)}, r"frames of shape \(12, 4\); expected"),
    ],
)
def test_a_bad_file_is_one_line_that_names_the_file(tmp_path, changes, message):
    path = written(tmp_path, **changes)
    with pytest.raises(DataError, match=message) as caught:
        RawData.from_file(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
