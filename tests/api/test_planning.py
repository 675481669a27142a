"""`ptycho.plan` and `ptycho plan`: the smallest errors of a planned scan."""

import json

import pytest
from tiny_scan import simulated

import ptycho
from ptycho.commands import cli
from ptycho.errors import ConfigError


def test_an_overlap_is_a_step():
    plan = ptycho.plan(overlap=0.75)
    assert plan.step == pytest.approx(plan.width / 4)
    assert plan.overlap == pytest.approx(0.75)


def test_a_scan_gives_probe_photons_and_positions():
    raw = simulated(photons=1e4)
    plan = ptycho.plan(raw, min_amplitude=0.5)
    assert plan.step == pytest.approx(2, abs=0.4)
    assert plan.photons == pytest.approx(1e4, rel=0.4)  # by its counts, of a sample assumed
    assert plan.positions is not None
    assert ptycho.plan(raw, step=3.0).positions is None
    assert ptycho.plan(raw, photons=5.0).photons == 5.0


def test_the_photons_for_a_resolution_resolve_it():
    plan = ptycho.plan(overlap=0.5)
    needed = plan.photons_for(2.0)
    assert plan.bound(needed).resolution <= 2.0
    assert plan.bound(0.8 * needed).resolution > 2.0
    assert plan.photons_for(0.5) is None  # smaller than a pixel


def test_the_command_prints_a_table(capsys, tmp_path):
    picture = tmp_path / "plan.png"
    assert cli.main(["plan", "--resolution", "3", "--picture", str(picture)]) == 0
    printed = capsys.readouterr().out
    assert "photons per frame" in printed
    assert "to resolve  3 px" in printed
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_command_prints_json_of_a_scan(capsys, tmp_path):
    raw = simulated(photons=1e4)
    raw.save(tmp_path / "scan.npz")
    assert cli.main(["plan", "--like", str(tmp_path / "scan.npz"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    plan = ptycho.plan(raw)
    assert document["phase"] == pytest.approx(plan.bound().phase)
    row = next(r for r in document["table"] if r["photons"] == 1e4 and r["overlap"] == 0.6)
    assert row["phase"] == pytest.approx(plan.bound(1e4, 0.6).phase)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"overlap": 0.5, "step": 2.0}, "overlap: given with a step"),
        ({"overlap": 1.0}, "overlap: 1.0; expected"),
        ({"step": 100.0}, "step: 100 px; expected up to twice"),
        ({"min_amplitude": 1.0}, "min_amplitude"),
        ({"photons": 0.0}, "photons"),
        ({"photons": 1e300}, "photons: 1e\\+300; expected 0.001 to 1e\\+12"),
        ({"field": 1e308}, "field: 1e\\+308; expected"),
        ({"roughness": 1e5}, "roughness: 100000; expected 1 to 6"),
    ],
)
def test_what_cannot_be_scanned_is_refused(wrong, match):
    with pytest.raises(ConfigError, match=match):
        ptycho.plan(**wrong)


def test_one_position_is_no_scan():
    with pytest.raises(ConfigError, match="one position; expected a scan of two or more"):
        ptycho.plan(simulated(n_frames=49).first(1))
