"""What an inspection finds: one line of evidence, and the flag or command that corrects it.

Data flow: file -> RawData -> sample -> [findings] -> log, run record, page, `ptycho inspect`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int

Severity = Literal["error", "warning", "note"]
"""error: nothing useful can be computed; warning: the picture will be wrong or poor; note: worth
knowing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fault, or one remarkable fact, of a scan."""

    name: str
    """Short name of its kind, such as blank_frames; stable, for scripts."""

    severity: Severity
    """How bad it is."""

    text: str
    """What was found, with its numbers."""

    remedy: str = ""
    """The flag or command that corrects it; empty if there is none."""

    frames: tuple[int, ...] = ()
    """Numbers of the frames that are better excluded."""

    pixels: tuple[tuple[int, int], ...] = ()
    """(row, col) of pixels that are better excluded in all frames."""

    flashes: tuple[tuple[int, int, int], ...] = ()
    """(frame, row, col) of pixels that are better excluded in single frames."""

    reason: str = ""
    """What these frames or pixels are, in a word or two; empty for those that a command does not
    exclude unless asked to."""

    @property
    def excludable(self) -> bool:
        """Whether commands that compute exclude these frames or pixels by default."""
        return bool(self.reason) and bool(self.frames or self.pixels or self.flashes)

    def sentence(self) -> str:
        """Return text and remedy in one line."""
        return f"{self.text}; {self.remedy}" if self.remedy else self.text


def numbered(numbers: Int[np.ndarray, " n"] | Sequence[int], most: int = 6) -> str:
    """Return ascending numbers as short text: runs as 3-7, at most some of them."""
    values = [int(n) for n in numbers]
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    words = [f"{a}" if a == b else f"{a}-{b}" for a, b in runs]
    return ",".join(words[:most]) + (",..." if len(words) > most else "")


def region(box: tuple[slice, slice], size: int) -> str:
    """Return a rectangle of pixels as text.

    Args:
        box: its rows and columns.
        size: N, pixels per side of a frame.
    """
    rows, cols = box
    if rows.stop - rows.start == size:
        return f"columns {cols.start} to {cols.stop - 1}"
    if cols.stop - cols.start == size:
        return f"rows {rows.start} to {rows.stop - 1}"
    return f"rows {rows.start}-{rows.stop - 1}, columns {cols.start}-{cols.stop - 1}"


def skip(numbers: Int[np.ndarray, " n"]) -> str:
    """Return the flag that excludes some frames."""
    named = numbered(numbers, 6)
    return f"--skip_frames {named if '...' not in named else 'found'} excludes them"
