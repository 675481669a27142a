"""Orientation of frames and positions, in words.

Programs of the field encode it by three flags or digits in at least five different orders; here a
list of words is applied from left to right.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Shaped

from ptycho.errors import ConfigError

FRAME_STEPS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "transpose": lambda frames: np.swapaxes(frames, -1, -2),
    "flipud": lambda frames: frames[..., ::-1, :],
    "fliplr": lambda frames: frames[..., ::-1],
    "rot90": lambda frames: np.rot90(frames, axes=(-2, -1)),
    "fftshift": lambda frames: np.fft.fftshift(frames, axes=(-2, -1)),
}
"""Steps on the last two axes (row, col) of frames: exchange rows and columns; reverse the rows;
reverse the columns; turn by 90 degrees as `numpy.rot90` does; move the zero frequency from pixel
(0, 0) to the middle."""

POSITION_STEPS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "swap": lambda positions: positions[:, ::-1],
    "negate_rows": lambda positions: positions * (-1.0, 1.0),
    "negate_cols": lambda positions: positions * (1.0, -1.0),
    "reverse": lambda positions: positions[::-1],
    "snake": lambda positions: _snake(positions),
    "late": lambda positions: np.roll(positions, 1, axis=0),
    "early": lambda positions: np.roll(positions, -1, axis=0),
}
"""Steps on positions (row, col): exchange both coordinates; negate one of them; reverse their
order; reverse the order in every other row of a raster; let each frame have the position of the
frame before it, or after it."""


PROBE_STEPS: dict[str, Callable[[np.ndarray], np.ndarray]] = {**FRAME_STEPS, "conjugate": np.conj}
"""Steps on the probe of a file: those of frames, and the complex conjugate."""


def oriented(
    frames: Shaped[np.ndarray, "*any row col"], steps: Sequence[str]
) -> Shaped[np.ndarray, "*any row2 col2"]:
    """Return frames, or anything on the pixels of the detector, after some `FRAME_STEPS`."""
    for step in steps:
        frames = FRAME_STEPS[step](frames)
    return frames


def placed(
    positions: Float[np.ndarray, "position 2"], steps: Sequence[str]
) -> Float[np.ndarray, "position 2"]:
    """Return positions after some `POSITION_STEPS`."""
    for step in steps:
        positions = POSITION_STEPS[step](positions)
    return positions


def turned(
    positions: Float[np.ndarray, "position 2"], angle: float
) -> Float[np.ndarray, "position 2"]:
    """Return positions rotated about the origin, from the row axis towards the column axis.

    Args:
        positions: (row, col) in any unit.
        angle: radians.
    """
    cos, sin = np.cos(angle), np.sin(angle)
    return positions @ np.array([[cos, sin], [-sin, cos]])


def _snake(positions: Float[np.ndarray, "position 2"]) -> Float[np.ndarray, "position 2"]:
    """Return positions with the order reversed in every other row of a raster.

    A row ends where the next position is much farther away than usual; of a snake, where a step
    across the rows is longer than along them, or else where the direction turns.
    """
    if len(positions) < 3:
        return positions
    moves = np.diff(positions, axis=0)
    length = np.hypot(*moves.T)
    jumps = length > 3 * np.median(length)
    fast = int(np.argmax(np.abs(moves).sum(axis=0)))
    across = np.abs(moves[:, 1 - fast]) > np.abs(moves[:, fast])
    across[1:] &= ~across[:-1]
    turns = np.zeros(len(moves), bool)
    turns[1:] = (moves[1:] * moves[:-1]).sum(axis=1) < 0
    ends = next((found for found in (jumps, across) if found.any()), turns)
    starts = np.flatnonzero(ends) + 1
    rows = np.split(np.arange(len(positions)), starts)
    order = [row[::-1] if i % 2 else row for i, row in enumerate(rows)]
    return positions[np.concatenate(order)]


def words(text: str | None, known: Sequence[str], setting: str) -> tuple[str, ...]:
    """Return the steps that a setting names, separated by commas; none for None.

    Raises:
        ConfigError: If a word is unknown; names the setting.
    """
    found = tuple(word.strip() for word in (text or "").replace("\n", ",").split(","))
    found = tuple(word for word in found if word and word != "none")
    for word in found:
        if word not in known:
            raise ConfigError(f"{setting}: {word!r}; expected some of {', '.join(known)}")
    return found
