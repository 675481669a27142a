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


def skip(numbers: Int[np.ndarray, " n"]) -> str:
    """Return the flag that excludes some frames."""
    named = numbered(numbers, 6)
    return f"--skip_frames {named if '...' not in named else 'found'} excludes them"
