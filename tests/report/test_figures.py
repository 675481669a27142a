"""Figures: what is drawn is what the arrays say, in their orientation; numbers read plainly."""

import json
import math

import matplotlib as mpl
import numpy as np
import pytest
from skimage.io import imread

from ptycho.io.atomic import write_json
from ptycho.metrics import compare
from ptycho.report.drawing import new_figure, robust_range, round_length
from ptycho.report.figures import (
    save_amplitude,
    save_comparison,
    save_overview,
    save_phase,
    save_scan,
    save_training_curves,
)
from ptycho.report.numbers import metrics_document, metrics_table, with_unit


@pytest.fixture
def pair():
    """A truth with a bright upper left quarter, and a noisy estimate of it."""
    rng = np.random.default_rng(0)
    truth = np.full((48, 40), 0.5 + 0j)
    truth[:24, :20] = np.exp(0.5j)
    noise = rng.normal(size=truth.shape) + 1j * rng.normal(size=truth.shape)
    return (truth + 0.02 * noise).astype(np.complex64), truth.astype(np.complex64)


@pytest.fixture
def mask():
    known = np.zeros((48, 40), dtype=bool)
    known[2:-2, 2:-2] = True
    return known


def grey_inside(path):
    """The picture as grey values without axes: the pixels of the largest drawn image."""
    return imread(path)[..., :3].mean(axis=-1)


def test_pictures_keep_the_orientation_of_the_array(tmp_path, pair, mask):
    save_amplitude(tmp_path / "a.png", pair[1], mask)
    drawn = grey_inside(tmp_path / "a.png")
    dark = drawn < 20  # amplitude 0.5, the lowest, is drawn black
    rows, cols = np.nonzero(dark)
    # The bright quarter is missing from the upper left of the dark region's bounding box.
    box = dark[rows.min() : rows.max(), cols.min() : cols.max()]
    height, width = box.shape
    corner = box[: height // 3, : width // 4]
    assert corner.mean() < 0.1
    assert box[height // 2 :, : width // 2].mean() > 0.5


@pytest.mark.parametrize("pixel_size_m", [None, 9.3e-10])
def test_every_figure_is_written(tmp_path, pair, mask, pixel_size_m):
    estimate, truth = pair
    place = {"origin": (-3, 5), "pixel_size_m": pixel_size_m}
    positions = np.random.default_rng(0).uniform(5, 35, (30, 2))
    comparison = compare(estimate, truth, mask)
    document = metrics_document(comparison, pixel_size_m=pixel_size_m)
    save_amplitude(tmp_path / "amplitude.png", estimate, mask, **place)
    save_phase(tmp_path / "phase.png", estimate, mask, **place)
    save_overview(tmp_path / "overview.png", estimate, mask.astype(np.float32), positions, **place)
    save_comparison(tmp_path / "both.png", comparison, document, pixel_size_m=pixel_size_m)
    groups = np.arange(28).reshape(7, 4)
    save_scan(tmp_path / "scan.png", positions, groups)
    save_scan(tmp_path / "positions.png", positions)
    save_training_curves(tmp_path / "loss.png", {"training": [1.0, 0.5], "validation": [np.nan, 1]})
    assert all(imread(file).std() > 0 for file in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 7


def test_objects_without_contrast_or_light_can_be_drawn(tmp_path):
    empty = np.zeros((20, 20), dtype=np.complex64)
    save_phase(tmp_path / "empty.png", empty, np.zeros((20, 20), dtype=bool))
    save_overview(
        tmp_path / "flat.png", empty + 1, np.zeros((20, 20), dtype=np.float32), np.zeros((1, 2))
    )


def test_drawing_leaves_no_trace_in_matplotlib(tmp_path, pair, mask):
    before = dict(mpl.rcParams)
    save_phase(tmp_path / "p.png", pair[0], mask)
    assert dict(mpl.rcParams) == before
    assert new_figure(1, 1).canvas.manager is None


def test_outliers_and_unknown_pixels_do_not_set_the_colours():
    values = np.linspace(0, 1, 1000).reshape(20, 50)
    mask = np.ones_like(values, dtype=bool)
    values[0, 0], values[1, 1], mask[1, 1] = 1e6, -1e6, False
    low, high = robust_range(values, mask)
    assert (low, high) == (pytest.approx(0.01, abs=0.003), pytest.approx(0.99, abs=0.003))


@pytest.mark.parametrize(
    ("length", "expected"), [(1, 1), (4.9, 2), (5, 5), (73, 50), (0.3, 0.2), (5e-9, 5e-9)]
)
def test_scale_bars_have_round_lengths(length, expected):
    assert round_length(length) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("length", "text"), [(2e-8, "20 nm"), (1.5e-6, "1.5 µm"), (9.3e-10, "930 pm"), (2e-3, "2 mm")]
)
def test_lengths_read_with_the_unit_that_suits(length, text):
    assert with_unit(length) == text


def test_documents_hold_no_nan_and_tables_state_peaks(tmp_path, pair, mask):
    flat = np.ones_like(pair[1])
    document = metrics_document(compare(pair[0], flat, mask), detector_residual=math.nan)
    assert document["object"]["phase_psnr_db"] is None  # a flat truth has no range
    write_json(tmp_path / "m.json", document)
    assert "NaN" not in (tmp_path / "m.json").read_text()
    assert json.loads((tmp_path / "m.json").read_text()) == document
    assert [file.name for file in tmp_path.iterdir()] == ["m.json"]
    table = dict(metrics_table(document))
    assert table["phase PSNR"] == "-, the truth has no range"
    sound = metrics_document(compare(*pair, mask), detector_residual=0.0123, pixel_size_m=1e-8)
    table = dict(metrics_table(sound))
    assert table["detector residual"] == "1.23 % of the power"
    assert table["phase PSNR"].endswith("dB, peak 0.5 rad")
    assert "FRC = 0.5, period" in table


def test_periods_are_pixels_over_frequency(pair, mask):
    comparison = compare(*pair, mask)
    numbers = metrics_document(comparison, pixel_size_m=1e-8)["object"]
    frequency = numbers["frc_05_cycles_per_px"]
    assert numbers["frc_05_full_period_m"] == pytest.approx(1e-8 / frequency)
