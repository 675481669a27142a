"""What all settings can do: be described, checked by type, read from a mapping.

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
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

from ptycho.errors import ConfigError
from ptycho.tables import Table

SECTIONS = ("model", "training", "data", "grouping", "inference", "physics", "run", "simulation")
"""Headings that a YAML file may use to group its keys; they have no meaning of their own."""

_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
_UNIONS = (types.UnionType, typing.Union)
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of all settings; each field has the type of its annotation once an object exists."""

    kind: ClassVar[str] = "settings"
    """What the settings are of: a name for messages and for the record of a run."""

    def __post_init__(self) -> None:
        for setting in describe(type(self)).values():
            value = convert(setting, getattr(self, setting.name))
            object.__setattr__(self, setting.name, value)


AnySettings = TypeVar("AnySettings", bound=Settings)


class Setting(NamedTuple):
    """One field of a settings class, as the command line and the YAML reader see it."""

    name: str
    kind: type
    """int, float, bool, str or Path."""
    choices: Collection[str]
    """Allowed words, a table perhaps; empty if any value of the kind is allowed."""
    optional: bool
    """True if None is a value."""
    required: bool
    default: Any
    doc: str
    """The docstring of the field; `{choices}` in it stands for the rows of a table."""
    aliases: tuple[str, ...]
    """Other names of the setting."""
    switches: Mapping[str, str]
    """Names of booleans that, when true, stand for one value of this setting."""
    presets: Mapping[str, Mapping[str, Any]]
    """Values of other settings that each word of this one implies."""
    must_exist: str
    """What the file or folder is, if it has to exist; else empty."""
    unnamed: bool
    """Whether a word without a flag may set it though it is not required."""
    many: int
    """Largest number of words that follow its flag, 1 for most; 0 for a flag that may be repeated.
    Several words are one per line of the value."""
    section: str
    """Subject of an inherited setting, one line; empty for a class's own."""

    @property
    def text(self) -> str:
        """What the setting means, with the rows that its table has at the moment."""
        if not isinstance(self.choices, Table):
            return self.doc
        rows = (f"{row} ({self.choices.text(row)})" for row in self.choices)
        return self.doc.format(choices=", ".join(rows))


def also(
    default: Any = dataclasses.MISSING,
    *,
    choices: Collection[str] = (),
    aliases: Iterable[str] = (),
    switches: Mapping[str, str] | None = None,
    presets: Mapping[str, Mapping[str, Any]] | None = None,
    must_exist: str = "",
    unnamed: bool = False,
    many: int = 1,
) -> Any:
    """Return a dataclass field with further properties; see `Setting`."""
    properties = _properties(choices, aliases, switches, presets, must_exist, unnamed, many)
    return dataclasses.field(default=default, metadata=properties)


def _properties(
    choices: Collection[str] = (),
    aliases: Iterable[str] = (),
    switches: Mapping[str, str] | None = None,
    presets: Mapping[str, Mapping[str, Any]] | None = None,
    must_exist: str = "",
    unnamed: bool = False,
    many: int = 1,
) -> dict[str, Any]:
    return {
        "choices": choices,
        "aliases": tuple(aliases),
        "switches": dict(switches or {}),
        "presets": dict(presets or {}),
        "must_exist": must_exist,
        "unnamed": unnamed,
        "many": many,
    }


def describe(cls: type[Settings]) -> Mapping[str, Setting]:
    """Return the settings of a class by name: its own first, then the inherited ones."""
    return _described(typing.cast(Hashable, cls))


@functools.cache
def _described(cls: Any) -> Mapping[str, Setting]:
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    found: dict[str, Setting] = {}
    for base in cls.__mro__[:-1]:
        subject = inspect.getdoc(base) or ""
        section = "" if base is cls else subject.partition("\n")[0].rstrip(".")
        for name, doc in _field_docstrings(base.__module__).get(base.__name__, {}).items():
            if name in fields and name not in found:
                found[name] = _setting(fields[name], hints[name], doc, section)
    return found


