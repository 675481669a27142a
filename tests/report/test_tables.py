"""Tables of the page, each by hand."""

import numpy as np
from run_folders import in_memory

from ptycho.grouping import summarise
from ptycho.report.tables import coverage_table, key_numbers, split_table


def test_what_groups_cover_by_hand():
    x, y = np.array([0.0, 3.0, 0.0, 3.0]), np.array([0.0, 0.0, 4.0, 4.0])
    found = summarise(x, y, np.array([[0, 1], [0, 3]]), probe_diameter=10.0)
    table = dict(coverage_table(found.as_dict()))
    assert table["groups"] == "2 of 2 frames"
    assert table["patterns, with repetitions"] == "4"
    assert table["positions used"] == "3 of 4 (75 %)"
    assert table["uses of a position"] == "1 never, 2 once, 1 twice"
    assert table["distance of a pair (px)"] == "median 4, mean 4"  # of 3 and 5
    assert table["median overlap of a pair"] == "60 %"
    assert table["largest distance to a used one (px)"] == "3"


def test_what_is_unknown_is_left_out():
    assert coverage_table({}) == []
    single = summarise(np.zeros(1), np.zeros(1), np.array([[0]]))
    assert "median overlap of a pair" not in dict(coverage_table(single.as_dict()))


def test_the_split_of_a_training():
    assert split_table({}) == []
    split = {"n_training": 1000, "n_validation": 0, "reason": "too few groups"}
    assert split_table({"split": split}) == [
        ("training groups", "1,000"), ("validation groups", "0"),
        ("no validation", "too few groups"),
    ]  # fmt: skip


def test_key_numbers_are_those_that_are_known(tmp_path):
    assert key_numbers(in_memory(tmp_path)) == []
    found = in_memory(tmp_path, metrics={
        "detector_residual": 0.0049, "n_frames": 1300, "object": {"phase_psnr_db": 37.5},
        "trust": {"phase_std_rad": 0.0447, "half_data": {"frc_half_bit_share_of_nyquist": 1.0}},
    })  # fmt: skip
    assert key_numbers(found) == [
        ("phase PSNR", "37.5 dB"),
        ("resolution, half-data FRC", "1.00 of Nyquist"),
        ("phase uncertainty", "0.045 rad"),
        ("detector residual", "0.49 %"),
        ("frames", "1,300"),
    ]
