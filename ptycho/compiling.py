"""Functions compiled by Numba, kept on disk where that is possible.

Serves every module of compiled loops; knows none of them.
"""

from collections.abc import Callable
from typing import Any

import numba


def kept(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that compiles when first called and keeps the result on disk.

    Numba looks at the file of the function, and at the variables it closes over, to see whether a
    result still holds; not at what it calls in other files.

    Args:
        options: of `numba.njit`.
    """

    def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
        try:
            cached: Callable[..., Any] = numba.njit(function, **options, cache=True)
        except RuntimeError:  # "no locator available": neither this folder nor the user's cache
            cached = numba.njit(function, **options)
        return cached

    return compiled
