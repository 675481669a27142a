"""What every set of settings can do: be described, checked by type, read from YAML and saved.

Settings are frozen dataclasses; this module reads their annotations, defaults and docstrings, and
knows none in particular. `ptycho.commands.flags` turns them into flags.
"""

import ast
import dataclasses
import difflib
import functools
import inspect
import itertools
import math
import sys
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ptycho import __version__
from ptycho.errors import ConfigError

SETTINGS_FILE = "settings_used.yaml"
"""Name of the file that `save_settings` leaves beside the results of a run."""

SECTIONS = ("model", "training", "data", "grouping", "inference", "physics", "run", "simulation")
"""Headings a YAML file may use to group its keys; they carry no meaning of their own."""

_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
_UNIONS = (types.UnionType, typing.Union)
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")

Config = TypeVar("Config")


class Setting(NamedTuple):
    """One field of a settings class, as the command line and the YAML reader see it."""

    name: str
    kind: type
    """int, float, bool, str or Path."""
    choices: tuple[str, ...]
    """Allowed words; empty when any value of the kind will do."""
    optional: bool
    """True when None is a value."""
    required: bool
    default: Any
    text: str
    """The docstring of the field."""
    aliases: tuple[str, ...]
    """Other names for the same setting."""
    switches: Mapping[str, str]
    """Boolean names that, when true, stand for one value of this setting."""
    presets: Mapping[str, Mapping[str, Any]]
    """Values of other settings that each word of this one brings along."""
    must_exist: str
    """What the file or folder is, when the command needs it to exist; else empty."""
    unnamed: bool
    """Whether a word without a flag may set it though it is not required."""
    section: str
    """What an inherited setting is about, one line; empty for a class's own."""


def also(
    default: Any = dataclasses.MISSING,
    *,
    aliases: Iterable[str] = (),
    switches: Mapping[str, str] | None = None,
    presets: Mapping[str, Mapping[str, Any]] | None = None,
    must_exist: str = "",
    unnamed: bool = False,
) -> Any:
    """Return a dataclass field with the extra knowledge that `Setting` lists."""
    extra = {
        "aliases": tuple(aliases),
        "switches": dict(switches or {}),
        "presets": dict(presets or {}),
        "must_exist": must_exist,
        "unnamed": unnamed,
    }
    return dataclasses.field(default=default, metadata=extra)


@functools.cache
def describe(cls: type) -> Mapping[str, Setting]:
    """Return the settings of a class by name: its own first, then the inherited ones."""
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    found: dict[str, Setting] = {}
    for base in cls.__mro__[:-1]:
        section = "" if base is cls else inspect.getdoc(base).partition("\n")[0].rstrip(".")
        for name, text in _field_docstrings(base.__module__).get(base.__name__, {}).items():
            if name not in found:
                found[name] = _setting(fields[name], hints[name], text, section)
    return found


def _setting(field: dataclasses.Field, hint: Any, text: str, section: str) -> Setting:
    parts = typing.get_args(hint) if typing.get_origin(hint) in _UNIONS else (hint,)
    optional = types.NoneType in parts
    kind = next(part for part in parts if part is not types.NoneType)
    choices = typing.get_args(kind)
    extra = also().metadata | field.metadata
    return Setting(
        name=field.name,
        kind=str if choices else kind,
        choices=choices,
        optional=optional,
        required=field.default is dataclasses.MISSING,
        default=None if field.default is dataclasses.MISSING else field.default,
        text=text,
        section=section,
        **extra,
    )


