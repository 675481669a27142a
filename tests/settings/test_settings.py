"""Settings: what they accept, what they refuse, and that they survive a file."""

import dataclasses
import inspect
import typing
from pathlib import Path

import pytest
import yaml

from ptycho.errors import ConfigError
from ptycho.settings.base import SECTIONS, canonical, describe, from_mapping, to_dict
from ptycho.settings.cache import CacheConfig
from ptycho.settings.convert import ConvertConfig
from ptycho.settings.evaluate import EvaluateConfig
from ptycho.settings.export import ExportConfig
from ptycho.settings.groups import GroupsConfig
from ptycho.settings.import_scan import ImportConfig
from ptycho.settings.pretrain import PretrainConfig
from ptycho.settings.reconstruct import InferenceConfig
from ptycho.settings.refine import RefineConfig
from ptycho.settings.report import ReportConfig
from ptycho.settings.shared import Measurement
from ptycho.settings.simulate import SimulateConfig
from ptycho.settings.train import TrainConfig
from ptycho.settings.view import ViewConfig
from ptycho.settings.yaml_file import read_settings
from ptycho.simulation.presets import PRESETS

CLASSES = [TrainConfig, InferenceConfig, EvaluateConfig, SimulateConfig, ImportConfig]
NEEDED = {"train_data_file": "scan.npz", "output_dir": "run"}


def train(**changes) -> TrainConfig:
    return from_mapping(TrainConfig, NEEDED, changes)


def needed(cls) -> dict[str, str]:
    return {name: "some_path" for name, setting in describe(cls).items() if setting.required}


@pytest.mark.parametrize("cls", CLASSES)
def test_every_setting_has_a_text_and_a_default_of_its_own_type(cls):
    config = cls(**needed(cls))
    assert {field.name for field in dataclasses.fields(cls)} == set(describe(cls))
    for setting in describe(cls).values():
        assert setting.text
        value = getattr(config, setting.name)
        wanted = type(None) if setting.default is None and setting.optional else setting.kind
        assert isinstance(value, wanted)


@pytest.mark.parametrize("cls", CLASSES)
def test_saved_settings_read_back_the_same(cls, tmp_path):
    config = cls(**needed(cls))
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(to_dict(config)))
    assert from_mapping(cls, read_settings(path)) == config


def test_settings_are_keyword_only_and_frozen():
    with pytest.raises(TypeError):
        TrainConfig("scan.npz")
    with pytest.raises(dataclasses.FrozenInstanceError):
        train().gridsize = 2


CONFIGS = [
    *CLASSES,
    ConvertConfig,
    ExportConfig,
    GroupsConfig,
    CacheConfig,
    PretrainConfig,
    RefineConfig,
    ReportConfig,
    ViewConfig,
]


@pytest.mark.parametrize("cls", CONFIGS)
def test_settings_hold_no_behaviour(cls):
    for base in cls.__mro__[:-2]:
        methods = [name for name, part in vars(base).items() if inspect.isfunction(part)]
        own = {name for name in methods if not name.startswith("__")}
        assert not own


@pytest.mark.parametrize("cls", CONFIGS)
def test_only_commands_know_files_folders_and_the_console(cls):
    for base in cls.__mro__:
        if base.__name__.endswith("Settings") and hasattr(base, "kind"):
            paths = {s.name for s in describe(base).values() if s.kind is Path and s.required}
            assert not paths


def test_measurement_means_the_same_as_in_a_scan():
    from ptycho.scan import raw_data

    assert typing.get_args(Measurement) == typing.get_args(raw_data.Measurement)


@pytest.mark.parametrize("written", ["1e4", 10000, 10000.0, "10000", "1E4"])
def test_whole_numbers_have_many_spellings(written):
    assert train(n_images=written).n_images == 10000
    assert type(train(n_images=written).n_images) is int


def test_large_whole_numbers_keep_every_digit():
    assert train(seed="9007199254740993").seed == 9007199254740993  # 2**53 + 1, no float


