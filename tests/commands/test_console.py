"""The console: what reaches the screen, what reaches the log of the run."""

import json
import logging
import sys
from datetime import UTC, datetime, timedelta

import pytest

from ptycho.commands.cli import main
from ptycho.commands.console import INTERRUPTED, MISTAKE, WRONG, logging_to, run_command
from ptycho.errors import DataError, PtychoError, WrongPicture

log = logging.getLogger("ptycho.somewhere")


def say_all() -> None:
    log.debug("detail")
    log.info("news")
    log.warning("amiss")


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({}, "news\nwarning: amiss\n"),
        ({"verbose": True}, "debug: detail\nnews\nwarning: amiss\n"),
        ({"quiet": True}, "warning: amiss\n"),
    ],
)
def test_lines_are_plain_and_go_to_stderr(capsys, how, expected):
    with logging_to(**how):
        say_all()
    assert capsys.readouterr() == ("", expected)


def test_logging_ends_with_the_command(capsys):
    before = list(logging.getLogger("ptycho").handlers)
    with pytest.raises(DataError), logging_to():
        raise DataError("x")
    assert logging.getLogger("ptycho").handlers == before


@pytest.mark.parametrize("kind", [PtychoError, *PtychoError.__subclasses__()])
def test_a_mistake_is_one_line_with_an_exit_code(capsys, kind):
    def action():
        raise kind("scan.npz: 3 positions for 4 frames;\n expected one each")

    code = WRONG if kind is WrongPicture else MISTAKE
    assert run_command("ptycho_train", action) == code
    assert (MISTAKE, WRONG) == (2, 3)
    expected = "ptycho_train: scan.npz: 3 positions for 4 frames; expected one each\n"
    assert capsys.readouterr() == ("", expected)


@pytest.mark.parametrize("caught", [False, True], ids=["plain", "turned into exit"])
def test_interrupt_is_one_line_and_exit_code_130(capsys, caught):
    def action():
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            if caught:
                sys.exit(1)
            raise

    assert run_command("ptycho_train", action) == INTERRUPTED == 130
    assert capsys.readouterr().err.strip() == "ptycho_train: interrupted"


def test_other_exits_pass_through():
    with pytest.raises(SystemExit):
        run_command("ptycho_train", lambda: sys.exit(3))


def test_a_fault_of_ours_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run_command("ptycho_train", lambda: 1 / 0)


def test_a_file_system_that_refuses_costs_one_line(tmp_path, capsys):
    def action():
        (tmp_path / "missing" / "file").write_text("")

    assert run_command("ptycho", action) == 2
    said = "No such file or directory; check that the path exists and is writable"
    assert capsys.readouterr().err == f"ptycho: {tmp_path}/missing/file: {said}\n"


def test_an_os_error_without_a_file_is_a_fault_of_ours():
    def action():
        raise OSError("odd")

    with pytest.raises(OSError, match="odd"):
        run_command("ptycho", action)


def test_json_lines_hold_what_plain_ones_say(capsys):
    with logging_to(as_json=True):
        say_all()
    found = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(each["level"], each["message"]) for each in found] == [
        ("INFO", "news"), ("WARNING", "amiss"),
    ]  # fmt: skip
    assert {each["logger"] for each in found} == {"ptycho.somewhere"}
    assert abs(datetime.fromisoformat(found[0]["time"]) - datetime.now(UTC)) < timedelta(minutes=1)


def test_mistakes_are_json_too(tmp_path, capsys):
    assert main(["evaluate", "--reconstruction", str(tmp_path / "absent"), "--json_log"]) == MISTAKE
    (line,) = capsys.readouterr().err.splitlines()
    assert "nothing at" in json.loads(line)["message"]
    assert json.loads(line)["level"] == "ERROR"
