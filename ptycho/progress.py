"""Progress bars on a terminal: how far, how fast, how long still.

Serves every step that may take longer than a second; knows none of them.
"""

import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

Item = TypeVar("Item")
Track = Callable[[Iterable[Any], int], Iterable[Any]]
"""Wraps what a step goes through, given how many there are, to show how far it is."""

_PATIENCE_S = 1.0  # no bar before: what ends sooner needs none
_BY_TIME = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"


def progress(
    items: Iterable[Item],
    label: str,
    *,
    enabled: bool = True,
    total: int | None = None,
    unit: str = "it",
) -> Iterable[Item]:
    """Return the items, with a bar on stderr while they are gone through.

    Args:
        items: anything to loop over.
        label: what is done to them, a word or two.
        enabled: False draws nothing; neither does a stderr that is no terminal.
        total: how many there are, when `len` cannot tell.
        unit: what one of them is.
    """
    return _bar(items, label, enabled=enabled, total=total, unit=f" {unit}")


def tracked(label: str, unit: str, *, enabled: bool = True) -> Track:
    """Return what draws such a bar for a step of which only the step knows the items."""
    return lambda items, total: progress(items, label, enabled=enabled, total=total, unit=unit)


def untracked(items: Iterable[Item], total: int) -> Iterable[Item]:
    """Return the items; draw nothing."""
    return items


def by_hand(label: str, *, enabled: bool = True, total: float | None, unit: str) -> Any:
    """Return a bar of tqdm that its owner moves by `update` and ends by `close`.

    Args:
        label: what is done, a word or two.
        enabled: False draws nothing; neither does a stderr that is no terminal.
        total: of the units.
        unit: what is counted; "s" counts time, which has no rate.
    """
    by_time = {"bar_format": _BY_TIME} if unit == "s" else {}
    return _bar(None, label, enabled=enabled, total=total, unit=f" {unit}", **by_time)


def drawn(enabled: bool) -> bool:
    """Return whether a bar would be seen."""
    return enabled and sys.stderr.isatty()


def _bar(items: Iterable[Item] | None, label: str, *, enabled: bool, **options: Any) -> Any:
    from tqdm import tqdm

    return tqdm(
        items, desc=label, disable=not drawn(enabled), delay=_PATIENCE_S, leave=False,
        dynamic_ncols=True, smoothing=0.1, **options,
    )  # fmt: skip
