"""Settings as command-line flags: one flag per field.

Turns a settings class into a click command; knows no particular setting.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from ptycho.settings.base import Setting, Settings, describe

_METAVARS = {int: "INTEGER", float: "NUMBER", Path: "PATH", str: "WORD"}
CONTEXT = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": 100,
    "token_normalize_func": lambda token: token.replace("-", "_"),
}
"""Flags may be written with '-' or '_'; help shows '_'."""


class SettingOption(click.Option):
    """One flag, described by one setting."""

    def __init__(self, setting: Setting) -> None:
        names = [f"--{name}" for name in (setting.name, *setting.aliases)]
        super().__init__([setting.name, *names], default=None, type=str)
        self.setting = setting

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """Return the two columns of the flag in `--help`."""
        setting = self.setting
        if setting.kind is bool:
            left = f"--{setting.name} / --no-{setting.name}"
        else:
            words = "|".join(setting.choices)
            metavar = f"[{words}]" if words else _METAVARS[setting.kind]
            left = f"{', '.join(self.opts)} {metavar}"
        default = str(setting.default).lower() if setting.kind is bool else setting.default
        note = "required" if setting.required else f"default: {_shown(default)}"
        return left, f"{' '.join(setting.text.split())} [{note}]"


def _shown(default: Any) -> str:
    return "none" if default is None else str(default)


class SettingsCommand(click.Command):
    """A command whose flags are the fields of a settings class."""

    def __init__(self, name: str, cls: type[Settings], callback: Callable[..., Any]) -> None:
        settings = describe(cls)
        switches = {word for setting in settings.values() for word in setting.switches}
        self.booleans = switches | {s.name for s in settings.values() if s.kind is bool}
        self.several = {
            name: s.many for s in settings.values() for name in (s.name, *s.aliases) if s.many != 1
        }
        self.unnamed = [s for s in settings.values() if s.required or s.unnamed]
        config = click.Option(
            ["config_file", "--config"],
            metavar="PATH",
            help="YAML file of settings; flags on the command line take precedence.",
        )
        params = [SettingOption(setting) for setting in settings.values()]
        words = [
            click.Option([word, f"--{word}"], type=str, help=f"The same as --{s.name} {value}.")
            for s in settings.values()
            for word, value in s.switches.items()
        ]
        super().__init__(
            name,
            params=[*params, *words, config],
            callback=callback,
            help=cls.__doc__,
            context_settings=CONTEXT,
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the flags; `--x`, `--no-x`, `--x true` and `--x=true` all set a boolean.

        Words without a flag are the settings of the usage line not given by one, in its order.
        """
        args = _with_joined_words(_with_booleans(args, self.booleans), self.several)
        args = _with_joined_words(_with_named_words(args, self.unnamed), self.several)
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return the words of the usage line: the settings that may be given without a flag."""
        names = [s.name.upper() if s.required else f"[{s.name.upper()}]" for s in self.unnamed]
        return [*names, *super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the flags in sections: the command's own first."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                title = "Other"
                if isinstance(param, SettingOption):
                    title = param.setting.section or "Options"
                sections.setdefault(title, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records, col_max=34)


def _with_booleans(args: Sequence[str], booleans: set[str]) -> list[str]:
    """Return the arguments with every boolean flag written as `--x=word`."""
    known = {f"--{name}": name for name in booleans}
    negated = {f"--no_{name}": name for name in booleans}
    result: list[str] = []
    rest = list(args)
    while rest:
        arg = rest.pop(0)
        flag = "--" + arg[2:].replace("-", "_") if arg.startswith("--") else arg
        if flag in negated:
            result.append(f"--{negated[flag]}=false")
        elif flag in known:
            has_word = bool(rest) and not rest[0].startswith("-")
            result.append(f"{flag}={rest.pop(0) if has_word else 'true'}")
        else:
            result.append(arg)
    return result


def _with_joined_words(args: Sequence[str], several: Mapping[str, int]) -> list[str]:
    """Return the arguments with all words of a flag that takes several in one `--x=words`.

    Args:
        args: the words of the command line.
        several: flag -> most words that follow it; 0 for a flag that may be repeated instead.
    """
    found: dict[str, list[str]] = {}
    result: list[str] = []
    rest = list(args)
    while rest:
        arg = rest.pop(0)
        if arg == "--":
            result += [arg, *rest]
            break
        flag, equals, word = arg.partition("=")
        name = flag[2:].replace("-", "_") if flag.startswith("--") else ""
        if name not in several:
            result.append(arg)
            continue
        words = [word] if equals else []
        most = max(several[name], 1)
        while rest and len(words) < most and not equals and (not words or _is_number(rest[0])):
            words.append(rest.pop(0))
        found.setdefault(name, []).extend(words)
    return [*(f"--{name}=" + "\n".join(words) for name, words in found.items()), *result]


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _with_named_words(args: Sequence[str], unnamed: Sequence[Setting]) -> list[str]:
    """Return the arguments with words that belong to no flag written as `--name=word`."""
    named = {arg.partition("=")[0][2:].replace("-", "_") for arg in args if arg.startswith("--")}
    endless = {s.name for s in unnamed if s.many == 0}
    free = [s.name for s in unnamed if named.isdisjoint((s.name, *s.aliases))]
    result: list[str] = []
    rest = list(args)
    while rest:
        arg = rest.pop(0)
        if arg == "--":
            return [*result, arg, *rest]
        if not arg.startswith("-") and free:
            arg = f"--{free[0] if free[0] in endless else free.pop(0)}={arg}"
        elif arg.startswith("--") and "=" not in arg and arg != "--help" and rest:
            result.append(arg)
            arg = rest.pop(0)
        result.append(arg)
    return result
