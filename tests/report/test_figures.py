"""Figures: what is drawn is what the arrays hold, in their orientation, and nothing is cut off."""

import io

import matplotlib as mpl
import numpy as np
import pytest
from figure_data import mask, pair, two_modes
from skimage.io import imread

from ptycho.grouping import summarise
from ptycho.metrics import compare, fourier_ring_correlation
from ptycho.report.drawing import draw_table, new_figure, round_length
from ptycho.report.figures import (
    ObjectView,
    comparison_size,
    draw_comparison,
    draw_result,
    result_size,
    save_comparison,
    save_image,
    save_result,
    save_training_curves,
    thumbnail,
)
from ptycho.report.group_figure import save_groups
from ptycho.report.images import AT_ORIGIN, Placement, amplitude_image
from ptycho.report.numbers import metrics_document
from ptycho.report.probe_figure import save_probe
from ptycho.report.uncertainty_figure import PositionResiduals, Quality, save_uncertainty


def view(placement=AT_ORIGIN, **more):
    return ObjectView(
        obj=pair()[0], coverage=mask().astype(np.float32), placement=placement, **more
    )


def positions():
    return np.random.default_rng(0).uniform(5, 35, (30, 2))


def quality():
    """Uncertainties, halves, coverage and residuals, as a reconstruction has them."""

    class Uncertainty:
        phase_std = np.where(mask(), 0.1, np.nan)
        amplitude_std = np.where(mask(), 0.2, np.nan)

    class Halves:
        rings = fourier_ring_correlation(*pair())

    frames = PositionResiduals(positions(), np.linspace(0.01, 0.05, 30))
    return Quality(Uncertainty(), Halves(), mask().astype(np.float32), frames)


