"""Contents of images: values, ranges and places, each by hand."""

import numpy as np
import pytest
from figure_data import mask, pair, two_modes

from ptycho.metrics import compare
from ptycho.report.images import (
    COLORS,
    MOST_MODES,
    Placement,
    amplitude_image,
    comparison_images,
    corners_of,
    coverage_image,
    difference_images,
    object_images,
    phase_image,
    probe_images,
    residual_dots,
    uncertainty_image,
)

PLACEMENT = Placement((10, 20), 1e-8)


def test_a_cropped_image_keeps_its_values_its_range_and_its_place():
    known = np.zeros((6, 8), bool)
    known[2, 3:5] = known[4, 4] = True
    obj = np.arange(48.0).reshape(6, 8).astype(np.complex64)
    image = amplitude_image(obj, known, PLACEMENT)
    part = image.cropped()
    assert part.placement == Placement((12, 23), 1e-8)
    np.testing.assert_array_equal(part.values, np.abs(obj)[2:5, 3:5])
    np.testing.assert_array_equal(part.known, known[2:5, 3:5])
    assert part.range == image.range
    assert part.cropped().values.shape == part.values.shape


def test_an_image_of_which_nothing_is_known_is_not_cropped():
    image = amplitude_image(np.ones((3, 4), np.complex64), np.zeros((3, 4), bool))
    assert image.cropped().values.shape == (3, 4)


def test_the_phase_is_shown_without_mean_and_ramp():
    rows, cols = np.mgrid[:30, :40]
    obj = np.exp(1j * (0.02 * rows - 0.01 * cols + 0.7)).astype(np.complex64)
    image = phase_image(obj, np.ones(obj.shape, bool))
    np.testing.assert_allclose(image.values, 0, atol=1e-5)  # float32 phases
    assert image.note == "mean and ramp of (0.02, -0.01) rad/px removed"


def test_the_coverage_is_a_share_of_its_maximum():
    image = coverage_image(np.array([[0.0, 2.0], [4.0, 8.0]]))
    np.testing.assert_array_equal(image.values, [[0, 0.25], [0.5, 1]])
    np.testing.assert_array_equal(image.known, [[False, True], [True, True]])
    assert coverage_image(np.zeros((2, 2))).range == (0.0, 1.0)


def test_uncertainties_begin_at_zero():
    std = np.array([[0.1, np.nan], [0.3, 0.2]])
    image = uncertainty_image(std, "phase", PLACEMENT)
    low, high = image.range
    assert low == 0
    assert high == pytest.approx(0.3, abs=0.01)  # the 99th percentile
    assert not image.known[0, 1]
    assert image.unit == "rad"
    assert uncertainty_image(np.full((2, 2), np.nan), "amplitude").range == (0.0, 1.0)


def test_modes_come_with_their_share_of_the_power():
    images = probe_images(two_modes())
    assert [image.title for image in images] == [
        "Probe mode 1, 80 % of the power", "Probe mode 1, phase",
        "Probe mode 2, 20 % of the power", "Probe mode 2, phase",
    ]  # fmt: skip
    assert len(probe_images(np.ones((9, 4, 4), np.complex64))) == 2 * MOST_MODES
    assert probe_images(two_modes()[:1])[0].title == "Probe"
    assert not images[1].known[0, 0]  # too dark for a phase


def test_dark_frames_have_no_dot():
    dots = residual_dots(np.eye(3, 2), np.array([0.1, np.nan, 0.3]), np.array([5, 6, 7]))
    np.testing.assert_allclose(dots.values, [10, 30])
    assert dots.frames.tolist() == [5, 7]
    assert residual_dots(np.eye(3, 2), np.ones(3)).frames.tolist() == [0, 1, 2]


def test_a_comparison_shares_the_range_of_the_truth():
    images = comparison_images(compare(*pair(), mask()), 1e-8)
    for found, true in images.values():
        assert found.range == true.range
        assert found.placement == true.placement
        assert found.placement.pixel_size_m == 1e-8
        assert (found.title[-14:], true.title[-12:]) == ("reconstruction", "ground truth")


def test_differences_part_at_zero():
    estimate, truth = pair()
    images = difference_images(compare(estimate, truth, mask()))
    for image in images.values():
        low, high = image.range
        assert low == -high
        assert np.abs(image.values[image.known]).mean() < 0.05  # the noise has 0.02
    assert {image.colors for image in images.values()} <= set(COLORS)


def arrays(**more):
    obj = pair()[0]
    return {
        "object": obj, "coverage": mask().astype(np.float32), "origin": np.array([10.0, 20.0]),
    } | more  # fmt: skip


def test_images_of_a_run():
    std = np.full(mask().shape, 0.1, np.float32)
    images = object_images(arrays(phase_std=std, pixel_size_m=np.float64(2e-8)))
    assert list(images) == ["amplitude", "phase", "phase_std"]
    assert {image.placement for image in images.values()} == {Placement((10, 20), 2e-8)}
    assert object_images({"object": pair()[0]}) == {}
    strange = object_images(arrays(phase_std=std[:-1], pixel_size_m=np.float64(np.nan)))
    assert list(strange) == ["amplitude", "phase"]
    assert strange["phase"].placement.pixel_size_m is None


def test_corners_of_what_is_covered():
    first, last = corners_of(arrays())
    assert first.tolist() == [12, 22]
    assert last.tolist() == [10 + 45, 20 + 37]
    assert corners_of({}) == []
    assert corners_of(arrays(coverage=np.zeros(mask().shape))) == []
