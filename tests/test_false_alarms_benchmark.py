"""The page of false alarms, on made-up rows."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import false_alarms

GOOD = {
    "number": 0, "obj": "cells", "probe": "disc", "size": 64, "pattern": "raster", "frames": 200,
    "dose": 1e5, "overlap": 0.6, "has_probe": True, "seconds": 2.0, "findings": [],
}  # fmt: skip
THIN = {"name": "thin_overlap", "severity": "warning", "text": "overlap of 12%"}


def test_rates_are_counted_by_name():
    page = false_alarms.as_markdown([GOOD, GOOD | {"number": 3, "findings": [THIN]}, GOOD, GOOD])
    assert "1 of them\n(25.0%) get a finding; at most 2% may" in page
    assert "| `thin_overlap` | warning | 1 | 25.0% |" in page
    assert "| 3 | cells | disc | 64 | raster | 200 | 1e+05 | 60% | overlap of 12% |" in page
    assert "\n| 0 |" not in page


def test_a_run_goes_on_after_a_line_that_is_cut_off(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"number": 0, "findings": []}\n{"number": 1, "fin')
    assert list(false_alarms.rows_in(path)) == [0]
    assert false_alarms.rows_in(tmp_path / "none.jsonl") == {}
