"""The command line: flags and a settings file become one settings object, a command runs it.

Data flow: command line -> [settings] -> command -> ... -> result on disk.
Every flag is generated from the dataclasses of `ptycho.settings`; a flag takes precedence over the
file given by `--config`, the file over the preset, the preset over the default. Commands are
imported when they run, so that `--help` and errors appear at once.
"""

import functools
import importlib
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import click

from ptycho import __version__
from ptycho.commands.console import logging_to, refuse, run_command
from ptycho.commands.flags import CONTEXT, SettingsCommand
from ptycho.errors import ConfigError, DataError
from ptycho.progress import drawn
from ptycho.settings.base import (
    Settings,
    canonical,
    describe,
    from_mapping,
    inputs_of,
    nearest,
)
from ptycho.settings.cache import CacheConfig
from ptycho.settings.calibrate import CalibrateConfig
from ptycho.settings.convert import ConvertConfig
from ptycho.settings.evaluate import EvaluateConfig
from ptycho.settings.export import ExportConfig
from ptycho.settings.groups import GroupsConfig
from ptycho.settings.import_scan import ImportConfig
from ptycho.settings.inspect import InspectConfig
from ptycho.settings.plan import PlanConfig
from ptycho.settings.pretrain import PretrainConfig
from ptycho.settings.reconstruct import InferenceConfig
from ptycho.settings.refine import RefineConfig
from ptycho.settings.report import ReportConfig
from ptycho.settings.shared import ConsoleSettings
from ptycho.settings.simulate import SimulateConfig
from ptycho.settings.train import TrainConfig
from ptycho.settings.view import ViewConfig
from ptycho.settings.yaml_file import read_settings
from ptycho.simulation.presets import PRESETS


class Job(NamedTuple):
    """A parsed command line: what to run, and the name that precedes an error."""

    name: str
    run: Callable[[], object]
    as_json: bool = False
    """Whether errors are printed as JSON, too."""


def _job(
    cls: type[ConsoleSettings],
    run: Callable[[Any], object],
    config_file: str | None,
    **flags: str | None,
) -> Job:
    ctx = click.get_current_context()
    given = {name: value for name, value in flags.items() if value is not None}

    def perform() -> None:
        written: dict[str, Any] = {}
        if config_file:
            written = canonical(cls, read_settings(Path(config_file)), where=config_file)
        config = from_mapping(cls, written, given)
        _check_paths(config)
        with logging_to(verbose=config.verbose, quiet=config.quiet, as_json=config.json_log):
            # Waiting threads spin for microseconds, then sleep: endless spinning costs a factor of
            # three on shared cores, sleeping at once a factor of 1.7 on idle ones.
            os.environ.setdefault("GOMP_SPINCOUNT", "2000")
            wanted = drawn(config.progress) and not (config.quiet or config.json_log)
            result = run(replace(config, progress=wanted))
        if result is not None:
            click.echo(result)

    return Job(ctx.command_path, perform, flags.get("json_log") == "true")


def _check_paths(config: Settings) -> None:
    """Raise an error for missing inputs and unusable outputs before anything slow is imported."""
    known = describe(type(config))
    for name, path in inputs_of(config):
        if not path.exists():
            raise DataError(
                f"{name}: nothing at {path}; expected a {known[name].must_exist}{_advice(path)}"
            )
    folder = getattr(config, "output_dir", None)
    if folder is not None:
        standing = next(p for p in (folder, *folder.absolute().parents) if p.exists())
        if not standing.is_dir():
            raise ConfigError(f"output_dir: {standing} is a file; expected a folder")
        if not os.access(standing, os.W_OK):
            raise ConfigError(f"output_dir: {standing} is read-only; expected a writable folder")
    output = getattr(config, "output", None)
    if output is not None and output.is_dir():
        raise ConfigError(f"output: {output} is a folder; expected a file name")


def _advice(path: Path) -> str:
    for name, values in PRESETS.items():
        if path.name == Path(str(values["output"])).name:
            return f"; `ptycho simulate --preset {name} --output {path}` makes one"
    return ""


def _command(name: str, cls: type[ConsoleSettings], module: str) -> SettingsCommand:
    """Return a command; its module is imported when it runs."""

    def run(config: Any) -> object:
        return importlib.import_module(f"ptycho.commands.{module}").run(config)

    return SettingsCommand(name, cls, functools.partial(_job, cls, run))


