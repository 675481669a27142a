"""The check behind the annotations of ptycho while tests run.

An int serves where a float is due. Settings are left out: they convert what they are given, and
say themselves what they cannot take.
"""

from collections.abc import Callable

from beartype import BeartypeConf, beartype

_checked = beartype(conf=BeartypeConf(is_pep484_tower=True))


def check(function: Callable) -> Callable:
    """Return the function with its arguments and result checked on every call."""
    settings = function.__module__.startswith("ptycho.settings")
    return function if settings else _checked(function)
