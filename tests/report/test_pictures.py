"""Bokeh views of images: the values, ranges and places of the content."""

import numpy as np
import pytest
from figure_data import mask, pair

from ptycho.report.images import COLORS, Placement, amplitude_image, phase_image, residual_dots
from ptycho.report.pictures import (
    Linked,
    dots_view,
    image_view,
    linked_around,
    palette,
    plain_view,
)
from ptycho.report.quantise import Quantised


@pytest.mark.parametrize("name", COLORS)
def test_palettes_are_those_of_matplotlib(name):
    colors = palette(name)
    assert len(colors) == 256
    assert all(len(color) == 7 and color[0] == "#" for color in colors)
    assert palette("grey")[0] == "#000000"


def restored(source):
    data = source.data
    return Quantised(data["codes"][0], data["low"][0], data["step"][0]).restored()


def test_an_image_view_holds_the_known_part_where_it_lies():
    image = amplitude_image(pair()[1], mask(), Placement((10, 20)))
    view = image_view(linked_around([np.zeros(2), np.full(2, 50.0)]), image)
    data = view.source.data
    assert (data["x"], data["y"], data["dw"], data["dh"]) == ([21.5], [11.5], [36], [44])
    np.testing.assert_allclose(restored(view.source), np.abs(pair()[1])[2:-2, 2:-2], atol=1e-4)
    assert (view.mapper.low, view.mapper.high) == image.range == tuple(view.limits.value)
    assert view.colors.value == "grey"
    assert view.note.startswith("44 x 36 pixels, in 16 bits, steps of ")


def test_large_images_are_averaged_and_the_caption_states_it():
    image = phase_image(np.ones((100, 50), np.complex64), np.ones((100, 50), bool))
    view = image_view(linked_around([]), image, most=10)
    assert view.source.data["codes"][0].shape == (10, 5)
    assert view.source.data["dw"] == [50]
    assert view.note.startswith("Mean and ramp of (0, 0) rad/px removed. ")
    assert "100 x 50 pixels, averaged to 10 x 5" in view.note


def test_a_plain_view_keeps_unknown_pixels_blank():
    image = amplitude_image(pair()[1], mask())
    _, source = plain_view(Linked((0, 0), (47, 39)), image)
    np.testing.assert_array_equal(np.isnan(restored(source)), ~mask())


def test_dots_lie_at_their_positions():
    dots = residual_dots(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([0.1, 0.2]), np.array([7, 9]))
    plot, limits = dots_view(linked_around([]), dots)
    data = plot.renderers[0].data_source.data
    assert (data["x"].tolist(), data["y"].tolist()) == ([2, 4], [1, 3])
    assert data["frame"].tolist() == [7, 9]
    assert limits.start <= limits.value[0] < limits.value[1] <= limits.end


def test_axes_of_a_single_line_have_a_height():
    linked = Linked((5.0, 0.0), (5.0, 100.0))
    assert linked.aspect == pytest.approx(0.4)
