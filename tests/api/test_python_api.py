"""The Python API: four lines from file to figure, the same numbers as the commands."""

import json
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from tiny_scan import saved_untrained, simulated

import ptycho
from ptycho.commands import cli
from ptycho.errors import ConfigError

QUICK = {"device": "cpu", "progress": False}
BOTH = ("command", "function")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A scan file and a small untrained model."""
    folder = tmp_path_factory.mktemp("home")
    raw = simulated(49)
    raw.save(folder / "scan.npz")
    saved_untrained(folder / "model", raw, 2)
    return folder


@pytest.fixture(scope="module")
def result(home):
    scan = ptycho.load(home / "scan.npz")
    return ptycho.reconstruct(scan, model=home / "model", iterations=2, **QUICK)


def files(*folders):
    return sorted(str(path) for folder in folders for path in folder.rglob("*"))


def arrays(path):
    with np.load(path) as file:
        return dict(file)


def test_four_lines_lead_from_a_file_to_a_figure(home, tmp_path, monkeypatch):
    monkeypatch.chdir(home)
    scan = ptycho.load("scan.npz")
    result = ptycho.reconstruct(scan)
    figure = result.show()
    result.save(tmp_path / "first")
    assert isinstance(figure, Figure)
    assert [axes.get_title()[:5] for axes in figure.axes[:2]] == ["Ampli", "Phase"]
    assert (tmp_path / "first" / "reconstruction.npz").exists()
    assert (tmp_path / "first" / "report.html").exists()


# What loads when


@pytest.mark.parametrize("code", ["import ptycho", "import ptycho; dir(ptycho)"])
def test_importing_the_package_imports_nothing_else(code):
    script = f"""
import sys
{code}
heavy = {{"torch", "numpy", "scipy", "lightning", "matplotlib", "click"}} & set(sys.modules)
sys.exit(f"imported: {{heavy}}" if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_public_name_exists_and_has_a_docstring():
    for name in ptycho.__all__:
        if name != "__version__":
            assert getattr(ptycho, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'reconstrcut'"):
        _ = ptycho.reconstrcut


# The same as the commands


def test_function_and_command_reconstruct_the_same_arrays(home, result, tmp_path):
    words = ["--model_path", home / "model", "--test_data", home / "scan.npz", "--iterations", 2,
             "--device", "cpu", "--output_dir", tmp_path / "command"]  # fmt: skip
    assert cli.inference_main([str(word) for word in words]) == 0
    result.save(tmp_path / "function", report=False)
    one, other = (
        arrays(tmp_path / name / "reconstruction.npz") for name in ("command", "function")
    )
    assert one.keys() == other.keys()
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name])
    documents = [
        json.loads((tmp_path / name / "metrics.json").read_text())
        for name in ("command", "function")
    ]
    assert documents[0] == documents[1]


def test_function_and_command_train_the_same_weights(home, tmp_path):
    settings = {"gridsize": 2, "n_images": 9, "nepochs": 1, "seed": 3}
    words = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    folder = str(tmp_path / "command")
    scan = str(home / "scan.npz")
    data = ["--train_data_file", scan, "--output_dir", folder, "--device", "cpu", "--no_report"]
    assert cli.train_main([*data, *words]) == 0
    trained = ptycho.train(ptycho.load(scan), **settings, **QUICK)
    trained.save(tmp_path / "function", report=False)
    one, other = (
        (tmp_path / name / "model.safetensors").read_bytes() for name in ("command", "function")
    )
    assert one == other
    assert len(trained.curves["train_loss"]) == 1
    written = {path.name for path in (tmp_path / "command").iterdir()}
    assert {path.name for path in (tmp_path / "function").iterdir()} == written - {
        "checkpoints", "logs", "run.log",
    }  # fmt: skip


def test_function_and_command_simulate_the_same_scan(tmp_path):
    settings = {"n_frames": 25, "N": 16, "step": 2.0, "probe_fwhm": 6.0, "seed": 5}
    words = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    path = tmp_path / "command.npz"
    assert cli.simulate_main(["--preset", "demo", "--output", str(path), *words]) == 0
    ptycho.simulate("demo", **settings).save(tmp_path / "function.npz")
    assert path.read_bytes() == (tmp_path / "function.npz").read_bytes()


def test_function_and_command_find_the_same_groups(home, tmp_path):
    words = ["groups", home / "scan.npz", "--n_images", 9, "--output_dir", tmp_path / "command"]
    assert cli.main([str(word) for word in words]) == 0
    found = ptycho.groups(ptycho.load(home / "scan.npz"), n_images=9)
    found.save(tmp_path / "function")
    one, other = (
        json.loads((tmp_path / name / "coverage.json").read_text())
        for name in ("command", "function")
    )
    assert other == {name: value for name, value in one.items() if name != "samplers"}
    assert found.members.shape == (9, 4)


def test_a_model_in_memory_is_the_model_in_its_folder(home, tmp_path):
    scan = ptycho.load(home / "scan.npz")
    trained = ptycho.train(scan, gridsize=2, n_images=9, nepochs=1, **QUICK)
    probe = trained.model.probe.detach().clone()
    first = ptycho.reconstruct(scan, trained, iterations=0, **QUICK)
    folder = trained.save(tmp_path / "model", report=False)
    other = ptycho.reconstruct(scan, model=folder, iterations=0, **QUICK)
    np.testing.assert_array_equal(first.obj, other.obj)
    assert bool((trained.model.probe == probe).all())  # the user's model stays as it is


