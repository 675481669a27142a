"""Settings in YAML files: those a user writes, and the record that each run leaves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ptycho import __version__
from ptycho.errors import ConfigError

SETTINGS_FILE = "settings_used.yaml"
"""Name of the file in the folder of a run that holds its settings."""


def read_settings(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Raises:
        ConfigError: If the file is missing, is not YAML or holds no mapping.
    """
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise ConfigError(f"{path}: {problem.strerror}; expected a YAML file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        text = " ".join(str(problem).split())
        raise ConfigError(f"{path}: not valid YAML ({text}); expected 'key: value' lines") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: holds a {type(found).__name__}; expected 'key: value' lines")
    return found


def save_settings(settings: Mapping[str, Any], folder: Path, *, kind: str) -> Path:
    """Write `settings_used.yaml`, which `--config` reads back, into the folder of a run.

    Args:
        settings: plain numbers, words and None by name, as `to_dict` returns them.
        folder: created if missing.
        kind: of the run.

    Returns:
        The file.
    """
    import yaml

    path = folder / SETTINGS_FILE
    folder.mkdir(parents=True, exist_ok=True)
    head = f"# Every setting of this run ({kind}, ptycho {__version__})\n"
    body = yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True)
    path.write_text(head + body, encoding="utf-8")
    return path
