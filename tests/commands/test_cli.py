"""The commands: every spelling of every flag, who wins, and what a mistake looks like."""

import functools
import subprocess
import sys

import pytest
import yaml

from ptycho.commands import cli
from ptycho.settings.base import describe
from ptycho.settings.cache import CacheConfig
from ptycho.settings.convert import ConvertConfig
from ptycho.settings.evaluate import EvaluateConfig
from ptycho.settings.export import ExportConfig
from ptycho.settings.groups import GroupsConfig
from ptycho.settings.import_scan import ImportConfig
from ptycho.settings.reconstruct import InferenceConfig
from ptycho.settings.refine import RefineConfig
from ptycho.settings.simulate import SimulateConfig
from ptycho.settings.train import TrainConfig

VERBS = {
    "train": TrainConfig,
    "reconstruct": InferenceConfig,
    "refine": RefineConfig,
    "evaluate": EvaluateConfig,
    "simulate": SimulateConfig,
    "import": ImportConfig,
    "convert": ConvertConfig,
    "export": ExportConfig,
    "groups": GroupsConfig,
    "cache": CacheConfig,
}
SPELLINGS = [
    (name, setting, word)
    for name, cls in VERBS.items()
    for setting in describe(cls).values()
    for word in (setting.name, *setting.aliases)
]


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "scan.npz"
    path.touch()
    return path


@pytest.fixture
def ran(monkeypatch):
    """The settings that reached a workflow; the workflow itself is left out."""
    seen = []
    for command in (
        cli.train_command,
        cli.reconstruct_command,
        cli.refine_command,
        cli.evaluate_command,
        cli.simulate_command,
        cli.import_command,
        cli.convert_command,
        cli.export_command,
        cli.groups_command,
        cli.cache_command,
    ):
        cls = command.callback.args[0]
        monkeypatch.setattr(command, "callback", _recording(command.callback.func, cls, seen))
    return seen


def _recording(job, cls, seen):
    return functools.partial(job, cls, lambda config: seen.append(config))


def run(*argv, main=cli.main) -> int:
    return main([str(word) for word in argv])


def train(scan, *more) -> int:
    return run(
        "--train_data_file", scan, "--output_dir", scan.parent / "run", *more, main=cli.train_main
    )


def _sample(setting, scan):
    """A value other than the default, as a word on the command line."""
    if setting.must_exist:
        return str(scan)
    if setting.choices:
        others = [word for word in setting.choices if word != setting.default]
        return (others or [setting.default])[0]
    if setting.kind is bool:
        return str(not setting.default).lower()
    values = {"N": "32", "validation_fraction": "0.25", "min_amplitude": "0.25", "aperture": "0.2"}
    values |= {"min_overlap": "0.25", "test_fraction": "0.25"}
    values |= {"probe_learning_rate": "0.25", "n_modes": "1", "budget": "7min", "refine": "probe"}
    return values.get(setting.name, "7" if setting.kind in (int, float) else "new")


@pytest.mark.parametrize(
    "words",
    [
        ["{scan}", "{out}"],
        ["--source", "{scan}", "{out}"],
        ["--output={out}", "{scan}"],
        ["{scan}", "--measurement", "counts", "--no-progress", "{out}"],
        ["--quiet", "true", "{scan}", "--output_file", "{out}"],
    ],
)
def test_required_settings_may_be_given_as_plain_words_in_order(ran, scan, words):
    out = scan.parent / "out.npz"
    assert run("import", *(word.format(scan=scan, out=out) for word in words)) == 0
    assert (ran[0].source, ran[0].output) == (scan, out)


@pytest.mark.parametrize(("words", "truth"), [(["{scan}"], None), (["{scan}", "{scan}"], "{scan}")])
def test_the_truth_may_be_given_as_a_second_word(ran, scan, words, truth):
    assert run("evaluate", *(word.format(scan=scan) for word in words)) == 0
    assert ran[0].reconstruction == scan
    assert ran[0].truth == (None if truth is None else scan)


@pytest.mark.parametrize("dash", ["_", "-"])
@pytest.mark.parametrize(("name", "setting", "word"), SPELLINGS)
def test_every_flag_in_every_spelling_reaches_its_setting(ran, scan, name, setting, word, dash):
    given = {
        s.name: (s.choices or [str(scan) if s.must_exist else str(scan.parent / "out")])[0]
        for s in describe(VERBS[name]).values()
        if s.required
    }
    value = _sample(setting, scan)
    given.pop(setting.name, None)
    words = [part for key, text in given.items() for part in (f"--{key}", text)]
    assert run(name, *words, "--" + word.replace("_", dash), value) == 0
    assert str(getattr(ran[0], setting.name)).lower() in (value.lower(), f"{value}.0")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--cache"], True),
        (["--no-cache"], False),
        (["--no_cache"], False),
        (["--cache", "false"], False),
        (["--cache=false"], False),
        (["--cache", "true"], True),
        (["--cache", "--seed", "1"], True),
        ([], True),
    ],
)
def test_truth_has_many_spellings(ran, scan, words, expected):
    assert train(scan, *words) == 0
    assert ran[0].cache is expected


@pytest.mark.parametrize("words", [["--sequential_sampling"], ["--sequential-sampling", "true"]])
def test_sequential_sampling_is_a_sampling(ran, scan, words):
    assert train(scan, *words) == 0
    assert ran[0].sampling == "sequential"


def test_flag_wins_over_file_over_default(ran, scan):
    path = scan.parent / "run.yaml"
    path.write_text(yaml.safe_dump({"training": {"nepochs": 3, "n_groups": 5}, "gridsize": 2}))
    assert train(scan, "--config", path, "--n-images", "1e2") == 0
    assert (ran[0].nepochs, ran[0].n_images, ran[0].gridsize, ran[0].seed) == (3, 100, 2, 0)