def test_images_keep_the_orientation_of_the_array(tmp_path):
    save_image(tmp_path / "a.png", amplitude_image(pair()[1], mask()))
    drawn = imread(tmp_path / "a.png")[..., :3].mean(axis=-1)
    dark = drawn < 20  # amplitude 0.5, the lowest, is black
    rows, cols = np.nonzero(dark)
    # The bright quarter is missing from the upper left of the bounding box of the dark region.
    box = dark[rows.min() : rows.max(), cols.min() : cols.max()]
    height, width = box.shape
    corner = box[: height // 3, : width // 4]
    assert corner.mean() < 0.1
    assert box[height // 2 :, : width // 2].mean() > 0.5


@pytest.mark.parametrize("pixel_size_m", [None, 9.3e-10])
def test_every_figure_is_written(tmp_path, pixel_size_m):
    found = view(Placement((-3, 5), pixel_size_m), positions=positions(), probe=two_modes(),
                 residuals=np.linspace(0, 1, 30))  # fmt: skip
    comparison = compare(*pair(), mask())
    document = metrics_document(comparison, pixel_size_m=pixel_size_m)
    for name, image in zip(("amplitude", "phase"), found.images, strict=True):
        save_image(tmp_path / f"{name}.png", image)
    save_result(tmp_path / "result.png", found)
    save_comparison(tmp_path / "both.png", comparison, document, pixel_size_m=pixel_size_m)
    groups = np.arange(28).reshape(7, 4)
    x, y = positions().T[::-1]
    save_groups(tmp_path / "groups.png", positions(), groups, summarise(x, y, groups))
    save_probe(tmp_path / "probe.png", two_modes(), two_modes())
    save_uncertainty(tmp_path / "uncertainty.png", quality(), table=[("a", "b")])
    save_training_curves(tmp_path / "loss.png", {"train_loss": [1.0, 0.5], "val_loss": []}, floor=1)
    assert all(imread(file).std() > 0 for file in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 8


@pytest.mark.parametrize("shape", [(48, 40), (24, 96), (96, 24)])
def test_the_comparison_plot_cuts_nothing_off(shape):
    rng = np.random.default_rng(0)
    truth = np.exp(1j * rng.normal(size=shape)).astype(np.complex64)
    comparison = compare(truth, truth, np.ones(shape, bool))
    document = metrics_document(comparison, detector_residual=0.0049, pixel_size_m=9.3e-10)
    document["legacy"] = {f"a_rather_long_name_of_a_metric_{n}": 0.1 for n in range(6)}
    document["removed_turn"] = "conjugate, turned by 180 degrees"
    figure = new_figure(*comparison_size(comparison))
    draw_comparison(figure, comparison, document, pixel_size_m=9.3e-10)
    figure.draw_without_rendering()
    width, height = figure.bbox.size
    boxes = [axes.get_tightbbox() for axes in figure.axes if axes.axison]
    boxes += [text.get_window_extent() for axes in figure.axes for text in axes.texts]
    assert len(boxes) == 4 + 4 + 1 + 1  # images, colour bars, curves, table
    assert min(box.x0 for box in boxes) >= 0
    assert min(box.y0 for box in boxes) >= 0
    assert max(box.x1 for box in boxes) <= width
    assert max(box.y1 for box in boxes) <= height


def test_a_table_loses_no_word():
    rows = [("name", "value " * 40), ("longer name", "1.0")]
    figure = new_figure(4.0, 3.0)
    axes = figure.subplots()
    draw_table(figure, axes, rows)
    (text,) = axes.texts
    box = text.get_window_extent()
    assert text.get_text().split() == " ".join(f"{name} {value}" for name, value in rows).split()
    assert box.x1 <= figure.bbox.width
    assert box.y0 >= 0


@pytest.mark.parametrize(
    ("more", "n_images"),
    [
        ({}, 3),
        ({"positions": np.ones((4, 2))}, 3),
        ({"positions": np.ones((4, 2)), "residuals": np.full(4, np.nan)}, 3),
        ({"probe": two_modes()[:1]}, 5),
        ({"probe": two_modes(), "positions": positions(), "residuals": np.ones(30)}, 5),
    ],
)
def test_a_result_shows_what_is_known_of_it(more, n_images):
    found = view(**more)
    figure = new_figure(*result_size(found))
    draw_result(figure, found)
    figure.draw_without_rendering()
    titles = [axes.get_title().partition("\n")[0] for axes in figure.axes if axes.images]
    assert titles[:3] == ["Amplitude", "Phase", "Coverage"]
    assert len(titles) == n_images


def test_thumbnails_show_amplitude_and_phase_and_are_small():
    written = thumbnail(view(), side=100)
    picture = imread(io.BytesIO(written))
    assert len(written) < 50_000
    # 44 x 36 known pixels, twice as large, 8 pixels apart
    assert picture.shape == (88, 2 * 72 + 8, 4)
    assert picture[:30, :30, :3].min() > 200  # the bright quarter, amplitude 1
    assert picture[-30:, :30, :3].max() < 80  # amplitude 0.5


def test_thumbnails_of_large_and_of_unknown_objects():
    large = ObjectView(obj=np.ones((600, 300), np.complex64), coverage=np.ones((600, 300)))
    assert imread(io.BytesIO(thumbnail(large, side=60))).shape == (60, 2 * 30 + 8, 4)
    unknown = ObjectView(obj=np.zeros((20, 20), np.complex64), coverage=np.zeros((20, 20)))
    assert imread(io.BytesIO(thumbnail(unknown)))[..., 3].max() == 0  # transparent


def test_objects_without_contrast_or_illumination_can_be_drawn(tmp_path):
    empty = np.zeros((20, 20), dtype=np.complex64)
    dark = np.zeros((20, 20), np.float32)
    found = ObjectView(obj=empty, coverage=dark, positions=np.zeros((1, 2)))
    save_result(tmp_path / "empty.png", found)
    save_result(tmp_path / "flat.png", ObjectView(obj=empty + 1, coverage=dark + 1))


def test_drawing_changes_no_setting_of_matplotlib(tmp_path):
    before = dict(mpl.rcParams)
    save_result(tmp_path / "p.png", view())
    assert dict(mpl.rcParams) == before
    assert new_figure(1, 1).canvas.manager is None


@pytest.mark.parametrize(
    ("length", "expected"), [(1, 1), (4.9, 2), (5, 5), (73, 50), (0.3, 0.2), (5e-9, 5e-9)]
)
def test_scale_bars_have_round_lengths(length, expected):
    assert round_length(length) == pytest.approx(expected)
