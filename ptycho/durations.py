"""Durations as text: 60s, 10min, 2h."""

import re

from ptycho.errors import ConfigError

_SECONDS = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}


def seconds_of(text: str, name: str) -> float:
    """Return the seconds of "90", "90s", "1.5min" or "2h".

    Args:
        text: a number, with or without its unit.
        name: of the setting, for the error.

    Raises:
        ConfigError: If it is no duration above 0.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(s|min|m|h)?\s*", text)
    seconds = float(found[1]) * _SECONDS[found[2] or "s"] if found else 0.0
    if not seconds > 0:
        raise ConfigError(f"{name}: {text!r}; expected a duration such as 60s, 10min or 2h")
    return seconds


def duration(seconds: float) -> str:
    """Return a duration as text: "4 s", "6 min 10 s", "2 h 5 min".

    Args:
        seconds: 0 or more; a value below 1 becomes "under 1 s".
    """
    if seconds < 1:
        return "under 1 s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
