"""The documents name only what exists: commands, flags, make targets, files, settings."""

import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest
import yaml

from ptycho.commands import cli
from ptycho.io.format_table import markdown_table
from ptycho.settings.base import from_mapping
from ptycho.settings.train import TrainConfig

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("scripts/**/*.md")])
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
PROGRAMS = {
    "ptycho_train": cli.train_command,
    "ptycho_inference": cli.reconstruct_command,
    "ptycho_evaluate": cli.evaluate_command,
    "ptycho_simulate": cli.simulate_command,
}
COMMANDS = [
    *PROGRAMS.values(), cli.refine_command, cli.import_command, cli.inspect_command,
    cli.convert_command, cli.export_command, cli.doctor_command, cli.plan_command,
]  # fmt: skip


def test_every_program_is_installed_under_its_name():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert set(scripts) == {"ptycho", *PROGRAMS}
    for target in scripts.values():
        module, function = target.split(":")
        assert module == "ptycho.commands.cli"
        assert callable(getattr(cli, function))


def test_the_table_of_formats_is_that_of_the_readers():
    assert markdown_table() in (ROOT / "docs" / "FILE_FORMATS.md").read_text(encoding="utf-8")


KINDS = ("frame", "photon", "position", "shift")


def test_every_finding_of_the_inspection_is_explained():
    sources = [ROOT / "ptycho" / "scan" / f"{name}_checks.py" for name in KINDS]
    sources.append(ROOT / "ptycho" / "calibration" / "findings.py")
    names = {n for path in sources for n in re.findall(r'name="(\w+)"', path.read_text())}
    text = (ROOT / "docs" / "FILE_FORMATS.md").read_text(encoding="utf-8")
    assert len(names) > 15
    assert {name for name in names if f"`{name}`" not in text} == set()


def code_of(path: Path) -> list[str]:
    """Return the lines of shell blocks and the inline code of a document."""
    text = path.read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    inline = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose)]
    return [line for block in blocks for line in block.splitlines() if line.strip()] + inline


def words_of(command: click.Command) -> set[str]:
    words = {word for param in command.params for word in param.opts}
    booleans = getattr(command, "booleans", set())
    return words | {f"--no_{name}" for name in booleans} | {"--help"}


def flags_in(line: str) -> list[str]:
    found = re.findall(r"(?<![\w-])--[A-Za-z][\w-]*", line)
    return ["--" + flag[2:].replace("-", "_") for flag in found]


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_every_command_and_flag_exists(path):
    for line in code_of(path):
        words = shlex.split(line, comments=True) or [""]
        program, verb = words[0], (words[1] if len(words) > 1 else "")
        allowed = set().union(*map(words_of, COMMANDS), {"--version"})
        if program in PROGRAMS:
            allowed = words_of(PROGRAMS[program])
        elif program == "ptycho" and verb and not verb.startswith("-"):
            command = cli.ptycho.get_command(click.Context(cli.ptycho), verb)
            assert command is not None, line
            allowed = words_of(command)
        elif re.fullmatch(r"ptycho_\w+", program):
            pytest.fail(f"no such program: {line}")
        elif program in ("pip", ".venv/bin/pre-commit"):
            continue
        assert set(flags_in(line)) <= allowed, line


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_every_make_target_exists(path):
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    for line in code_of(path):
        if line.startswith("make "):
            assert line.split()[1] in targets.split(), line


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_every_link_and_every_named_file_of_ours_exists(path):
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            assert (path.parent / target).exists(), target
    for line in code_of(path):
        for name in re.findall(r"^(?:ptycho|scripts|docs|tests)/[\w/]+(?:\.\w+)?/?$", line):
            assert (ROOT / name).exists(), name


def test_every_settings_file_shown_is_accepted():
    shown = [
        block
        for path in DOCUMENTS
        for block in re.findall(r"^```yaml\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE)
    ]
    assert shown
    for block in shown:
        from_mapping(TrainConfig, yaml.safe_load(block))