def test_required_settings_may_come_from_the_file(ran, scan):
    path = scan.parent / "run.yaml"
    path.write_text(f"data:\n  train_data_file: {scan}\noutput_dir: {scan.parent / 'run'}\n")
    assert run("train", "--config", path) == 0
    assert ran[0].train_data_file == scan


def test_reconstruct_has_another_word(ran, scan):
    words = ["--model_path", scan, "--test_data", scan, "--output_dir", scan.parent / "run"]
    assert run("inference", *words, "--comparison_plot") == 0
    assert run("reconstruct", *words, "--comparison_plot") == 0
    assert run(*words, "--comparison_plot", main=cli.inference_main) == 0
    assert ran[0] == ran[1] == ran[2]
    assert ran[0].comparison_plot


def test_the_result_goes_to_stdout(monkeypatch, scan, capsys):
    job = cli.train_command.callback
    monkeypatch.setattr(
        cli.train_command,
        "callback",
        functools.partial(job.func, TrainConfig, lambda config: config.output_dir),
    )
    assert train(scan) == 0
    assert capsys.readouterr().out == f"{scan.parent / 'run'}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--gridsz", "2"], "ptycho_train: --gridsz: no such flag; did you mean --gridsize?"),
        (["--n-image", "2"], "ptycho_train: --n_image: no such flag; did you mean --n_images?"),
        (["--zzz"], "ptycho_train: --zzz: no such flag; --help lists the flags"),
        (["--gridsize", "two"], "ptycho_train: gridsize: 'two'; expected a whole number"),
        (["--gridsize", "2", "--K", "2"], "ptycho_train: neighbor_count: 2; expected 3 or more"),
        (["--loss", "mse"], "ptycho_train: loss: 'mse'; expected one of amplitude, poisson"),
        (["--seed"], "ptycho_train: Option '--seed' requires an argument."),
        (["stray"], "ptycho_train: Got unexpected extra argument (stray)"),
        (["--cache", "perhaps"], "ptycho_train: cache: 'perhaps'; expected true or false"),
        (["--config", "none.yaml"], "ptycho_train: none.yaml: No such file or directory; expected"),
        (["--test_data_file", "absent.npz"], "ptycho_train: test_data_file: nothing at absent.npz"),
        (["--train_data_file", "fly001_transposed.npz"], "`ptycho simulate --preset fly001"),
    ],
)
def test_a_mistake_is_one_line_exit_2_and_nothing_written(scan, capsys, words, message):
    assert train(scan, *words) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert err.startswith("ptycho_train: ")
    assert (out, err.count("\n")) == ("", 1)
    assert [path.name for path in scan.parent.iterdir()] == ["scan.npz"]


def test_a_wrong_key_in_the_file_names_the_file(scan, capsys):
    path = scan.parent / "run.yaml"
    path.write_text("gridsz: 2\n")
    assert train(scan, "--config", path) == 2
    assert f"{path}: 'gridsz' is no setting of train; did you mean" in capsys.readouterr().err


def test_missing_required_setting(capsys):
    assert run("train", "--output_dir", "run") == 2
    assert capsys.readouterr().err == "ptycho train: train_data_file: missing; give a path\n"


def test_output_that_cannot_be(scan, capsys):
    assert run("train", "--train_data_file", scan, "--output_dir", scan) == 2
    assert "is a file; expected a folder" in capsys.readouterr().err
    assert run("simulate", "--output", scan.parent) == 2
    assert "is a folder; expected a file name" in capsys.readouterr().err


def test_verbs(capsys):
    assert run() == 0
    out = capsys.readouterr().out
    assert all(verb in out for verb in ["simulate", "import", "train", "reconstruct", "evaluate"])
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("ptycho 0.")
    assert run("trian") == 2
    out, err = capsys.readouterr()
    assert err.startswith("ptycho: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("seed", ["99999999999999999999999", "-1"])
def test_a_seed_no_generator_takes_is_refused(scan, capsys, seed):
    assert train(scan, "--seed", seed) == 2
    assert f"seed: {seed}; expected" in capsys.readouterr().err


def test_an_output_folder_below_a_file_is_refused_before_any_work(ran, scan, capsys):
    assert run("train", scan, scan / "run") == 2
    assert f"output_dir: {scan} is a file; expected a folder" in capsys.readouterr().err
    assert ran == []


@pytest.mark.parametrize("name", VERBS)
def test_help_names_every_setting_in_one_spelling(capsys, name):
    assert run(name, "--help") == 0
    text = capsys.readouterr().out
    for setting in describe(VERBS[name]).values():
        assert f"--{setting.name}" in text
        if "_" in setting.name:
            assert f"--{setting.name.replace('_', '-')}" not in text


def test_help_and_mistakes_import_nothing_heavy():
    script = """
import sys
from ptycho.commands import cli
cli.train_main(["--help"])
cli.train_main(["--train_data_file", "absent.npz", "--output_dir", "run"])
heavy = {"torch", "numpy", "scipy", "lightning", "matplotlib", "skimage", "yaml"} & set(sys.modules)
sys.exit(f"imported: {heavy}" if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_scripts_are_the_commands(tmp_path):
    script = "scripts/training/train.py"
    done = subprocess.run([sys.executable, script, "--gridsz", "2"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "ptycho_train: --gridsz: no such flag; did you mean --gridsize?\n"


def test_doctor_tells_versions_and_speed(capsys):
    assert run("doctor") == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ["torch", "device", "GFLOP/s"])
