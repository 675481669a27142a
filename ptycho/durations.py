"""Spans of time as people write them."""

import re

from ptycho.errors import ConfigError

_SECONDS = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}


def seconds_of(text: str, name: str) -> float:
    """Return the seconds of "90", "90s", "1.5min" or "2h".

    Args:
        text: a number, with or without its unit.
        name: of the setting, for the error.

    Raises:
        ConfigError: If it is no span of time above 0.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(s|min|m|h)?\s*", text)
    seconds = float(found[1]) * _SECONDS[found[2] or "s"] if found else 0.0
    if not seconds > 0:
        raise ConfigError(f"{name}: {text!r}; expected a time as 60s, 10min or 2h")
    return seconds
