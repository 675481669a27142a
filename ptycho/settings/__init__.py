"""The settings of every command, as frozen dataclasses."""
