"""Checks of numbers that several settings classes share; each names the setting it refuses."""

from ptycho.errors import ConfigError


def at_least(config: object, least: float, *names: str) -> None:
    """Raise ConfigError for the first setting below a bound; None passes."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not least <= value < float("inf"):
            raise ConfigError(f"{name}: {value}; expected {least} or more")


def at_most(config: object, most: float, *names: str) -> None:
    """Raise ConfigError for the first setting above a bound; None passes."""
    for name in names:
        value = getattr(config, name)
        if value is not None and value > most:
            raise ConfigError(f"{name}: {value}; expected {most:g} or less")


def above_zero(config: object, *names: str) -> None:
    """Raise ConfigError for the first setting that is not above 0 and finite; None passes."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not 0 < value < float("inf"):
            raise ConfigError(f"{name}: {value}; expected a number above 0")


def a_share(config: object, most: float, *names: str) -> None:
    """Raise ConfigError for the first setting outside 0 to a bound, both included."""
    for name in names:
        value = getattr(config, name)
        if not 0 <= value <= most:
            raise ConfigError(f"{name}: {value}; expected 0 to {most:g}")


def a_seed(config: object) -> None:
    """Raise ConfigError for a seed that no generator takes."""
    at_least(config, 0, "seed")
    at_most(config, 2**63 - 1, "seed")
