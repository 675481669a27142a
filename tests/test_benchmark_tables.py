"""Verdicts of the reconstruction benchmark, on made-up rows."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import reconstruction_table as tables
import reconstruction_verdicts as verdicts


def network(method, sweeps, psnr, seconds=1.0, frc=0.5):
    return {"method": method, "sweeps": sweeps, "kept": 0, "phase_psnr": psnr,
            "seconds": seconds, "frc": frc}  # fmt: skip


def peer(engine, epochs, psnr, seconds):
    return {"method": engine, "epochs": epochs, "phase_psnr": psnr, "seconds": seconds}


PEER = [peer("lsqml", 0, 10.0, 0.0), peer("lsqml", 1, 20.0, 2.0), peer("lsqml", 100, 30.0, 100.0)]


def test_value_at_a_time_lies_on_the_line_between_two_looks_and_never_falls():
    curve = [(1.0, 10.0), (3.0, 20.0), (5.0, 12.0)]
    assert [verdicts.value_at(curve, t) for t in (0, 2, 3, 5, 9)] == [10, 15, 20, 20, 20]


def test_peer_at_a_time_is_the_better_engine():
    rows = [*PEER, peer("rpie", 0, 10.0, 0.0), peer("rpie", 1, 18.0, 1.0)]
    assert verdicts.peer_at(rows, 1.0) == pytest.approx(18.0)  # lsqml: 15 halfway to 20
    assert verdicts.peer_at(rows, 2.0) == pytest.approx(20.0)


def test_peer_end_takes_the_most_epochs_even_if_fewer_were_better():
    rows = [peer("lsqml", 20, 40.0, 9.0), peer("lsqml", 100, 30.0, 50.0)]
    assert verdicts.peer_end(rows)["phase_psnr"] == 30


@pytest.mark.parametrize(("psnr", "then", "last"), [(31, "met", "met"), (25, "met", "missed"),
                                                    (14, "missed", "missed")])  # fmt: skip
def test_hard_cells_are_judged_at_equal_time_and_at_the_end(psnr, then, last):
    rows = [network("general", 0, psnr, seconds=1.0), *PEER]  # pty-chi is at 15 dB by then
    at_time, at_end = verdicts.hard_verdicts({(1e3, 0.8): rows})
    assert f"**{then}**" in at_time
    assert f"{psnr - 15:+.1f} dB at 1.0 s" in at_time
    assert f"**{last}**" in at_end
    assert "not measured" in verdicts.easy_verdict({(1e3, 0.8): rows})


def test_easy_cells_count_only_results_within_a_fifth_of_the_time():
    rows = [network("general", 0, 29.6, 20.0), network("general", 5, 40.0, 21.0), *PEER]
    cell = {(1e6, 0.6): rows}
    assert "**met**. 1e+06 / 0.6: -0.4 dB in 20 %" in verdicts.easy_verdict(cell)
    assert "not measured" in verdicts.hard_verdicts(cell)[0]


@pytest.mark.parametrize(
    ("psnr", "frc", "met"), [(15, 0.4, True), (14.9, 0.4, False), (15, 0.39, False)]
)
def test_lifted_must_win_in_phase_and_in_resolution(psnr, frc, met):
    rows = [network("unet, other scan", 0, 10, frc=0.2),
            network("lifted, other scan", 0, psnr, frc=frc)]  # fmt: skip
    assert ("**met**" in verdicts.one_shot_verdict({(1e4, 0.4): rows})) == met


def test_unseen_objects_may_cost_one_and_a_half_decibels():
    rows = [network("general", 0, 20.0), network("lifted, this scan", 0, 21.5),
            network("general", "auto", 20.0),
            network("lifted, this scan", "auto", 21.6)]  # fmt: skip
    one_shot, swept = verdicts.unseen_verdicts({(1e4, 0.4): rows})
    assert "**met**" in one_shot
    assert "**missed** in 1 of 1" in swept


def learned(sampler, seed, psnr):
    return {"network": "lifted", "gridsize": 2, "n": 512, "sampler": sampler, "seed": seed,
            "phase_psnr": psnr, "frc": 0.4}  # fmt: skip


def test_sampling_verdict_takes_the_better_sampler_and_tells_of_seeds():
    rows = [learned(s, seed, p) for s, values in (("sequential", (10, 12)), ("uniform", (15, 15)),
                                                  ("balanced", (17, 17)))
            for seed, p in enumerate(values)]  # fmt: skip
    line = verdicts.sampling_verdict(rows)
    assert "**met**. lifted, gridsize 2: balanced +6.0 dB (seeds differ: +7.0, +5.0)" in line


def test_spread_over_seeds_is_the_standard_deviation():
    rows = [{"x": 1.0}, {"x": 3.0}, {"x": float("nan")}]
    assert tables.spread(rows, "x", ".2f") == "2.00 +- 1.41"
    assert tables.spread(rows[:1], "x", ".0f", 100) == "100"


def test_cells_are_read_from_the_names_of_measurements():
    rows = {"cells/1e+03/0.8/unet": [{"a": 1}], "cells/1e+03/0.8/rpie": [{"a": 2}],
            "speed/training/unet/1": [{"a": 3}]}  # fmt: skip
    assert verdicts.cells_of(rows) == {(1e3, 0.8): [{"a": 1}, {"a": 2}]}
