"""The inspection names each fault of a scan, and is silent on sound ones."""

from dataclasses import replace

import numpy as np
import pytest

from ptycho.api.simulation import simulate
from ptycho.scan.findings import numbered
from ptycho.scan.inspection import inspect_scan
from ptycho.scan.position_checks import probe_diameter

N = 32


@pytest.fixture(scope="module")
def sound():
    return simulate(n_frames=144, N=N, step=2.5, jitter=0.4, probe_fwhm=9.0, photons=2e4, seed=3,
                    amplitude_image="leaves", phase_image="clouds")  # fmt: skip


def names(raw):
    return {finding.name for finding in inspect_scan(raw).findings}


def only(raw, name):
    findings = inspect_scan(raw).findings
    assert [finding.name for finding in findings] == [name]
    return findings[0]


def with_frames(raw, change, dtype=np.uint32):
    frames = np.asarray(raw.frames[:]).astype(dtype)
    changed = change(frames)
    return replace(raw, frames=frames if changed is None else changed)


def test_a_sound_scan_is_silent(sound):
    assert names(sound) == set()


@pytest.mark.parametrize("seed", range(6))
def test_sound_scans_of_any_dose_and_probe_are_silent(seed):
    rng = np.random.default_rng(seed)
    raw = simulate(
        n_frames=100, N=N, step=2.0, jitter=float(rng.uniform(0, 0.6)), seed=seed,
        photons=float(10 ** rng.uniform(3.3, 7)), probe_fwhm=float(rng.uniform(7, 10)),
        probe=str(rng.choice(["disc", "gaussian"])), scan=str(rng.choice(["raster", "fermat"])),
        amplitude_image="camera", phase_image="coins",
    )  # fmt: skip
    assert names(raw) == set()


# Frames and pixels


@pytest.mark.parametrize("lost", [[5], range(40, 60), range(3, 144, 10), range(0, 144, 2)])
def test_blank_frames(sound, lost):
    lost = list(lost)

    def dark(frames):
        frames[lost] = 0

    found = only(with_frames(sound, dark), "blank_frames")
    assert list(found.frames) == lost
    assert "--skip_frames" in found.remedy


def test_bright_and_frozen_frames(sound):
    def bright(frames):
        frames[[7, 90]] *= 8

    assert set(only(with_frames(sound, bright), "bright_frames").frames) == {7, 90}

    def frozen(frames):
        frames[51:54] = frames[50]

    assert only(with_frames(sound, frozen), "frozen_frames").frames == (51, 52, 53)


@pytest.mark.parametrize(
    ("gap", "words"),
    [(np.s_[:, :, 18:21], "columns 18-20"), (np.s_[:, 14:18, 14:18], "rows 14-17, columns 14-17")],
)
def test_gaps_and_a_beamstop(sound, gap, words):
    def cut(frames):
        frames[gap] = 0

    found = inspect_scan(with_frames(sound, cut))
    assert [f.name for f in found.findings] == ["zero_regions"]
    assert words in found.findings[0].text
    masked = replace(with_frames(sound, cut), mask=found.proposed_mask())
    assert names(masked) == set()


def test_pixels_that_are_hot_in_a_few_frames(sound):
    def flash(frames):
        frames[[0, 71, 143], 4, 9] = 5000

    assert "(4, 9)" in only(with_frames(sound, flash), "flashing_pixels").text


def test_saturation(sound):
    top = int(0.3 * np.asarray(sound.frames[:]).max())
    found = only(with_frames(sound, lambda frames: np.minimum(frames, top)), "saturation")
    assert f"read {top}, the largest value" in found.text


def test_a_pedestal_and_a_gain(sound):
    assert only(with_frames(sound, lambda f: f + 20), "pedestal").remedy.startswith("--pedestal 20")
    assert only(with_frames(sound, lambda f: f * 130), "gain").remedy == "--gain 130"


def test_frames_that_begin_at_the_zero_frequency_or_lie_off_centre(sound):
    corner = with_frames(sound, lambda f: np.fft.ifftshift(f, axes=(1, 2)))
    assert "corner_centred_frames" in names(corner)
    assert "off_centre_frames" in names(with_frames(sound, lambda f: np.roll(f, (3, 2), (1, 2))))


