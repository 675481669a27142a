"""Durations as users write them."""

import pytest

from ptycho.durations import seconds_of
from ptycho.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("60s", 60), ("1.5min", 90), ("2h", 7200), (" 3 m ", 180)]
)
def test_spans_of_time(text, seconds):
    assert seconds_of(text, "budget") == seconds


@pytest.mark.parametrize("text", ["", "0s", "-5s", "ten", "5 days", "1e3"])
def test_no_spans_of_time(text):
    with pytest.raises(ConfigError, match=r"budget: .*; expected a duration such as 60s"):
        seconds_of(text, "budget")
