"""Tables of choices: losses, networks, probes and scan patterns by name.

A row is a name, one line of description and an object, or "module:attribute", which is imported
when the row is used. So names and descriptions are known without the heavy libraries behind them.
"""

import functools
import importlib
import inspect
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Generic, NamedTuple, TypeVar, cast

from ptycho.errors import ConfigError

Choice = TypeVar("Choice")


class Row(NamedTuple):
    """A row that is imported when it is used."""

    place: str
    """Where the object is: "module:attribute"."""

    text: str
    """One line of description, without a full stop."""

    arguments: tuple[str, ...] = ()
    """First arguments of the object, a function that several rows share."""


class Table(MutableMapping[str, Choice], Generic[Choice]):
    """Objects by name, in the order of the rows.

    A further row is an assignment: `LOSSES["huber"] = Loss(...)`. Its description is the first
    line of the docstring of the object.

    Args:
        kind: what a row is, for error messages: "loss".
        rows: by name.
    """

    def __init__(self, kind: str, rows: Mapping[str, Row]) -> None:
        self.kind = kind
        self._rows: dict[str, Row | Choice] = dict(rows)

    def __getitem__(self, name: str) -> Choice:
        row = self._rows[name]
        if not isinstance(row, Row):
            return row
        module, _, attribute = row.place.partition(":")
        found: Any = getattr(importlib.import_module(module), attribute)
        if row.arguments:
            found = functools.partial(found, *row.arguments)
        return cast("Choice", found)

    def __setitem__(self, name: str, value: Choice) -> None:
        self._rows[name] = value

    def __delitem__(self, name: str) -> None:
        del self._rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._rows

    def find(self, name: str) -> Choice:
        """Return the object of a row.

        Raises:
            ConfigError: If there is no such row.
        """
        if name not in self._rows:
            raise ConfigError(f"{self.kind}: {name!r}; expected one of {', '.join(self._rows)}")
        return self[name]

    def text(self, name: str) -> str:
        """Return the description of a row; imports nothing."""
        row = self._rows[name]
        if isinstance(row, Row):
            return row.text
        return (inspect.getdoc(row) or "").partition("\n")[0].rstrip(".")
