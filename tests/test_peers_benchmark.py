"""The comparison of what other packages read, on made-up readings."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import peers_read as peers

CASE = peers.CASES[0]
CORNERS = np.arange(6.0).reshape(3, 2)
TRUTH = {"frames": np.ones((3, 4, 4)), "corners": CORNERS, "distance_m": 2.0}


def verdicts(**found):
    return {
        part: (text, fine)
        for part, text, fine in peers.compared(CASE, found, TRUTH, np.ones((3, 4, 4)))
    }


def test_equal_counts_and_lengths_agree():
    found = verdicts(frames=np.ones((3, 4, 4), np.int32), distance_m=2.0000001)
    assert found == {"counts": ("equal", True), "lengths": ("5e-08 (1)", True)}
    assert not verdicts(frames=np.zeros((3, 4, 4)))["counts"][1]


def test_positions_may_have_another_origin_only_if_they_are_relative():
    assert verdicts(corners=CORNERS + 3)["positions"] == ("3 px", False)
    assert verdicts(corners=CORNERS + 3, corners_are_relative=True)["positions"][1]
    assert not verdicts(corners=-CORNERS, corners_are_relative=True)["positions"][1]


def test_the_scale_of_a_prediction_is_free():
    """Amplitudes 1, 1 and 2, 0 at the scale 1/2: (1 - 1)^2 + 1^2 of 1^2 + 1^2 photons."""
    assert peers.misfit_of(np.array([4.0, 4.0]), np.ones(2)) == pytest.approx(0, abs=1e-12)
    assert peers.misfit_of(np.array([4.0, 0.0]), np.ones(2)) == pytest.approx(0.5)


def test_a_package_that_fails_is_in_the_table():
    rows = [
        peers.Row(CASE, "0.3.2", {"counts": "equal"}, agrees=True),
        peers.Row(CASE, "", {}, agrees=False, problem="no module"),
    ]
    lines = peers.table_of(rows).splitlines()
    assert any(
        line.startswith("| cdtools 0.3.2 | `cxi` |") and "| equal |" in line for line in lines
    )
    assert any("not read: no module" in line for line in lines)
