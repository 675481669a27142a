"""The page of a run: what is on it, and that it never costs the run."""

import base64
import dataclasses
import html as html_module
import io
import json
import re

import numpy as np
import pytest
from run_folders import begun
from skimage.io import imread
from tiny_scan import reconstructed_in_groups, simulated

from ptycho.api import page
from ptycho.calibration.setup import Setup
from ptycho.calibration.value import Calibration, read_calibration
from ptycho.commands import cli
from ptycho.io.npz import NpzFile, write_npz
from ptycho.report.calibration import calibration_part
from ptycho.report.page import page_html
from ptycho.report.tables import numbers_of
from ptycho.runs.folder import read_run
from ptycho.settings.train import TrainConfig
from ptycho.view.panels import RunPanel


@pytest.fixture(scope="module")
def reconstructed(tmp_path_factory):
    return reconstructed_in_groups(tmp_path_factory.mktemp("run"))


@pytest.fixture
def copy(reconstructed, tmp_path):
    """A copy of that folder, to be changed."""
    for path in reconstructed.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def html(folder):
    return (folder / "report.html").read_text(encoding="utf-8")


def unescaped(text):
    """The page with the markup inside its scripts as it reads once they have run."""
    return html_module.unescape(text.replace("\\u003c", "<").replace("\\u003e", ">"))


def ids(text):
    return set(re.findall(r'<figure id="(\w+)"', text))


def with_scan(run, **changes):
    """The same run, its record naming another scan."""
    record = dataclasses.replace(run.record, data=({**run.scan, **changes},))
    return dataclasses.replace(run, record=record)


def with_settings(run, **changes):
    record = dataclasses.replace(run.record, settings={**run.settings, **changes})
    return dataclasses.replace(run, record=record)


def test_the_page_says_what_was_done(reconstructed):
    text, run = html(reconstructed), read_run(reconstructed)
    assert run.scan["sha256"] in text
    assert run.selection.groups.shape[1] == 4
    for word in ("<h1>Reconstruction: object</h1>", "finished", "100 frames of 16 x 16 pixels",
                 "<code>n_images</code></th><td>30<"):  # fmt: skip
        assert word in text
    coverage = "30 of 4 frames", "100 of 100 (100 %)"  # groups, positions used
    assert all(f"<td>{value}</td>" in unescaped(text) for value in coverage)
    assert ids(text) == {
        "amplitude", "phase", "residual", "frc", "free_residual", "scan", "frames", "probe_0",
        "probe_1",
    }  # fmt: skip


def test_the_page_names_nothing_outside_itself(reconstructed):
    markup = re.sub(r"<script.*?</script>", "", html(reconstructed), flags=re.DOTALL)
    addresses = re.findall(r'(?:src|href)="([^"]*)"', markup)
    assert addresses
    assert {address.partition(":")[0] for address in addresses if address[0] != "#"} == {"data"}
    assert "url(" not in markup


def test_uncertainties_are_shown_when_there_are_any(copy):
    archive = NpzFile(copy / "reconstruction.npz")
    arrays = {name: archive.read(name) for name in archive}
    spread = np.full(arrays["object"].shape, 0.25, np.float32)
    write_npz(copy / "reconstruction.npz", arrays | {"amplitude_std": spread, "phase_std": spread})
    assert {"amplitude_std", "phase_std"} <= ids(page_html(read_run(copy)))


def test_a_scan_that_has_changed_lends_no_frames(copy, reconstructed, tmp_path):
    run = read_run(copy)
    text = page_html(with_scan(run, sha256="0" * 64))
    assert "has changed since the run" in text
    assert "frames" not in ids(text)
    text = page_html(with_scan(run, path=str(tmp_path / "gone.npz")))
    assert "gone.npz: No such file or directory" in text


def test_what_others_write_is_text_and_never_markup(copy):
    run = read_run(copy)
    text = page_html(with_settings(run, comment="<script>alert(1)</script>"))
    assert "&lt;script&gt;alert(1)" in text
    assert "<script>alert(1)" not in text


def test_the_page_of_a_training_that_goes_on_shows_its_curves(tmp_path):
    scan, folder = tmp_path / "scan.npz", tmp_path / "model"
    simulated().save(scan)
    words = ["--train_data_file", scan, "--output_dir", folder, "--nepochs", 1, "--no_report"]
    assert cli.train_main([str(word) for word in words]) == 0
    assert not (folder / "report.html").exists()
    assert (folder / "selection.npz").exists()
    record = json.loads((folder / "run.json").read_text()) | {"state": "running"}
    (folder / "run.json").write_text(json.dumps(record))
    assert cli.main(["report", str(folder)]) == 0
    text = html(folder)
    assert {"loss", "power", "spread"} <= ids(text)
    assert "not finished" in text


