"""From what files state to fields: units, geometry, orientation, windows, sums, several files."""

from dataclasses import replace

import numpy as np
import pytest

from ptycho.errors import ConfigError, DataError
from ptycho.experiment import Geometry, electron_wavelength, photon_wavelength
from ptycho.io import LazyFrames, Reading, Recorded
from ptycho.io.assemble import assemble
from ptycho.io.concatenation import stacked
from ptycho.io.joining import join
from ptycho.io.orientation import FRAME_STEPS, POSITION_STEPS, turned
from ptycho.scan.raw_data import RawData

M, N = 6, 8
RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(30, (M, N, N)).astype(np.uint16)
METRES = 1e-6 * np.array([[0, 0], [0, 2], [0, 4], [1, 0], [1, 2], [1, 4]], float)
GEOMETRY = Geometry(wavelength_m=1e-10, distance_m=2.0, detector_pixel_m=50e-6)
PIXEL = 1e-10 * 2.0 / (N * 50e-6)  # 5e-7 m
PROBE = (RNG.normal(size=(1, N, N)) + 1j * RNG.normal(size=(1, N, N))).astype(np.complex64)

FILE = Recorded(
    source="test", frames=COUNTS, positions=METRES, geometry=GEOMETRY, probe=PROBE,
    measurement="counts",
)  # fmt: skip


def fields(reading=None, **changes):
    return assemble("file", replace(FILE, **changes), reading or Reading())


def places(found):
    return np.stack([found["ycoords"], found["xcoords"]], axis=1)


# Units and geometry


def test_metres_become_object_pixels_by_the_geometry():
    found = fields()
    assert found["pixel_size_m"] == pytest.approx(5e-7)
    np.testing.assert_allclose(places(found), METRES / 5e-7)  # by hand: 2 um are 4 pixels
    assert places(found)[4].tolist() == pytest.approx([2.0, 4.0])


@pytest.mark.parametrize(
    ("unit", "factor"), [("um", 1e-6), ("nm", 1e-9), ("A", 1e-10), ("mm", 1e-3)]
)
def test_the_user_names_another_unit(unit, factor):
    found = fields(Reading(positions_unit=unit), positions=METRES / factor)
    np.testing.assert_allclose(places(found), METRES / PIXEL)


def test_lengths_of_the_user_win_over_those_of_the_file():
    found = fields(Reading(geometry=Geometry(distance_m=4.0)))
    assert found["pixel_size_m"] == pytest.approx(2 * PIXEL)
    assert fields(Reading(object_pixel_m=7e-9))["pixel_size_m"] == 7e-9


def test_metres_without_a_geometry_are_refused_with_the_flags_that_help():
    with pytest.raises(DataError, match=r"--energy_kev, --distance_m .*--object_pixel_nm"):
        fields(geometry=Geometry())


def test_the_bright_field_disc_calibrates_an_electron_scan():
    side = 64
    row, col = np.mgrid[:side, :side] - side // 2
    disc = 100.0 * (np.hypot(row, col) <= 16)
    wavelength = electron_wavelength(300e3)
    found = fields(
        Reading(semiangle=20e-3, geometry=Geometry(wavelength_m=wavelength)),
        frames=np.broadcast_to(disc, (M, side, side)), geometry=Geometry(), probe=None,
    )  # fmt: skip
    # By hand: 20 mrad in 16 pixels; the object pixel is the wavelength / (64 x 1.25 mrad).
    assert wavelength == pytest.approx(1.969e-12, rel=1e-3)
    assert found["pixel_size_m"] == pytest.approx(wavelength / (64 * 1.25e-3), rel=0.02)


@pytest.mark.parametrize("value", [0, np.nan])
def test_frames_without_light_have_neither_centre_nor_disc(value):
    dark = np.full((M, N, N), value, np.float32)
    with pytest.raises(DataError, match="frames without photons"):
        fields(Reading(center="auto"), frames=dark, measurement="intensity")
    electrons = Geometry(wavelength_m=2e-12)
    with pytest.raises(DataError, match="frames without photons"):
        fields(Reading(semiangle=0.02, geometry=electrons), frames=dark, probe=None)


def test_a_photon_of_8_kev_by_hand():
    assert photon_wavelength(8000.0) == pytest.approx(1.5498e-10, rel=1e-4)


# Frames


