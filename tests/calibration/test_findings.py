"""What trials of a spoiled scan find, and that every remedy is a flag that the commands accept."""

import re
from dataclasses import replace

import numpy as np
import pytest

import ptycho
from ptycho.api.inspection import inspect_files
from ptycho.calibration import findings
from ptycho.calibration.findings import check_reading
from ptycho.calibration.setup import Setup
from ptycho.calibration.tried import Tried
from ptycho.commands import cli
from ptycho.io import Reading
from ptycho.io.orientation import POSITION_STEPS


@pytest.fixture(scope="module")
def raw():
    return ptycho.simulate(
        n_frames=144, N=32, probe_fwhm=9.0, step=2.7, jitter=0.3, photons=1e5, probe="lens",
        aperture=0.2, progress=False,
    )  # fmt: skip


def moved(raw, positions):
    rows, cols = np.ascontiguousarray(positions.T)
    return replace(raw, ycoords=rows, xcoords=cols, xcoords_start=None, ycoords_start=None)


def flags_of(finding):
    return re.findall(r"--\w+", finding.remedy)


def known_flags():
    commands = (cli.reconstruct_command, cli.calibrate_command)
    return {word for each in commands for param in each.params for word in param.opts}


def found_in(raw, **given):
    found = check_reading(raw, **given)
    for each in found:
        assert set(flags_of(each)) <= known_flags()
    return [(each.name, each.remedy) for each in found]


def test_a_right_scan_gives_no_finding(raw):
    assert found_in(raw) == []
    assert found_in(raw.first(20)) == []  # too few frames to hold some out


@pytest.mark.parametrize(
    ("step", "flag"),
    [("swap", "swap"), ("negate_rows", "negate_rows"), ("reverse", "reverse"), ("late", "early")],
)
def test_wrong_positions_are_named_with_their_flag(raw, step, flag):
    ((name, remedy),) = found_in(moved(raw, POSITION_STEPS[step](raw.positions)))
    assert name == "orientation"
    assert f"--positions {flag} leaves" in remedy


def test_flags_that_were_given_are_part_of_the_remedy(raw, tmp_path):
    raw.save(tmp_path / "scan.npz")
    (found,) = inspect_files(
        [tmp_path / "scan.npz"], Reading(positions=("negate_rows",), frames=("rot90",) * 4),
        trial=True,
    )  # fmt: skip
    (finding,) = found.inspection.findings
    assert "--positions negate_rows,negate_rows leaves" in finding.remedy
    again = Reading(positions=("negate_rows", "negate_rows"))
    (mended,) = inspect_files([tmp_path / "scan.npz"], again, trial=True)
    assert mended.inspection.findings == ()


def test_a_probe_that_only_needs_refinement_is_named(raw):
    size = raw.frame_size
    axis = np.arange(size) - size // 2
    curved = np.exp(0.03j * (axis[:, None] ** 2 + axis**2))
    found = found_in(replace(raw, probe=np.asarray(raw.probe) * curved.astype(np.complex64)))
    assert found == [("probe_unexplained", "--refine_probe")]


def test_positions_turned_by_30_degrees_are_left_to_the_calibration(raw):
    angle = np.deg2rad(30.0)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    ((name, remedy),) = found_in(moved(raw, raw.positions @ matrix.T))
    assert name == "orientation"
    assert "`ptycho calibrate` finds it" in remedy
    assert "turned by -30.00 degrees leaves" in remedy


def test_frames_of_nothing_known_are_unexplained(raw):
    rng = np.random.default_rng(0)
    ((name, remedy),) = found_in(moved(raw, raw.positions[rng.permutation(raw.n_frames)]))
    assert name == "frames_unexplained"
    assert "ptycho calibrate" in remedy


def test_the_time_is_bounded(raw, monkeypatch):
    calls = []

    def slow(raw, setup, probe=None, name="", *, refine=None):
        calls.append(setup)
        return Tried(setup=setup, probe=probe, probe_name=name, unexplained=0.9)

    monkeypatch.setattr(findings, "_SECONDS", 0.0)
    monkeypatch.setattr(findings, "tried", slow)
    monkeypatch.setattr("ptycho.calibration.orientation.tried", slow)
    ((name, _),) = found_in(moved(raw, POSITION_STEPS["swap"](raw.positions)))
    assert name == "frames_unexplained"
    assert len(calls) == 3  # as read, with a refined probe, and as read once more


def test_an_unexplained_probe_is_not_said_of_frames_off_their_centre(tmp_path, raw):
    frames = np.roll(np.asarray(raw.frames[:]), (3, -2), axis=(1, 2))
    replace(raw, frames=frames).save(tmp_path / "scan.npz")
    (found,) = inspect_files([tmp_path / "scan.npz"], Reading(), trial=True)
    assert [each.name for each in found.inspection.findings] == ["off_centre_frames"]


def test_readings_are_named_as_flags_only_where_these_are_all():
    assert Setup(positions=("swap",), measurement="amplitude").all_flags
    assert not Setup(matrix=((2.0, 0.0), (0.0, 2.0))).all_flags