def test_a_trained_model_tells_what_it_has_reached(tmp_path):
    training = {"n_groups": 1500, "epochs": 3, "best_loss": 0.0123456, "monitored": "val_loss",
                "noise_floor": 0.01, "seconds": 75.0}  # fmt: skip
    config = TrainConfig(train_data_file="scan.npz", output_dir=tmp_path)
    begun(tmp_path, config)
    (tmp_path / "settings.json").write_text(json.dumps({"training": training}))
    assert numbers_of(read_run(tmp_path)) == [
        ("training samples", "1,500"),
        ("epochs", "3"),
        ("best validation loss", "0.01235; expected from counting noise alone: 0.01"),
        ("training time", "1 min 15 s"),
    ]


def test_an_evaluation_shows_the_reconstruction_it_judges(reconstructed, tmp_path):
    scan = reconstructed.parent / "scan.npz"
    words = ["--reconstruction", reconstructed, "--truth", scan, "--output_dir", tmp_path / "eval"]
    assert cli.evaluate_main([str(word) for word in words]) == 0
    text = html(tmp_path / "eval")
    assert "<h1>Evaluation: eval</h1>" in text
    assert {"amplitude", "phase", "frc", "scan"} <= ids(text)


def test_report_refuses_a_foreign_folder_in_one_line(tmp_path, capsys):
    assert cli.main(["report", str(tmp_path)]) == 2
    message = capsys.readouterr().err.strip()
    assert message.startswith(f"ptycho report: {tmp_path}: no run.json of a run")
    assert "\n" not in message


def test_a_page_that_cannot_be_written_costs_a_warning_only(copy, caplog):
    (copy / "report.html").unlink()
    (copy / "metrics.json").write_text("{")
    page.leave_page(copy)
    assert f"{copy}: no report.html: {copy / 'metrics.json'}: no JSON" in caplog.text
    assert not (copy / "report.html").exists()


def test_a_calibration_is_shown_with_its_evidence_and_only_where_there_is_one(copy):
    assert 'id="calibration"' not in page_html(read_run(copy))
    tried = [("as read", 0.51), ("--positions swap", 0.007), ("--measurement amplitude", np.nan)]
    tried += [(f"probe <{n}>", 0.6) for n in range(9)]
    weighed = {"round": 1, "unexplained": 0.004, "sigmas": 8.14}
    known = Calibration(
        frame_size=16, setup=Setup(positions=("swap",)), refine=("probe",),
        unexplained=(0.51, 0.004), twin=True, alternatives=("--frames transpose",),
        readings=tuple({"words": words, "unexplained": share} for words, share in tried),
        rounds=({**weighed, "name": "probe", "gain": 0.45, "kept": True},
                {**weighed, "name": "modes", "gain": -3.0, "kept": False}),
    )  # fmt: skip
    known.save(copy / "calibration.npz")
    run = read_run(copy)
    assert run.calibration.document() == read_calibration(copy / "calibration.npz").document()
    text = page_html(run)
    part = text[text.index('<section id="calibration"') :].partition("</section>")[0]
    rows = re.findall(r"<tr.*?</tr>", part)
    cells = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in rows]
    assert ["reading", "--positions swap"] in cells
    assert ["to refine", "probe"] in cells
    assert ["the frames allow as well", "--frames transpose"] in cells
    assert any(name == "conjugate twin" for name, *_ in cells)
    assert "51.0% of what varies predicted wrongly as read, 0.4% now" in part
    scores = [c for c in cells if len(c) == 2 and (c[1].endswith(" %") or "possible" in c[1])]
    assert scores[:2] == [["--positions swap", "0.7 %"], ["as read", "51.0 %"]]
    assert scores[-1] == ["--measurement amplitude", "not possible"]
    assert "4 further readings" in part
    assert "probe &lt;3&gt;" in part
    assert ["1", "probe", "0.4 %", "45.0 %", "8.1", "kept"] in cells
    assert ["1", "modes", "0.4 %", "below -100 %", "8.1", "not kept"] in cells
    picture = base64.b64decode(re.search(r'src="data:image/png;base64,([^"]*)"', part)[1])
    assert imread(io.BytesIO(picture)).shape[1] > 1000
    assert '<a href="#calibration">' in text
    assert "calibration, reading" in RunPanel(run).about.text


def test_a_calibration_without_evidence_has_no_picture():
    part = calibration_part(Calibration(frame_size=16))
    assert (part.picture, part.readings, part.rounds) == ("", [], ())
