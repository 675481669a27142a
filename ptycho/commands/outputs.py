"""Files that a command writes outside of the folder of a run."""

from pathlib import Path

from ptycho.errors import ConfigError


def check_output(path: Path, *, overwrite: bool) -> None:
    """Raise ConfigError if a file exists that may not be replaced.

    Args:
        path: file to write.
        overwrite: whether it may be replaced.
    """
    if path.exists() and not overwrite:
        raise ConfigError(f"output: {path} exists; expected a new file, or --overwrite")
