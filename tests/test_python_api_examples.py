"""The examples of docs/PYTHON_API.md run as they stand there."""

import re
from pathlib import Path

import pytest
from tiny_scan import simulated

PAGE = Path(__file__).parents[1] / "docs" / "PYTHON_API.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.M)


@pytest.fixture
def somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_first_example_takes_four_lines(somewhere):
    simulated(36, N=32, step=3.0, probe_fwhm=10.0).save(somewhere / "scan.npz")
    lines = [line for line in BLOCKS[0].splitlines() if line]
    assert len(lines) == 4
    exec(BLOCKS[0], {})
    assert [path.name for path in somewhere.iterdir()] == ["scan.npz"]


def test_the_other_examples_run_one_after_the_other(somewhere, capsys):
    names = {}
    for block in BLOCKS[1:]:
        exec(block, names)
    assert (somewhere / "runs" / "model" / "model.safetensors").exists()
    assert (somewhere / "runs" / "object" / "report.html").exists()
    out = capsys.readouterr().out
    for words in ("Groups: 25 of 4 frames", "Trained model: lifted", "Result: ", "Score against"):
        assert words in out
