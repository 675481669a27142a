"""Runs side by side: what differs, what was reached."""

import json

import numpy as np
import pytest
from tiny_scan import saved_untrained, simulated

from ptycho.commands import reconstruct
from ptycho.commands.cli import main
from ptycho.report.side_by_side import as_table, side_by_side
from ptycho.runs.folder import read_run
from ptycho.settings.reconstruct import InferenceConfig


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two reconstructions of one scan, without sweeps and with three."""
    home = tmp_path_factory.mktemp("runs")
    raw = simulated(36)
    raw.save(home / "scan.npz")
    model = saved_untrained(home / "model", raw)
    return [
        reconstruct.run(
            InferenceConfig(
                model_path=model, test_data=home / "scan.npz", output_dir=home / str(sweeps),
                sweeps=sweeps, progress=False, cache=False, report=False, device="cpu",
            )
        )
        for sweeps in (0, 3)
    ]  # fmt: skip


def test_only_what_differs_is_told_and_the_numbers_are_those_of_the_runs(runs):
    found = side_by_side([read_run(run) for run in runs])
    assert found["settings"] == {"sweeps": [0, 3]}
    written = [json.loads((run / "metrics.json").read_text()) for run in runs]
    for name in ("detector_residual", "sweeps", "n_frames"):
        assert found["results"][name] == [document[name] for document in written]
    kept = [max(document["sweeps"] - 1, 0) for document in written]
    assert found["results"]["free_residual"] == [
        document["free_residual"][number] for document, number in zip(written, kept, strict=True)
    ]
    light = [document["unexplained_light"]["object"] for document in written]
    assert found["results"]["unexplained_light"] == light


def test_a_run_beside_itself_differs_in_nothing(runs):
    found = side_by_side([read_run(runs[0])] * 2)
    assert found["settings"] == {}
    for values in (found["run"] | found["results"]).values():
        assert values[0] == values[1]
    assert "settings that differ: none" in as_table(found)


def test_the_command_prints_a_table_or_json(runs, capsys):
    assert main(["compare", *map(str, runs)]) == 0
    lines = capsys.readouterr().out.splitlines()
    (row,) = (line.split() for line in lines if line.startswith("  n_frames"))
    assert row == ["n_frames", "36", "36"]
    assert main(["compare", "--json", *map(str, runs)]) == 0
    assert json.loads(capsys.readouterr().out)["runs"] == [str(run) for run in runs]


@pytest.mark.parametrize("words", [[], ["{run}"], ["{run}", "{empty}"]])
def test_what_cannot_be_compared_is_one_line(runs, tmp_path, capsys, words):
    np.savez(tmp_path / "stray.npz")
    assert main(["compare", *(w.format(run=runs[0], empty=tmp_path) for w in words)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "expected" in line
