"""Spoilings, scores and counts of the calibration benchmark."""

import sys
from pathlib import Path

import numpy as np
import pytest

from ptycho.api.result import Result
from ptycho.io.orientation import oriented, placed
from ptycho.settings.reconstruct import ReconstructSettings
from ptycho.simulation.probes import make_probe

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import calibration
import calibration_scans as scans
import calibration_scoring as scoring
import calibration_spoilings as spoilings
import calibration_table as tables


def recipe(*names):
    return scans.Recipe(3, "photograph", "lens +", 64, "raster", 36, 1e4, 0.7, names)


@pytest.fixture(scope="module")
def made():
    return scans.make(recipe(), Path())


def test_part_of_the_scans_is_the_start_of_all():
    some = scans.recipes(20)
    assert scans.recipes(10) == some[:10]
    assert [len(r.spoilings) for r in some].count(0) == 4  # 20 %


def test_two_spoilings_of_a_scan_are_of_different_groups():
    for r in scans.recipes(60):
        groups = [spoilings.SPOILINGS[name].group for name in r.spoilings]
        assert len(set(groups)) == len(groups)


def test_spoilings_leave_the_right_scan_right_but_for_what_happened_in_the_experiment(made):
    rng = np.random.default_rng(0)
    for name, spoiling in spoilings.SPOILINGS.items():
        pair = spoiling.apply(made.pair, rng)
        assert pair.spoiled.n_frames == made.pair.right.n_frames
        assert not same(pair.spoiled, made.pair.spoiled), name
        if spoiling.group not in ("experiment", "some frames", "detector"):
            assert pair.right is made.pair.right


def same(one, other):
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("frames", "positions", "probe", "measurement")
    )


def test_blur_moves_photons_and_loses_none(made):
    pair = spoilings.SPOILINGS["blur"].apply(made.pair, np.random.default_rng(0))
    assert pair.right.frames.sum() == made.pair.right.frames.sum()
    assert pair.right.experiment.blur == 1


def as_result(made, obj, positions, shift=(0.0, 0.0)):
    """Return a result with this object, on pixels of its own."""
    return Result(
        obj=obj, coverage=np.ones(obj.shape), origin=tuple(int(s) for s in shift),
        probe=made.probe, frames=np.arange(len(positions)), positions=positions + shift,
        residuals=np.zeros(len(positions)), scan=made.pair.spoiled,
        groups=np.arange(len(positions))[:, None], settings=ReconstructSettings(),
    )  # fmt: skip


def test_turned_picture_counts_only_where_the_given_probe_cannot_tell(made):
    # Both axes negated with the conjugate: frames are the same, the probe is the conjugate one.
    middle = (np.array(made.obj.shape) - 1) / 2
    twin = as_result(
        made, made.obj[::-1, ::-1].conj(), 2 * middle - made.positions, shift=(40.0, -7.0)
    )
    for told, counts in {"negate-both": False, "conjugate-probe": True, "hot": False}.items():
        of = replace_spoilings(made, told)
        row, _ = scoring.score(twin, of, spoiled=True)
        assert (row["phase_db"] > 60) == counts, told  # the very truth
        assert row["position_rms"] == pytest.approx(0, abs=1e-9)


def replace_spoilings(made, name):
    pair = spoilings.SPOILINGS[name].apply(made.pair, np.random.default_rng(0))
    return made._replace(recipe=recipe(name), pair=pair)


def test_object_in_transposed_coordinates_is_turned_back(made):
    # Frames transposed instead of positions swapped: a symmetric probe cannot tell.
    turned = as_result(made, made.obj.T, placed(made.positions, ("swap",)))
    row, _ = scoring.score(turned, replace_spoilings(made, "swap"), spoiled=True)
    assert row["turn"] == "transpose"
    assert row["turn_allowed"]
    assert row["phase_db"] > 60


@pytest.mark.parametrize("steps", [("rot90",), ("transpose", "flipud"), ("fliplr",)])
def test_probe_that_is_symmetric_stays_after_a_turn(steps):
    probe = make_probe("gaussian", 32, fwhm=8, photons=1.0)[0]
    assert oriented(probe, steps).shape == probe.shape
    words = tuple(step for step in steps if step != "rot90")
    assert scoring._likeness(scoring._turned_probe(probe, words), probe) == pytest.approx(1)


def row(number, arm, phase_db, verdict="", spoiled=("swap",), dose=1e5):
    return {
        "number": number, "arm": arm, "phase_db": phase_db, "amplitude_db": phase_db,
        "wrong": phase_db < 15, "verdict": verdict, "spoilings": list(spoiled), "dose": dose,
        "seconds": 1.0, "turn": "", "turn_allowed": True, "obj": "text", "probe": "disc",
        "size": 64, "frames": 200, "pattern": "raster", "overlap": 0.5,
    }  # fmt: skip


def test_summary_counts_what_is_as_good_as_known_and_false_verdicts():
    rows = [
        row(0, "known", 30.0, "doubtful"), row(0, "spoiled", 12.0, "consistent"),
        row(0, "calibrated", 29.5, "consistent"),
        row(1, "known", 30.0, "consistent", dose=1e3), row(1, "spoiled", 14.0, "wrong", dose=1e3),
        row(1, "calibrated", 28.6, "consistent", dose=1e3),
        row(2, "known", 30.0, "consistent"), row(2, "calibrated", 28.6, "wrong"),
    ]  # fmt: skip
    cases = tables.cases_of(rows)
    assert tables.share(cases, "calibrated") == "67% (2 of 3)"  # 1.4 dB count at a low dose only
    assert tables.share(cases, "spoiled") == "0% (0 of 2)"
    assert tables.count(cases, "spoiled", "passes_wrong", "wrong") == "1 of 2"
    assert tables.count(cases, "known", "blames_right", "right") == "1 of 3"
    assert tables.count(cases, "calibrated", "blames_right", "right") == "1 of 3"
    head = {"form": "part", "scans": 3, "machine": "", "jobs": 1, "automatic": {}}
    assert "| swap | 3 (3) |" in tables.as_markdown(rows, head)


def test_rows_of_another_recipe_are_measured_again(tmp_path):
    chosen = scans.recipes(2)
    lines = [calibration.as_json(r._asdict() | {"arm": "known", "phase_db": 1.0}) for r in chosen]
    lines.append(lines[0].replace('"phase_db": 1.0', '"phase_db": 2.0'))
    (tmp_path / "rows.jsonl").write_text("\n".join([*lines, '{"number": 1, "ar']))
    changed = [chosen[0], chosen[1]._replace(dose=1.0)]
    found = calibration.rows_in(tmp_path / "rows.jsonl", changed)
    assert list(found) == [(0, "known")]
    assert found[0, "known"]["phase_db"] == 2.0  # the last counts


def test_calibrated_arm_is_measured_if_there_is_a_setting_for_it():
    fields = ReconstructSettings.__dataclass_fields__
    assert ("calibrate" in calibration.available()) == ("calibrate" in fields)