def _setting(field: dataclasses.Field[Any], hint: Any, doc: str, section: str) -> Setting:
    parts = typing.get_args(hint) if typing.get_origin(hint) in _UNIONS else (hint,)
    kind = next(part for part in parts if part is not types.NoneType)
    words = typing.get_args(kind)
    properties = _properties() | dict(field.metadata)
    properties["choices"] = properties["choices"] or words
    return Setting(
        name=field.name,
        kind=str if words else kind,
        optional=types.NoneType in parts,
        required=field.default is dataclasses.MISSING,
        default=None if field.default is dataclasses.MISSING else field.default,
        doc=doc,
        section=section,
        **properties,
    )


@functools.cache
def _field_docstrings(module: str) -> Mapping[str, Mapping[str, str]]:
    """Return, by class, the string below each annotated field, which Python does not keep."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    texts: dict[str, dict[str, str]] = {}
    for cls in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for field, below in itertools.pairwise(cls.body):
            match field, below:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    texts.setdefault(cls.name, {})[name] = inspect.cleandoc(text)
    return texts


def convert(setting: Setting, value: Any) -> Any:
    """Return `value` in the type of the setting: '1e4' is a number, 'true' a boolean.

    Raises:
        ConfigError: If the value cannot be converted; names the setting.
    """
    if setting.many != 1 and isinstance(value, list | tuple):
        value = "\n".join(str(word) for word in value)
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
    """Return the value in this type, None if it cannot be converted."""
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


def canonical(
    cls: type[Settings], mapping: Mapping[str, Any], where: str = "settings"
) -> dict[str, Any]:
    """Return the mapping by field names: sections flattened, aliases and switches resolved.

    Args:
        cls: A settings class.
        mapping: Keys as a user writes them, '-' or '_', flat or below the headings of `SECTIONS`.
        where: Source of the mapping, for the error message.

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
            raise ConfigError(f"{where}: {key!r} is no setting of {cls.kind}{hint}")
        field = names[name]
        if field in found and found[field] != value:
            raise ConfigError(f"{where}: {field} is given as {found[field]!r} and as {value!r}")
        found[field] = value
    return found


def _flat(mapping: Mapping[str, Any], where: str) -> Iterator[tuple[str, Any]]:
    for key, value in mapping.items():
        if not isinstance(value, Mapping):
            yield str(key), value
        elif key in SECTIONS:
            yield from _flat(value, where)
        else:
            hint = nearest(str(key), SECTIONS) or f"; expected one of {', '.join(SECTIONS)}"
            raise ConfigError(f"{where}: {key!r} is no known section{hint}")


def from_mapping(
    cls: type[AnySettings], *mappings: Mapping[str, Any], where: str = "settings"
) -> AnySettings:
    """Return the settings that the mappings describe, checked; later mappings take precedence.

    A setting with presets (`preset: demo`) puts the values of the chosen preset below all others.

    Args:
        cls: A settings class.
        *mappings: Keys as in `canonical`.
        where: Source of the mappings, for error messages.

    Raises:
        ConfigError: If a key is unknown, a required setting is missing or a value is wrong.
    """
    merged: dict[str, Any] = {}
    for mapping in mappings:
        merged |= canonical(cls, mapping, where)
    known = describe(cls)
    for setting in known.values():
        if setting.presets and (word := convert(setting, merged.get(setting.name))):
            preset = setting.presets[word]
            merged = {name: preset[name] for name in preset if name in known} | merged
    for setting in known.values():
        if setting.required and merged.get(setting.name) is None:
            raise ConfigError(f"{setting.name}: missing; give {_expected(setting)}")
    return cls(**merged)


def part_of(settings: Settings, cls: type[AnySettings]) -> AnySettings:
    """Return the values of a class that the class of `settings` extends."""
    return cls(**{name: getattr(settings, name) for name in describe(cls)})


def inputs_of(settings: Settings) -> list[tuple[str, Path]]:
    """Return the files and folders that a command reads, each with the name of its setting."""
    known = describe(type(settings)).values()
    values = {s.name: getattr(settings, s.name) for s in known if s.must_exist}
    return [
        (name, Path(line).expanduser())
        for name, value in values.items()
        if value is not None
        for line in str(value).split("\n")
    ]


def to_dict(settings: Settings) -> dict[str, Any]:
    """Return the settings as plain numbers, words and None, ready for YAML or JSON."""
    values = ((name, getattr(settings, name)) for name in describe(type(settings)))
    return {name: str(v) if isinstance(v, Path) else v for name, v in values}