# Nothing is written


def test_nothing_is_written_until_save_is_called(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = files(tmp_path, home)
    scan = simulated(49)  # no file, so no groups cache anywhere
    found = ptycho.groups(scan, n_images=5)
    trained = ptycho.train(scan, gridsize=2, n_images=9, nepochs=1, sampling="balanced", **QUICK)
    made = ptycho.reconstruct(scan, trained, iterations=1, **QUICK)
    score = ptycho.evaluate(made, truth=scan)
    for value in (found, trained, made, score):
        assert repr(value)
        assert value._repr_html_()
    assert files(tmp_path, home) == before


def test_a_reconstruction_keeps_its_groups_cache_away_from_the_scan(home, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    lab = tmp_path / "lab"
    simulated(49).save(lab / "scan.npz")
    scan = ptycho.load(lab / "scan.npz")
    ptycho.reconstruct(scan, model=home / "model", iterations=0, **QUICK)
    assert files(lab) == [str(lab / "scan.npz")]
    (kept,) = (tmp_path / "cache").rglob("*.groups_cache.npz")
    assert kept.name == "scan.g2k8.groups_cache.npz"


def test_a_groups_cache_of_a_training_is_used_by_a_reconstruction(home, tmp_path, caplog):
    simulated(49).save(tmp_path / "scan.npz")
    scan = ptycho.load(tmp_path / "scan.npz")
    ptycho.train(scan, gridsize=2, n_images=9, nepochs=1, sampling="balanced", **QUICK)
    (cache,) = tmp_path.glob("*.groups_cache.npz")
    with caplog.at_level("INFO", logger="ptycho"):
        ptycho.reconstruct(scan, model=home / "model", iterations=0, **QUICK)
    assert f"groups cache used: {cache}" in caplog.text


# What the values show


def test_a_result_holds_the_arrays_of_its_file(result, home):
    raw = simulated(49)
    assert result.obj.shape == result.coverage.shape
    np.testing.assert_array_equal(result.frames, np.arange(49))
    np.testing.assert_array_equal(result.positions, raw.positions)
    assert result.residuals.shape == (49,)
    assert result.probe.shape == (1, 16, 16)
    assert result.uncertainty is None
    assert result.metrics["truth"] == "scan.npz"


def test_a_result_prints_its_numbers(result):
    text = repr(result)
    height, width = result.obj.shape
    assert text.startswith(f"Result: object of {height} x {width} pixels from 49 frames\n")
    assert "detector residual" in text
    assert "phase PSNR" in text
    page = result._repr_html_()
    assert page.startswith("<table>")
    assert 'src="data:image/png;base64,' in page


def test_warnings_come_with_the_result(home):
    raw = simulated(36)
    frames = raw.frames.copy()
    frames[7] = 0
    dark = ptycho.RawData(**vars(raw) | {"frames": frames})
    made = ptycho.reconstruct(dark, model=home / "model", iterations=0, **QUICK)
    assert any("1 frames contain no photons" in text for text in made.warnings)
    assert "warning" in repr(made)


def test_a_score_is_that_of_the_result_and_is_read_by_name(result, home, tmp_path):
    by_scan = ptycho.evaluate(result, truth=simulated(49))
    by_file = ptycho.evaluate(result, truth=home / "scan.npz")
    assert by_scan["phase_psnr_db"] == by_file["phase_psnr_db"]
    assert by_scan["phase_psnr_db"] == result.metrics["object"]["phase_psnr_db"]
    same = ptycho.evaluate(result, truth=result)
    assert same["object_residual"] < 1e-6
    assert same.metrics["disjoint_frames"] is False
    result.save(tmp_path / "result", report=False)
    frames = ptycho.evaluate(result, test_data=result.scan)
    of_file = ptycho.evaluate(tmp_path / "result", test_data=home / "scan.npz")
    np.testing.assert_allclose(frames.residuals, of_file.residuals, rtol=1e-5)
    folder = by_scan.save(tmp_path / "score", report=False)
    assert (folder / "comparison_plot.png").exists()


def test_uncertainty_comes_with_the_result(home):
    scan = ptycho.load(home / "scan.npz")
    made = ptycho.reconstruct(scan, model=home / "model", iterations=1, uncertainty=2, **QUICK)
    assert made.uncertainty.phase_std.shape == made.obj.shape
    assert made.metrics["uncertainty"]["samples"] == 2


# Mistakes


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda raw: ptycho.reconstruct(raw, iteratons=3), "did you mean iterations?"),
        (lambda raw: ptycho.train(raw, gridsz=3), "did you mean gridsize?"),
        (lambda raw: ptycho.simulate("demo", n_frame=3), "did you mean n_frames?"),
        (lambda raw: ptycho.groups(raw, n_image=3), "did you mean n_images?"),
        (lambda raw: ptycho.evaluate("out", raw, twins=True), "did you mean twin?"),
        (lambda raw: ptycho.simulate("dmo"), "preset: 'dmo'; expected one of demo, fly001"),
        (lambda raw: ptycho.reconstruct(raw, output_dir="out"), "is no setting of"),
    ],
)
def test_a_wrong_keyword_is_one_line(call, message):
    with pytest.raises(ConfigError) as caught:
        call(simulated(16))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
