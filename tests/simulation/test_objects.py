"""Laws of every picture that objects are made from, and values of some worked by hand."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data

from ptycho.errors import ConfigError
from ptycho.simulation import PHOTOGRAPHS, PICTURES
from ptycho.simulation.objects import make_object, picture


def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("shape", [(40, 57), (33, 32)])
def test_every_picture_has_the_shape_asked_for_and_spans_0_to_1(name, shape):
    grey = picture(name, shape, rng=rng())
    assert grey.shape == shape
    assert grey.max() == 1.0
    assert grey.min() == (1.0 if name == "flat" else 0.0)


def test_photographs_come_out_of_the_installed_wheel_and_not_from_the_network():
    held = {path.stem for path in Path(skimage.data.data_dir).iterdir()}
    # Four functions of scikit-image are named unlike their file.
    files = {
        "clock": "clock_motion",
        "immunohistochemistry": "ihc",
        "shepp_logan_phantom": "phantom",
    }
    assert {files.get(name, name) for name in PHOTOGRAPHS} <= held


def test_object_keeps_to_its_ranges():
    obj = make_object(
        (50, 60), "camera", "coins", amplitude_range=(0.4, 0.9), phase_range=(-0.3, 1.2), rng=rng()
    )
    assert obj.dtype == np.complex64
    # 1e-6: rounding of complex64.
    np.testing.assert_allclose([abs(obj).min(), abs(obj).max()], [0.4, 0.9], atol=1e-6)
    phase = np.angle(obj)
    np.testing.assert_allclose([phase.min(), phase.max()], [-0.3, 1.2], atol=1e-6)


def test_amplitude_and_phase_are_different_pictures():
    obj = make_object((80, 80), "camera", "coins", rng=rng())
    correlation = np.corrcoef(abs(obj).ravel(), np.angle(obj).ravel())[0, 1]
    assert abs(correlation) < 0.3


def test_flat_pictures_make_empty_space_up_to_a_global_phase():
    obj = make_object((4, 4), "flat", "flat", phase_range=(0.0, 0.0), rng=rng())
    np.testing.assert_array_equal(obj, np.ones((4, 4), np.complex64))


@pytest.mark.parametrize("name", ["leaves", "clouds"])
def test_random_drawings_follow_their_generator(name):
    first, again = (picture(name, (30, 30), rng=rng()) for _ in range(2))
    other = picture(name, (30, 30), rng=np.random.default_rng(1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_lines_of_2_pixels_alternate_as_worked_by_hand():
    np.testing.assert_array_equal(picture("lines", (64, 8), rng=rng())[0], [0, 0, 1, 1, 0, 0, 1, 1])


def test_siemens_star_has_36_bright_spokes_around():
    star = picture("siemens", (401, 401), rng=rng())
    angles = np.linspace(0, 2 * np.pi, 4000, endpoint=False)
    ring = star[
        np.round(200 + 150 * np.sin(angles)).astype(int),
        np.round(200 + 150 * np.cos(angles)).astype(int),
    ]
    bright = ring > 0.5
    assert np.count_nonzero(bright & ~np.roll(bright, 1)) == 36


def test_clouds_lose_amplitude_by_their_exponent():
    field = picture("clouds", (256, 256), rng=rng())
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256))
    amplitude = np.abs(np.fft.fft2(field - field.mean()))
    low = amplitude[(frequency > 0.04) & (frequency < 0.05)].mean()
    high = amplitude[(frequency > 0.16) & (frequency < 0.20)].mean()
    # Four times the frequency at exponent 1.5: 4^1.5 = 8; about 200 terms scatter by some per cent.
    assert low / high == pytest.approx(8.0, rel=0.15)


def test_an_unknown_picture_is_reported_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"picture: 'mandril'; expected one of leaves, .*, text"):
        picture("mandril", (8, 8), rng=rng())
