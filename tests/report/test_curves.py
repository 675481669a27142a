"""Contents of curves: values, levels and marks, each by hand; both libraries draw all of them."""

import numpy as np
import pytest
from figure_data import pair
from run_folders import in_memory

from ptycho.metrics import fourier_ring_correlation
from ptycho.report.curves import (
    Curves,
    curves_of,
    free_residual_curve,
    loss_curves,
    ring_curves,
    rings_of,
)
from ptycho.report.drawing import draw_curves, new_figure
from ptycho.report.plots import curve_plot
from ptycho.report.training import LossChange

EPOCHS = (
    {"epoch": 1, "train_loss": 0.4, "val_loss": 0.5, "power_ratio": 1.1, "patch_spread": 0.2},
    {"epoch": 2, "train_loss": 0.3, "power_ratio": 1.0, "patch_spread": 0.2},
)


def half_data():
    rings = fourier_ring_correlation(*pair())
    return {"frequency_cycles_per_px": rings.frequency.tolist(),
            "correlation": rings.correlation.tolist()}  # fmt: skip


def test_curves_of_a_run_are_those_it_has_numbers_of(tmp_path):
    assert curves_of(in_memory(tmp_path)) == {}
    metrics = {"free_residual": [3.0, 2.0, 2.5], "sweeps": 2, "frc": half_data(),
               "uncertainty": {"half_data": half_data()}}  # fmt: skip
    found = curves_of(in_memory(tmp_path, epochs=EPOCHS, metrics=metrics))
    assert list(found) == ["loss", "power", "spread", "free_residual", "frc", "half_data_frc"]
    older = curves_of(in_memory(tmp_path, metrics={"trust": {"half_data": half_data()}}))
    assert list(older) == ["half_data_frc"]


def test_losses_by_hand(tmp_path):
    model = {"training": {"noise_floor": 0.2, "loss_before": 0.6}}
    curves = curves_of(in_memory(tmp_path, epochs=EPOCHS, model=model))["loss"]
    assert curves.title == "Training and validation loss"
    assert curves.values == {"training": [0.4, 0.3], "validation": [0.5, None]}
    assert curves.levels == {"counting noise": 0.2, "before training": 0.6}
    assert curves.scale == "log"


def test_a_loss_after_the_first_epoch_is_no_level():
    change = LossChange(name="loss", before=1.0, after=0.5, from_start=False)
    assert loss_curves([1], {"train_loss": [1.0]}, change=change).levels == {}


def test_losses_that_are_not_positive_have_a_linear_axis():
    assert loss_curves([1, 2], {"train_loss": [1.0, -1.0]}).scale == "linear"


@pytest.mark.parametrize(("kept", "first", "marked"), [(2, 1, 2), (0, 1, None), (0, 0, 0)])
def test_the_iteration_of_the_result_is_marked(kept, first, marked):
    assert free_residual_curve([3.0, 2.0, 2.5], kept, first=first).marked == marked


def test_crossings_lie_on_the_level():
    rings = fourier_ring_correlation(*pair())
    curves = ring_curves("FRC", rings)
    assert set(curves.values) == {"FRC", "half-bit", "1-bit"}
    assert curves.points[0] == (rings.crossing(0.5), 0.5)
    assert len(curves.points) == 3


def test_documents_without_levels_have_one_curve():
    rings = rings_of(half_data() | {"correlation": [None, *half_data()["correlation"][1:]]})
    curves = ring_curves("FRC", rings)
    assert set(curves.values) == {"FRC"}
    assert len(curves.points) == 1


CURVES = Curves(
    title="Title", x=[1, 2, 3], values={"a": [1.0, None, 3.0], "b": [2.0, 2.0, 2.0]},
    labels=("across", "up"), levels={"level": 1.5}, logarithmic=True, marked=2, points=[(2, 2.0)],
)  # fmt: skip


def test_matplotlib_draws_all_of_it():
    axes = new_figure(4, 3).subplots()
    draw_curves(axes, CURVES)
    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == ("Title", "across", "up")
    assert axes.get_yscale() == "log"
    first, second, level, marked, point = axes.get_lines()
    assert first.get_xdata().tolist() == [1, 3]
    assert second.get_ydata().tolist() == [2, 2, 2]
    assert (level.get_ydata()[0], marked.get_xdata()[0], point.get_ydata()[0]) == (1.5, 2, 2.0)
    assert [text.get_text() for text in axes.get_legend().texts] == ["a", "b", "level"]


def test_bokeh_draws_all_of_it():
    plot = curve_plot(CURVES)
    assert plot.title.text == "Title"
    assert (plot.xaxis.axis_label, plot.yaxis.axis_label) == ("across", "up")
    drawn = [renderer.data_source.data for renderer in plot.renderers]
    np.testing.assert_array_equal(drawn[0]["y"], [1, np.nan, 3])
    np.testing.assert_array_equal(drawn[2]["y"], [2, 2, 2])  # after the dots of the first
    assert drawn[4]["y"] == [1.5, 1.5]
    assert drawn[5] == {"x": [2], "y": [2.0]}
    assert {item.label.value for item in plot.legend[0].items} == {"a", "b", "level"}
    assert [span.location for span in plot.select({"location": 2})] == [2]
