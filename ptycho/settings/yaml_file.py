"""Settings in YAML files: those a user writes, and the settings_used.yaml of each run."""

from pathlib import Path
from typing import Any

from ptycho.errors import ConfigError


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