@pytest.mark.parametrize("step", FRAME_STEPS)
def test_steps_of_frames_act_on_frames_and_mask_alike(step):
    mask = RNG.random((N, N)) > 0.2
    found = fields(Reading(frames=(step,)), mask=mask)
    np.testing.assert_array_equal(found["frames"][:], FRAME_STEPS[step](COUNTS))
    np.testing.assert_array_equal(found["mask"], FRAME_STEPS[step](mask))


def test_frames_that_need_no_step_stay_as_they_are():
    assert fields()["frames"] is COUNTS


def test_a_window_about_a_centre_and_the_object_pixel_that_follows():
    found = fields(Reading(crop=4, center=(3.0, 5.0)))
    np.testing.assert_array_equal(found["frames"][:], COUNTS[:, 1:5, 3:7])
    assert found["pixel_size_m"] == pytest.approx(2 * PIXEL)
    np.testing.assert_allclose(places(found), METRES / (2 * PIXEL))
    assert found["probe"].shape == (1, 4, 4)


def test_a_window_that_leaves_the_frame_is_masked_there():
    found = fields(Reading(crop=6, center=(2.0, 4.0)))
    assert not found["mask"][0].any()
    assert found["mask"][1:].all()
    np.testing.assert_array_equal(found["frames"][:][:, 1:], COUNTS[:, 0:5, 1:7])


def test_sums_of_pixels_keep_the_photons_and_the_object_pixel():
    found = fields(Reading(bin=2))
    assert found["frames"].shape == (M, 4, 4)
    assert found["frames"][:].sum() == COUNTS.sum()
    assert found["pixel_size_m"] == pytest.approx(PIXEL)
    mask = np.ones((N, N), bool)
    mask[3, 3] = False
    assert np.argwhere(~fields(Reading(bin=2), mask=mask)["mask"]).tolist() == [[1, 1]]


def test_amplitudes_are_summed_as_intensities():
    found = fields(Reading(bin=2, measurement="amplitude"))
    whole = COUNTS[0, :2, :2].astype(float)
    assert found["frames"][:][0, 0, 0] == pytest.approx(np.sqrt((whole**2).sum()))


def test_dark_pedestal_and_gain_by_hand():
    dark = np.full((N, N), 4.0)
    found = fields(Reading(dark=dark, pedestal=6.0, gain=2.0), measurement=None)
    expected = np.maximum((COUNTS.astype(float) - 10) / 2, 0)
    np.testing.assert_allclose(found["frames"][:], expected)
    assert found["measurement"] == "intensity"


def test_frames_are_not_square():
    found = fields(frames=COUNTS[:, :, 1:7], probe=None)
    np.testing.assert_array_equal(found["frames"][:], COUNTS[:, 1:7, 1:7])


def test_the_probe_follows_a_window_of_the_detector():
    """Cutting the spectrum of the probe is what cutting the frames does to it."""
    smooth = np.zeros((1, N, N), np.complex64)
    smooth[0] = np.outer(np.hanning(N + 1)[:N], np.hanning(N + 1)[:N])
    probe = fields(Reading(crop=4), probe=smooth)["probe"]
    centred = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(smooth[0])))[2:6, 2:6]
    found = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(probe[0])))
    np.testing.assert_allclose(found, centred, atol=1e-5)


# Positions


@pytest.mark.parametrize("step", POSITION_STEPS)
def test_steps_of_positions(step):
    found = places(fields(Reading(positions=(step,))))
    np.testing.assert_allclose(found, POSITION_STEPS[step](METRES / PIXEL))


def test_snake_reverses_every_other_row_by_hand():
    given = np.array(
        [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2], [2, 0], [2, 1], [2, 2]], float
    )
    given[:, 1] *= 1.0
    given[:, 0] *= 4.0  # rows far apart
    turned_rows = POSITION_STEPS["snake"](given)
    assert turned_rows[:, 1].tolist() == [0, 1, 2, 2, 1, 0, 0, 1, 2]


def test_snake_turns_a_snake_with_jitter_into_a_raster():
    rows, cols = np.divmod(np.arange(20), 5)
    raster = 4.0 * np.stack([rows, cols], axis=1)
    raster += np.random.default_rng(0).normal(scale=0.5, size=raster.shape)
    back = np.where(rows % 2 == 1, 5 * rows + 4 - cols, np.arange(20))
    np.testing.assert_array_equal(POSITION_STEPS["snake"](raster[back]), raster)
    swapped = raster[back][:, ::-1]  # rows along the other axis
    np.testing.assert_array_equal(POSITION_STEPS["snake"](swapped), raster[:, ::-1])