def test_exponents_in_yaml_are_numbers(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("nphotons: 1e9\nlearning_rate: 1e-4\ngridsize: 2\n")
    config = from_mapping(TrainConfig, NEEDED, read_settings(path))
    assert (config.nphotons, config.learning_rate, config.gridsize) == (1e9, 1e-4, 2)


@pytest.mark.parametrize("section", SECTIONS)
def test_sections_only_group(section):
    assert from_mapping(TrainConfig, NEEDED, {section: {"gridsize": 2}}) == train(gridsize=2)


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        ({"n_groups": 512}, "n_images", 512),
        ({"n-images": 512}, "n_images", 512),
        ({"K": 6}, "neighbor_count", 6),
        ({"subsample_seed": 3}, "seed", 3),
        ({"sequential_sampling": True}, "sampling", "sequential"),
        ({"sequential_sampling": "false"}, "sampling", "uniform"),
        ({"cache": "no"}, "cache", False),
        ({"batch_size": "none"}, "batch_size", None),
    ],
)
def test_other_names_and_words(given, field, value):
    assert getattr(train(**given), field) == value


def test_the_later_mapping_wins_whatever_name_it_uses():
    assert from_mapping(TrainConfig, NEEDED, {"n_images": 5}, {"n_groups": 7}).n_images == 7


def test_preset_lies_below_what_is_given():
    config = from_mapping(SimulateConfig, {"preset": "fly001", "n_frames": 100})
    assert config.n_frames == 100
    assert config.output == Path(PRESETS["fly001"]["output"])
    assert config.scan == PRESETS["fly001"]["scan"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"gridsz": 2}, "'gridsz' is no setting of train; did you mean gridsize?"),
        ({"modl": {"N": 64}}, "'modl' is no known section; did you mean model?"),
        ({"gridsize": 0}, "gridsize: 0; expected 1 or more"),
        ({"gridsize": 2.5}, "gridsize: 2.5; expected a whole number"),
        ({"gridsize": True}, "gridsize: True; expected a whole number"),
        ({"gridsize": None}, "gridsize: no value; expected a whole number"),
        ({"gridsize": 2, "neighbor_count": 2}, "neighbor_count: 2; expected 3 or more, the other"),
        ({"K": 3, "neighbor_count": 4}, "neighbor_count is given as 3 and as 4"),
        ({"learning_rate": 0}, "learning_rate: 0.0; expected a number above 0"),
        ({"learning_rate": "nan"}, "learning_rate: 'nan'; expected a number"),
        ({"nphotons": "inf"}, "nphotons: inf; expected a number above 0"),
        ({"nphotons": [1, 2]}, "nphotons: [1, 2]; expected a number or none"),
        ({"loss": "mse"}, "loss: 'mse'; expected one of amplitude, poisson"),
        ({"cache": "perhaps"}, "cache: 'perhaps'; expected true or false"),
        ({"sequential_sampling": "x"}, "sequential_sampling: 'x'; expected true or false"),
        ({"validation_fraction": 0.9}, "validation_fraction: 0.9; expected 0 to 0.5"),
        ({"seed": -1}, "seed: -1; expected 0 or more"),
        ({"threads": 0}, "threads: 0; expected 1 or more"),
        ({"verbose": True, "quiet": True}, "verbose and quiet: both true"),
        ({"train_data_file": ""}, "train_data_file: ''; expected a path"),
        ({"train_data_file": None}, "train_data_file: missing; give a path"),
    ],
)
def test_wrong_settings_are_told_in_one_line(given, message):
    with pytest.raises(ConfigError) as caught:
        train(**given)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_python_and_yaml_obey_one_rule():
    built = TrainConfig(train_data_file="scan.npz", output_dir="run", n_images="1e3")
    assert built == train(n_images=1000)
    with pytest.raises(ConfigError, match="gridsize"):
        TrainConfig(train_data_file="scan.npz", output_dir="run", gridsize=0)


@pytest.mark.parametrize(
    ("text", "message"),
    [("- 1\n- 2\n", "holds a list"), ("a: [1,\n", "not valid YAML"), ("a: \x00", "not valid YAML")],
)
def test_a_file_that_holds_no_settings(tmp_path, text, message):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_settings(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_file_holds_no_settings(tmp_path):
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert read_settings(tmp_path / "empty.yaml") == {}
    with pytest.raises(ConfigError, match="No such file"):
        read_settings(tmp_path / "missing.yaml")


def test_the_same_words_twice_are_no_contradiction():
    assert canonical(TrainConfig, {"K": 4, "neighbor_count": 4}) == {"neighbor_count": 4}