@functools.cache
def _field_docstrings(module: str) -> Mapping[str, Mapping[str, str]]:
    """Return, by class, the string below each annotated field, which Python itself throws away."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    texts: dict[str, dict[str, str]] = {}
    for cls in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for field, below in itertools.pairwise(cls.body):
            if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
                text = inspect.cleandoc(below.value.value)
                texts.setdefault(cls.name, {})[field.target.id] = text
    return texts


def convert_fields(config: Any) -> None:
    """Give every field of a settings object its declared type, or say which cannot have it.

    Called first in `__post_init__`, so that Python, YAML and the command line obey one rule.
    """
    for setting in describe(type(config)).values():
        value = convert(setting, getattr(config, setting.name))
        object.__setattr__(config, setting.name, value)


def convert(setting: Setting, value: Any) -> Any:
    """Return `value` in the type of the setting: '1e4' is a number, 'true' is a truth value.

    Raises:
        ConfigError: If the value cannot be understood, naming the setting.
    """
    nothing = ("none", "null", "auto") if setting.kind in (int, float) else ("none", "null")
    if isinstance(value, str) and setting.kind is not Path and value.lower() in nothing:
        value = None
    if value is None:
        if setting.optional:
            return None
        raise ConfigError(f"{setting.name}: no value; expected {_expected(setting)}")
    converted = _convert_to(setting.kind, value)
    if converted is None or (setting.choices and converted not in setting.choices):
        raise ConfigError(f"{setting.name}: {value!r}; expected {_expected(setting)}")
    return converted


def _convert_to(kind: type, value: Any) -> Any:
    """Return the value in this type, None when it has no such reading."""
    if kind is bool:
        word = str(value).lower()
        return True if word in _TRUE else False if word in _FALSE else None
    if kind is Path:
        return Path(value).expanduser() if isinstance(value, str | Path) and str(value) else None
    if kind is str:
        return value if isinstance(value, str) else None
    return None if isinstance(value, bool) else _number(kind, value)


def _number(kind: type, value: Any) -> int | float | None:
    if kind is int and isinstance(value, str) and value.strip().lstrip("+-").isdecimal():
        return int(value)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if kind is float:
        return None if math.isnan(number) else number
    return int(value if isinstance(value, int) else number) if number.is_integer() else None


def _expected(setting: Setting) -> str:
    if setting.choices:
        words = ", ".join(setting.choices)
        return f"one of {words}" + (" or none" if setting.optional else "")
    return _KINDS.get(setting.kind, "a path") + (" or none" if setting.optional else "")


def nearest(word: str, known: Iterable[str]) -> str:
    """Return '; did you mean ...?' for the closest known word, or nothing."""
    close = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def canonical(cls: type, mapping: Mapping[str, Any], where: str = "settings") -> dict[str, Any]:
    """Return the mapping by field names: sections flattened, aliases and switches resolved.

    Args:
        cls: A settings class.
        mapping: Keys as a user writes them, '-' or '_', flat or below the headings of `SECTIONS`.
        where: What the mapping came from, for the error message.

    Raises:
        ConfigError: If a key is unknown, or two keys disagree about one setting.
    """
    known = describe(cls)
    names = {alias: s.name for s in known.values() for alias in (s.name, *s.aliases)}
    switches = {word: (s.name, value) for s in known.values() for word, value in s.switches.items()}
    found: dict[str, Any] = {}
    for key, value in _flat(mapping, where):
        name = key.replace("-", "_")
        if name in switches:
            truth = _convert_to(bool, value)
            if truth is None:
                raise ConfigError(f"{where}: {key}: {value!r}; expected true or false")
            if not truth:
                continue
            name, value = switches[name]
        elif name not in names:
            hint = nearest(name, [*names, *switches])
            raise ConfigError(f"{where}: {key!r} is no setting of {_title(cls)}{hint}")
        field = names[name]
        if field in found and found[field] != value:
            raise ConfigError(f"{where}: {field} is given as {found[field]!r} and as {value!r}")
        found[field] = value
    return found


def _flat(mapping: Mapping[str, Any], where: str) -> Iterable[tuple[str, Any]]:
    for key, value in mapping.items():
        if not isinstance(value, Mapping):
            yield str(key), value
        elif key in SECTIONS:
            yield from _flat(value, where)
        else:
            hint = nearest(str(key), SECTIONS) or f"; expected one of {', '.join(SECTIONS)}"
            raise ConfigError(f"{where}: {key!r} is no known section{hint}")


def _title(cls: type) -> str:
    return cls.__name__.removesuffix("Config").lower()


def from_mapping(
    cls: type[Config], *mappings: Mapping[str, Any], where: str = "settings"
) -> Config:
    """Return the settings that the mappings describe, checked; a later mapping wins.

    A setting with presets (`preset: demo`) puts the values of the chosen preset below all others.

    Raises:
        ConfigError: If a key is unknown, a required setting is missing or a value is wrong.
    """
    merged: dict[str, Any] = {}
    for mapping in mappings:
        merged |= canonical(cls, mapping)
    for setting in describe(cls).values():
        if setting.presets and (word := convert(setting, merged.get(setting.name))):
            merged = {**setting.presets[word], **merged}
    for setting in describe(cls).values():
        if setting.required and merged.get(setting.name) is None:
            raise ConfigError(f"{setting.name}: missing; give {_expected(setting)}")
    return cls(**merged)


def read_settings(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Raises:
        ConfigError: If the file is missing, is not YAML or holds no mapping.
    """
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise ConfigError(f"{path}: {problem.strerror}; expected a YAML file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        text = " ".join(str(problem).split())
        raise ConfigError(f"{path}: not valid YAML ({text}); expected 'key: value' lines") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: holds a {type(found).__name__}; expected 'key: value' lines")
    return found


def to_dict(config: Any) -> dict[str, Any]:
    """Return the settings as plain numbers, words and None, ready for YAML or JSON."""
    values = ((name, getattr(config, name)) for name in describe(type(config)))
    return {name: str(v) if isinstance(v, Path) else v for name, v in values}


def save_settings(config: Any, folder: Path) -> Path:
    """Write `settings_used.yaml`, which `--config` reads back, into the folder of a run."""
    import yaml

    path = folder / SETTINGS_FILE
    folder.mkdir(parents=True, exist_ok=True)
    head = f"# Every setting of this run ({_title(type(config))}, ptycho {__version__})\n"
    body = yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True)
    path.write_text(head + body, encoding="utf-8")
    return path
