"""Laws of cutting and placing windows, and values worked by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ptycho.physics.patches import (
    Canvas,
    canvas_of,
    cut_patches,
    place_patches,
    window_corners,
)

SHAPES = [(16, 16, 5), (17, 12, 4), (6, 6, 6)]


def drawn_corners(height, width, size, *batch):
    g = torch.Generator().manual_seed(0)
    draw = [torch.randint(0, n - size + 1, (*batch, 9), generator=g) for n in (height, width)]
    return torch.stack(draw, dim=-1)


@pytest.mark.parametrize(("height", "width", "size"), SHAPES)
def test_place_is_the_adjoint_of_cut(noise, height, width, size):
    corners = drawn_corners(height, width, size, 2)
    obj, patches = noise(2, height, width), noise(2, 9, size, size, seed=1)
    left = torch.vdot(cut_patches(obj, corners, size).flatten(), patches.flatten())
    right = torch.vdot(obj.flatten(), place_patches(patches, corners, (height, width)).flatten())
    torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)  # float64, up to 648 terms


@pytest.mark.parametrize(("height", "width", "size"), SHAPES)
def test_windows_are_those_of_plain_slices(noise, height, width, size):
    corners, obj = drawn_corners(height, width, size), noise(height, width)
    slices = [obj[r : r + size, c : c + size] for r, c in corners.tolist()]
    torch.testing.assert_close(cut_patches(obj, corners, size), torch.stack(slices))


def test_cut_takes_the_window_that_starts_at_the_corner():
    obj = torch.arange(20.0).reshape(4, 5)
    cut = cut_patches(obj, torch.tensor([[1, 2]]), 2)
    torch.testing.assert_close(cut, torch.tensor([[[7.0, 8.0], [12.0, 13.0]]]))


def test_windows_that_overlap_add_up():
    placed = place_patches(torch.ones(2, 2, 2), torch.tensor([[0, 0], [1, 1]]), (3, 4))
    assert placed.tolist() == [[1, 1, 0, 0], [1, 2, 1, 0], [0, 1, 1, 0]]


@pytest.mark.parametrize("corner", [(-1, 0), (0, -1), (0, 4), (3, 0)])
def test_a_window_that_leaves_the_canvas_is_refused(corner):
    with pytest.raises(ValueError, match="expected inside a canvas"):
        cut_patches(torch.zeros(4, 5), torch.tensor([corner]), 2)
    with pytest.raises(ValueError, match="expected inside a canvas"):
        place_patches(torch.zeros(1, 2, 2), torch.tensor([corner]), (4, 5))


def test_no_window_is_no_error():
    none = torch.zeros(0, 2, dtype=torch.int64)
    assert cut_patches(torch.zeros(4, 5), none, 2).shape == (0, 2, 2)
    assert not place_patches(torch.zeros(0, 2, 2), none, (4, 5)).any()


def test_corners_round_half_up_and_keep_the_rest():
    positions = torch.tensor([[10.5, 3.25], [-0.75, 7.0]], dtype=torch.float64)
    corners, rest = window_corners(positions, 4)
    assert corners.tolist() == [[9, 1], [-3, 5]]
    torch.testing.assert_close(rest, torch.tensor([[-0.5, 0.25], [0.25, 0.0]]))


@given(place=st.floats(-1e6, 1e6), size=st.integers(1, 65))
def test_a_corner_and_its_rest_are_the_position(place, size):
    corners, rest = window_corners(torch.tensor([[place, 0.0]], dtype=torch.float64), size)
    again = corners[0, 0].item() + size // 2 + rest[0, 0].item()
    assert again == pytest.approx(place, rel=0, abs=1e-7)  # the rest is kept in float32
    assert -0.5 <= rest[0, 0] <= 0.5


def test_the_canvas_holds_every_window_and_no_more():
    positions = torch.tensor([[10.5, 3.25], [-0.75, 7.0]], dtype=torch.float64)
    canvas = canvas_of(positions, 4)
    assert canvas == ((-3, 1), (16, 8))  # rows -3 .. 12, cols 1 .. 8


def test_a_widened_canvas_reaches_farther_on_every_side():
    assert Canvas((-3, 1), (16, 8)).widened(2) == Canvas((-5, -1), (20, 12))
    assert Canvas((-3, 1), (16, 8)).widened(0) == Canvas((-3, 1), (16, 8))
