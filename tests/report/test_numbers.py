"""Metrics as documents and tables: nothing undefined in JSON, units and peaks stated."""

import json
import math

import numpy as np
import pytest
from figure_data import mask, pair

from ptycho.io.atomic import write_json
from ptycho.metrics import compare
from ptycho.report.numbers import (
    metrics_document,
    metrics_table,
    resolution,
    uncertainty_of,
    uncertainty_table,
    with_unit,
)


@pytest.mark.parametrize(
    ("length", "text"), [(2e-8, "20 nm"), (1.5e-6, "1.5 µm"), (9.3e-10, "930 pm"), (2e-3, "2 mm")]
)
def test_lengths_are_written_with_the_unit_that_suits(length, text):
    assert with_unit(length) == text


def test_documents_hold_no_nan_and_tables_state_peaks(tmp_path):
    flat = np.ones_like(pair()[1])
    document = metrics_document(compare(pair()[0], flat, mask()), detector_residual=math.nan)
    assert document["object"]["phase_psnr_db"] is None  # a flat truth has no range
    write_json(tmp_path / "m.json", document)
    assert "NaN" not in (tmp_path / "m.json").read_text()
    assert json.loads((tmp_path / "m.json").read_text()) == document
    assert [file.name for file in tmp_path.iterdir()] == ["m.json"]
    table = dict(metrics_table(document))
    assert table["phase PSNR"] == "-, the ground truth has no range"
    sound = metrics_document(compare(*pair(), mask()), detector_residual=0.0123, pixel_size_m=1e-8)
    table = dict(metrics_table(sound))
    assert table["detector residual"] == "1.23 % of the power"
    assert table["phase PSNR"].endswith("dB, peak 0.5 rad")
    assert "FRC = 0.5, period" in table


def test_periods_are_pixels_over_frequency():
    comparison = compare(*pair(), mask())
    numbers = metrics_document(comparison, pixel_size_m=1e-8)["object"]
    frequency = numbers["frc_05_cycles_per_px"]
    assert numbers["frc_05_full_period_m"] == pytest.approx(1e-8 / frequency)


HALF = {
    "phase_std_rad": 0.03, "amplitude_std": 0.02, "frc_05_share_of_nyquist": 0.5,
    "frc_half_bit_share_of_nyquist": 0.25, "frc_one_bit_share_of_nyquist": 0.2,
    "frc_half_bit_full_period_m": 8e-8, "frc_05_full_period_m": math.nan,
}  # fmt: skip


def test_the_uncertainty_by_hand():
    found = {"phase_std_rad": 0.01, "amplitude_std": 0.02, "misfit_ratio": 1.5, "half_data": HALF}
    assert uncertainty_table(None) == []
    assert uncertainty_table(found) == [
        ("phase uncertainty", "0.01 rad (RMS over the object)"),
        ("amplitude uncertainty", "0.02 (RMS over the object)"),
        ("residual, measured / sampled", "1.50"),
        ("phase, half-data", "0.03 rad"),
        ("amplitude, half-data", "0.02"),
        ("half-data FRC = 0.5", "0.50 of Nyquist"),
        ("half-data FRC = half-bit", "0.25 of Nyquist, period 80 nm"),
        ("half-data FRC = 1-bit", "0.20 of Nyquist"),
    ]
    assert resolution({}, "05") == ""


def test_the_uncertainty_of_older_documents_is_found():
    assert uncertainty_of({}) is None
    assert uncertainty_of({"trust": {"samples": 1}}) == {"samples": 1}
    assert uncertainty_of({"uncertainty": {"samples": 2}, "trust": None}) == {"samples": 2}


def test_unexplained_intensity_by_hand():
    document = {"unexplained_light": {"network": 0.0123, "object": None}}
    assert metrics_table(document) == [("unexplained intensity", "1.23 % (network alone)")]
