"""load_data under the import path of the users' documents."""

from ptycho.api.loading import load_data

__all__ = ["load_data"]
