"""Progress bars in terminals and notebooks: how far, how fast, how much time remains.

Serves every step that may take longer than a second; knows none of them.
"""

import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

Item = TypeVar("Item")
Track = Callable[[Iterable[Any], int], Iterable[Any]]
"""Wraps the items of a step, given their number, to show its progress."""

_PATIENCE_S = 1.0  # no bar before: shorter steps need none
_BY_TIME = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"


def progress(
    items: Iterable[Item],
    label: str,
    *,
    enabled: bool = True,
    total: int | None = None,
    unit: str = "it",
) -> Iterable[Item]:
    """Return the items, with a progress bar while they are iterated over.

    Args:
        items: anything to loop over.
        label: what is done to them, a word or two.
        enabled: False shows nothing; so does an output that is neither terminal nor notebook.
        total: number of items, if `len` does not give it.
        unit: what one of them is.
    """
    bar: Iterable[Item] = _bar(items, label, enabled=enabled, total=total, unit=f" {unit}")
    return bar


def tracked(label: str, unit: str, *, enabled: bool = True) -> Track:
    """Return a function that shows such a bar for a step of which only the step knows the items."""
    return lambda items, total: progress(items, label, enabled=enabled, total=total, unit=unit)


def untracked(items: Iterable[Item], total: int) -> Iterable[Item]:
    """Return the items; show nothing."""
    return items


def by_hand(label: str, *, enabled: bool = True, total: float | None, unit: str) -> Any:
    """Return a bar of tqdm that its owner advances by `update` and ends by `close`.

    Args:
        label: what is done, a word or two.
        enabled: False shows nothing; so does an output that is neither terminal nor notebook.
        total: of the units.
        unit: what is counted; "s" counts time, which has no rate.
    """
    by_time = {"bar_format": _BY_TIME} if unit == "s" else {}
    return _bar(None, label, enabled=enabled, total=total, unit=f" {unit}", **by_time)


def drawn(enabled: bool) -> bool:
    """Return whether a bar would be visible."""
    return enabled and (sys.stderr.isatty() or in_notebook())


def in_notebook() -> bool:
    """Return whether the code runs in the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


def _bar(items: Iterable[Item] | None, label: str, *, enabled: bool, **options: Any) -> Any:
    from tqdm.auto import tqdm

    return tqdm(
        items, desc=label, disable=not drawn(enabled), delay=_PATIENCE_S, leave=False,
        dynamic_ncols=True, smoothing=0.1, **options,
    )  # fmt: skip