def test_a_raster_on_the_command_line():
    found = places(
        fields(Reading(scan_shape=(2, 3), step_px=(5.0, 4.0)), positions=None, probe=None)
    )
    assert found.tolist() == [[0, 0], [0, 4], [0, 8], [5, 0], [5, 4], [5, 8]]
    quarter = Reading(scan_shape=(2, 3), step_px=(5.0, 4.0), rotation=np.pi / 2)
    np.testing.assert_allclose(
        places(fields(quarter, positions=None)), turned(found, np.pi / 2), atol=1e-12
    )
    np.testing.assert_allclose(turned(np.array([[1.0, 0.0]]), np.pi / 2), [[0, 1]], atol=1e-12)


def test_a_raster_of_another_number_of_frames_is_refused():
    with pytest.raises(ConfigError, match="scan_shape 2 x 2 for 6 frames"):
        fields(Reading(scan_shape=(2, 2), step_px=(1.0, 1.0)))
    with pytest.raises(DataError, match=r"no positions .*--join FILE.*--scan_shape"):
        fields(positions=None)


def test_frames_are_left_out_with_their_positions():
    found = fields(Reading(skip=(1, 4)))
    np.testing.assert_array_equal(found["frames"][:], COUNTS[[0, 2, 3, 5]])
    np.testing.assert_allclose(places(found), METRES[[0, 2, 3, 5]] / PIXEL)
    one_more = fields(Reading(skip=(0,)), frames=np.concatenate([COUNTS[:1], COUNTS]))
    np.testing.assert_array_equal(one_more["frames"][:], COUNTS)
    with pytest.raises(ConfigError, match="skip_frames: 6; file has the frames 0 to 5"):
        fields(Reading(skip=(6,)))


def test_a_frame_more_than_positions_is_named_with_the_flag_that_drops_it():
    more = np.concatenate([COUNTS, COUNTS[:1]])
    with pytest.raises(DataError, match=r"6 positions for 7 .* --skip_frames 0, or the last by 6"):
        fields(frames=more)
    assert len(fields(Reading(skip=(6,)), frames=more)["frames"]) == 6
    with pytest.raises(DataError, match=r"6 positions for 12 diffraction frames; .* per frame$"):
        fields(frames=np.concatenate([COUNTS, COUNTS]))


# Several files


def test_frames_and_positions_of_two_files_are_joined_by_number():
    frames = Recorded(
        source="a", frames=COUNTS, frame_numbers=np.arange(6) + 10, geometry=GEOMETRY,
        measurement="counts",
    )  # fmt: skip
    places_file = Recorded(
        source="b", positions=METRES[[5, 0, 2]], position_numbers=np.array([15, 10, 12]),
        probe=PROBE,
    )  # fmt: skip
    found = assemble("file", join("file", [frames, places_file]), Reading())
    np.testing.assert_array_equal(found["frames"][:], COUNTS[[0, 2, 5]])
    np.testing.assert_allclose(places(found), METRES[[0, 2, 5]] / PIXEL)
    assert found["metadata"]["reading"]["source"] == "a and b"


def test_what_describes_a_value_comes_from_its_file():
    places_file = Recorded(source="b", positions=METRES)
    frames = Recorded(
        source="a", frames=COUNTS.astype(np.float32) / 7, geometry=GEOMETRY, probe=PROBE,
        probe_known=False, amplitude_by_convention=True, frame_steps=("flipud",),
    )  # fmt: skip
    found = assemble("file", join("file", [places_file, frames]), Reading())
    assert (found["measurement"], found["probe_known"]) == ("amplitude", False)
    np.testing.assert_allclose(found["frames"][:], COUNTS[:, ::-1].astype(np.float32) / 7)


def in_order(*parts):
    return assemble("file", join("file", list(parts)), Reading())


def cut(recorded, part):
    """Some frames of a file, with their positions."""
    places = recorded.positions
    return replace(
        recorded, frames=recorded.frames[part], positions=None if places is None else places[part]
    )


