"""Bars: seen on a terminal once a step takes long, and nowhere else."""

import io
import sys

import pytest

from ptycho import progress as bars
from ptycho.progress import by_hand, progress, tracked, untracked


class Terminal(io.StringIO):
    def isatty(self):
        return True


def terminal(monkeypatch, patience_s=0.0):
    """A terminal in place of stderr."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(bars, "_PATIENCE_S", patience_s)
    return screen


@pytest.mark.parametrize("enabled", [True, False])
def test_everything_is_passed_on_and_nothing_drawn_off_a_terminal(capsys, enabled):
    assert list(progress(range(3), "counting", enabled=enabled)) == [0, 1, 2]
    assert list(tracked("counting", "frames", enabled=enabled)(iter("ab"), 2)) == ["a", "b"]
    assert list(untracked("ab", 2)) == ["a", "b"]
    assert capsys.readouterr() == ("", "")


def test_a_bar_shows_fraction_rate_and_remaining_time(monkeypatch):
    screen = terminal(monkeypatch)
    assert list(tracked("counting", "frames")(iter(range(4)), 4)) == [0, 1, 2, 3]
    drawn = screen.getvalue()
    assert drawn.startswith("\rcounting:   0%")
    assert "0/4 [00:00<?, ? frames/s]" in drawn


def test_what_ends_within_a_second_has_no_bar(monkeypatch):
    screen = terminal(monkeypatch, patience_s=1.0)
    assert len(list(progress(range(100), "counting"))) == 100
    assert screen.getvalue().strip() == ""


def test_none_is_shown_where_it_is_disabled(monkeypatch):
    screen = terminal(monkeypatch)
    assert len(list(progress(range(100), "counting", enabled=False))) == 100
    assert screen.getvalue() == ""


def test_a_bar_of_time_shows_the_remaining_time(monkeypatch):
    screen = terminal(monkeypatch)
    bar = by_hand("learning", total=20.0, unit="s")
    bar.update(10.0)
    bar.refresh()
    bar.close()
    last = [part for part in screen.getvalue().split("\r") if "50%" in part][-1]
    assert last.startswith("learning:  50%")
    assert "/s" not in last