@click.command("doctor", context_settings=CONTEXT)
@click.pass_context
def doctor_command(ctx: click.Context) -> Job:
    """Show versions, device, threads and a short benchmark."""

    def perform() -> None:
        from ptycho.commands import doctor

        click.echo(doctor.run())

    return Job(ctx.command_path, perform)


@click.command("compare", context_settings=CONTEXT)
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def compare_command(ctx: click.Context, runs: tuple[Path, ...], as_json: bool) -> Job:
    """Print a table of runs: settings that differ, results, times."""

    def perform() -> None:
        from ptycho.commands import compare

        click.echo(compare.run(runs, as_json=as_json))

    return Job(ctx.command_path, perform)


simulate_command = _command("simulate", SimulateConfig, "simulate")
plan_command = _command("plan", PlanConfig, "plan")
import_command = _command("import", ImportConfig, "import_scan")
inspect_command = _command("inspect", InspectConfig, "inspect")
calibrate_command = _command("calibrate", CalibrateConfig, "calibrate")
convert_command = _command("convert", ConvertConfig, "convert")
export_command = _command("export", ExportConfig, "export")
groups_command = _command("groups", GroupsConfig, "groups")
train_command = _command("train", TrainConfig, "train")
reconstruct_command = _command("reconstruct", InferenceConfig, "reconstruct")
pretrain_command = _command("pretrain", PretrainConfig, "pretrain")
refine_command = _command("refine", RefineConfig, "refine")
evaluate_command = _command("evaluate", EvaluateConfig, "evaluate")
report_command = _command("report", ReportConfig, "report")
view_command = _command("view", ViewConfig, "view")
cache_command = _command("cache", CacheConfig, "cache")


@click.pass_context
def _greet(ctx: click.Context, version: bool) -> None:
    if version:
        click.echo(f"ptycho {__version__}")
        ctx.exit()
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


class Commands(click.Group):
    """The commands in the order of the work; `inference` is an alias of reconstruct."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of the work."""
        return list(self.commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a name; also of an alias."""
        return super().get_command(ctx, "reconstruct" if cmd_name == "inference" else cmd_name)


ptycho = Commands(
    name="ptycho",
    commands=[
        simulate_command,
        plan_command,
        import_command,
        inspect_command,
        calibrate_command,
        convert_command,
        groups_command,
        train_command,
        reconstruct_command,
        pretrain_command,
        refine_command,
        evaluate_command,
        export_command,
        report_command,
        compare_command,
        view_command,
        cache_command,
        doctor_command,
    ],
    help="Ptychography with networks that learn from groups of overlapping scan positions.",
    context_settings=CONTEXT,
    no_args_is_help=False,
    invoke_without_command=True,
    callback=_greet,
    params=[click.Option(["--version"], is_flag=True, help="Show the version and exit.")],
)


def _one_line(problem: click.ClickException) -> str:
    """Return an error of click in the form of our own, with the nearest known word."""
    if isinstance(problem, click.NoSuchOption) and problem.ctx is not None:
        known = [name for param in problem.ctx.command.params for name in param.opts]
        word = problem.option_name.replace("-", "_").replace("__", "--", 1)
        hint = nearest(word, known) or "; --help lists the flags"
        return f"{problem.option_name}: no such flag{hint}"
    return problem.format_message()


def _main(command: click.Command, name: str, argv: Sequence[str] | None) -> int:
    args = None if argv is None else list(argv)
    try:
        job = command.main(args=args, prog_name=name, standalone_mode=False)
    except click.ClickException as problem:
        ctx = getattr(problem, "ctx", None)
        return refuse(name if ctx is None else ctx.command_path, _one_line(problem))
    return run_command(job.name, job.run, as_json=job.as_json) if isinstance(job, Job) else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run `ptycho VERB ...`; return the exit code."""
    return _main(ptycho, "ptycho", argv)


def train_main(argv: Sequence[str] | None = None) -> int:
    """Run `ptycho_train`; return the exit code."""
    return _main(train_command, "ptycho_train", argv)


def inference_main(argv: Sequence[str] | None = None) -> int:
    """Run `ptycho_inference`; return the exit code."""
    return _main(reconstruct_command, "ptycho_inference", argv)


def evaluate_main(argv: Sequence[str] | None = None) -> int:
    """Run `ptycho_evaluate`; return the exit code."""
    return _main(evaluate_command, "ptycho_evaluate", argv)


def simulate_main(argv: Sequence[str] | None = None) -> int:
    """Run `ptycho_simulate`; return the exit code."""
    return _main(simulate_command, "ptycho_simulate", argv)