def test_frames_of_several_files_follow_each_other_with_their_positions():
    parts = [cut(FILE, np.s_[4:]), cut(FILE, np.s_[:1]), cut(FILE, np.s_[1:4])]
    found = in_order(*parts)
    order = [4, 5, 0, 1, 2, 3]
    np.testing.assert_array_equal(found["frames"][:], COUNTS[order])
    np.testing.assert_allclose(places(found), METRES[order] / PIXEL)
    assert "2 + 1 + 3 frames of 3 files" in found["metadata"]["reading"]["steps"]
    bare = [replace(part, positions=None) for part in parts]
    apart = [Recorded(source="places", positions=part.positions) for part in parts]
    one = Recorded(source="places", positions=METRES[order])
    for files in ([*bare, *apart], [*apart, *bare], [*bare, one], [one, *bare]):
        again = in_order(*files)
        np.testing.assert_array_equal(again["frames"][:], COUNTS[order])
        np.testing.assert_allclose(places(again), places(found))


def test_frames_of_several_files_are_read_when_they_are_asked_for():
    asked = []

    def reading(name, stack):
        def read(numbers):
            asked.append((name, numbers.tolist()))
            return stack[numbers]

        return LazyFrames(stack.shape, stack.dtype, read)

    stacks = [reading("a", COUNTS[:2]), reading("b", COUNTS[2:5]), reading("c", COUNTS[5:])]
    frames = stacked(stacks)
    assert (frames.shape, frames.dtype, asked) == (COUNTS.shape, COUNTS.dtype, [])
    np.testing.assert_array_equal(frames[[4, 0, 3]], COUNTS[[4, 0, 3]])
    assert asked == [("a", [0]), ("b", [1, 2])]
    for index in (5, -1, np.s_[1:5:2], np.s_[::-1], np.array([], int), COUNTS[:, 0, 0] > 30):
        np.testing.assert_array_equal(frames[index], COUNTS[index])


def test_numbered_frames_of_several_files_are_joined_by_number_with_one_of_positions():
    first = replace(cut(FILE, np.s_[:2]), positions=None, frame_numbers=np.array([10, 11]))
    second = replace(cut(FILE, np.s_[2:]), positions=None, frame_numbers=np.arange(12, 16))
    numbered = Recorded(
        source="places", positions=METRES[::-1], position_numbers=np.arange(15, 9, -1)
    )
    found = in_order(first, second, numbered)
    np.testing.assert_array_equal(found["frames"][:], COUNTS)
    np.testing.assert_allclose(places(found), METRES / PIXEL)


def test_files_that_do_not_fit_are_refused():
    half = replace(FILE, frames=COUNTS[:, :4, :4])
    with pytest.raises(DataError, match="two files with frames, test of 8 x 8 and test of 4 x 4"):
        in_order(FILE, half)
    with pytest.raises(DataError, match="measurement counts and test with intensity; expected"):
        in_order(FILE, replace(FILE, measurement="intensity"))
    with pytest.raises(DataError, match="6 positions for 12 diffraction frames"):
        in_order(FILE, replace(FILE, positions=None))
    more = Recorded(source="places", positions=METRES)
    with pytest.raises(DataError, match="2 files with frames, 3 with positions; expected one for"):
        in_order(FILE, FILE, more)
    with pytest.raises(DataError, match="4 positions for 6 frames in file 2 of those with frames"):
        in_order(FILE, replace(FILE, positions=METRES[:4]))
    with pytest.raises(DataError, match="files with positions in m and px; expected one unit"):
        in_order(FILE, replace(FILE, positions_unit="px"))
    with pytest.raises(DataError, match="two files with positions, test and places"):
        in_order(FILE, more)


def test_positions_far_from_the_origin_and_an_object_with_its_centre():
    obj = np.ones((20, 30), complex)
    obj[3] = 2
    found = fields(obj=obj, obj_centre=(10.0, 15.0))
    np.testing.assert_allclose(places(found), METRES / PIXEL + [10, 15])


# A scan without a probe


def test_a_missing_probe_is_estimated_and_said_to_be_so(tmp_path):
    found = fields(probe=None)
    assert found["probe_known"] is False
    spectrum = np.abs(np.fft.fft2(found["probe"][0], norm="ortho")) ** 2
    np.testing.assert_allclose(np.fft.fftshift(spectrum), COUNTS.mean(axis=0), rtol=1e-4)
    raw = RawData(**{name: value for name, value in found.items() if name != "experiment"})
    raw.save(tmp_path / "scan.npz")
    assert not RawData.from_file(tmp_path / "scan.npz").probe_known


def test_an_object_stays_while_the_object_pixel_does():
    obj = np.exp(1j * np.linspace(0, 1, 600)).reshape(20, 30)
    np.testing.assert_array_equal(fields(Reading(bin=2), obj=obj)["obj"], obj)
    assert fields(Reading(crop=4), obj=obj)["obj"] is None