def test_amplitudes_and_intensities_are_told_from_each_other(sound):
    rounded = with_frames(sound, lambda f: np.rint(np.sqrt(f)).astype(np.uint16))
    assert "--measurement amplitude" in only(rounded, "amplitudes_as_intensity").remedy
    wrong = replace(with_frames(sound, lambda f: f.astype(np.float32)), measurement="amplitude")
    assert "intensity_as_amplitude" in names(wrong)


def test_few_counts_that_scatter_as_counts_are_no_amplitudes(sound):
    """Their mean follows the spectrum to the power 1/2, as behind a strongly scattering sample."""
    mean = np.sqrt(np.asarray(sound.frames[:]).mean(axis=0))
    mean *= 2000 / mean.sum()
    rng = np.random.default_rng(0)
    counted = with_frames(sound, lambda f: rng.poisson(mean, f.shape).astype(np.uint16))
    assert "amplitudes_as_intensity" not in names(counted)
    still = with_frames(sound, lambda f: np.broadcast_to(np.rint(mean), f.shape).astype(np.uint16))
    assert "amplitudes_as_intensity" in names(still)


@pytest.mark.parametrize("factor", [1e-9, 1e-4, 1.0, 1e4])
def test_no_finding_depends_on_the_unit_of_the_frames(sound, factor):
    """But the one that says that the unit is no photons."""
    scaled = with_frames(sound, lambda f: (f * factor).astype(np.float32))
    found = names(replace(scaled, measurement="intensity"))
    assert found - {"unknown_unit"} == set()
    assert ("unknown_unit" in found) == (factor < 1e-3)


# Positions and probe


def moved(raw, change):
    positions = raw.positions.copy()
    result = change(positions)
    positions = positions if result is None else result
    return replace(raw, ycoords=positions[:, 0], xcoords=positions[:, 1], xcoords_start=None,
                   ycoords_start=None)  # fmt: skip


def test_positions_in_metres_in_one_spot_and_too_far_apart(sound):
    assert "--positions_unit m" in inspect_scan(moved(sound, lambda p: p * 2e-8)).errors[0].remedy
    assert "all positions are equal" in inspect_scan(moved(sound, lambda p: 0 * p)).errors[0].text
    assert {"no_overlap", "near_field"} <= names(moved(sound, lambda p: p * 20))
    assert "thin_overlap" in names(moved(sound, lambda p: p * 3.2))


def test_a_position_far_off_is_named_and_a_huge_object_is_an_error(sound):
    def off(positions):
        positions[17, 0] += 600

    found = only(moved(sound, off), "far_off_positions")
    assert (found.frames, found.severity) == ((17,), "warning")

    def huge(positions):
        positions[17] += 4000

    assert inspect_scan(moved(sound, huge)).errors[0].frames == (17,)


def test_stuck_positions(sound):
    def stuck(positions):
        positions[30:36] = positions[30]

    assert only(moved(sound, stuck), "stuck_positions").frames == tuple(range(31, 36))
    twice = moved(sound.subset(np.repeat(np.arange(144), 2)), lambda p: p)
    assert "stuck_positions" not in names(twice)  # two exposures of each spot


def test_a_probe_in_the_corners_of_its_array(sound):
    corner = replace(sound, probe=np.fft.ifftshift(sound.probe, axes=(1, 2)))
    assert "--probe fftshift" in only(corner, "corner_centred_probe").remedy


def test_the_diameter_of_a_probe_by_hand():
    probe = np.zeros((1, 8, 8), np.complex64)
    probe[0, 2:6, 2:6] = 1.0  # 16 equal pixels: 80 % of the power are 13 of them
    assert probe_diameter(probe) == pytest.approx(2 * np.sqrt(13 / np.pi))


def test_numbers_are_shortened_to_runs():
    assert numbered([1, 2, 3, 7, 9, 10]) == "1-3,7,9-10"
    assert numbered(range(0, 40, 2), 3) == "0,2,4,..."
