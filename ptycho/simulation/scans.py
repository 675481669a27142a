"""Scan patterns: raster, fly scan, Fermat spiral.

Data flow: [scans] -> simulate -> RawData -> ...
Positions are (row, col) in object pixels, about any origin; `place_scan` moves them onto an object.
Knows no probes and no frames. The table of patterns is `ptycho.simulation.SCAN_PATTERNS`.
"""

import math
from typing import Protocol

import numpy as np
from jaxtyping import Float, Shaped

from ptycho.errors import ConfigError


class ScanPattern(Protocol):
    """Makes the positions of a scan."""

    def __call__(
        self,
        n_frames: int,
        *,
        step: float,
        jitter: float,
        row_step: float | None,
        rng: np.random.Generator,
    ) -> Float[np.ndarray, "position 2"]:
        """Return positions; `raster_scan` states the arguments."""


def lattice_shape(n_frames: int, row_step: float = 1.0, col_step: float = 1.0) -> tuple[int, int]:
    """Return rows and columns that hold n_frames on an area as square as possible.

    The rectangle is full if a full one has sides within 1 : 2; else the last row is incomplete.

    Args:
        n_frames: positions in the scan.
        row_step: distance between rows, object pixels.
        col_step: distance between columns, object pixels.

    Raises:
        ConfigError: If there are no frames.
    """
    if n_frames < 1:
        raise ConfigError(f"n_frames: {n_frames}; expected 1 or more")
    ideal = math.sqrt(n_frames * col_step / row_step)
    full = [rows for rows in range(1, n_frames + 1) if n_frames % rows == 0]
    rows = min(full, key=lambda count: abs(math.log(count / ideal)))
    if abs(math.log(rows / ideal)) > 0.5 * math.log(2.0):
        rows = max(1, round(ideal))
    return rows, math.ceil(n_frames / rows)


def raster_scan(
    n_frames: int,
    *,
    step: float,
    jitter: float = 0.0,
    row_step: float | None = None,
    rng: np.random.Generator,
) -> Float[np.ndarray, "position 2"]:
    """Return a step scan, row by row, each row from left to right.

    Args:
        n_frames: exact number of positions.
        step: distance between positions along a row, object pixels.
        jitter: standard deviation of a random displacement in each direction, object pixels; it
            breaks the lattice, whose symmetry would otherwise appear in the object.
        row_step: distance between rows, object pixels; None takes the step.
        rng: random numbers of the displacements.

    Source:
        Thibault et al., Ultramicroscopy 109, 338 (2009), on the raster pathology.
    """
    row_step = row_step or step
    row, col = np.divmod(np.arange(n_frames), lattice_shape(n_frames, row_step, step)[1])
    return _displaced(row_step * row, step * col, jitter, rng)


def fly_scan(
    n_frames: int,
    *,
    step: float,
    jitter: float = 0.0,
    row_step: float | None = None,
    rng: np.random.Generator,
) -> Float[np.ndarray, "position 2"]:
    """Return a continuous scan, row by row, each row opposite to the row before it.

    The motion during an exposure is not simulated; model it as incoherent modes.

    Args:
        n_frames: exact number of positions.
        step: distance between two exposures, object pixels.
        jitter: standard deviation of a random displacement in each direction, object pixels.
        row_step: distance between rows, object pixels; None takes the step. Fly scans often have
            coarser rows.
        rng: random numbers of the displacements.
    """
    row_step = row_step or step
    n_cols = lattice_shape(n_frames, row_step, step)[1]
    row, col = np.divmod(np.arange(n_frames), n_cols)
    col = np.where(row % 2 == 1, n_cols - 1 - col, col)
    return _displaced(row_step * row, step * col, jitter, rng)


def fermat_scan(
    n_frames: int,
    *,
    step: float,
    jitter: float = 0.0,
    row_step: float | None = None,
    rng: np.random.Generator,
) -> Float[np.ndarray, "position 2"]:
    """Return a Fermat spiral: a uniform density on a disc, without a lattice.

        r_n = step sqrt((n + 1/2) / pi),   angle_n = n * golden angle

    Args:
        n_frames: exact number of positions.
        step: root of the area per position, object pixels.
        jitter: standard deviation of a random displacement in each direction, object pixels.
        row_step: not used.
        rng: random numbers of the displacements.

    Source:
        Huang et al., Opt. Express 22, 12634 (2014).
    """
    number = np.arange(n_frames)
    radius = step * np.sqrt((number + 0.5) / math.pi)
    angle = number * math.pi * (3.0 - math.sqrt(5.0))
    return _displaced(radius * np.sin(angle), radius * np.cos(angle), jitter, rng)


def _displaced(
    row: Shaped[np.ndarray, " position"],
    col: Shaped[np.ndarray, " position"],
    jitter: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, "position 2"]:
    positions = np.stack([row, col], axis=1).astype(np.float64)
    return positions + jitter * rng.standard_normal(positions.shape)


def place_scan(
    positions: Float[np.ndarray, "position 2"], size: int, *, margin: int = 4
) -> tuple[Float[np.ndarray, "position 2"], tuple[int, int]]:
    """Move a scan onto the smallest object that contains all its windows and a margin.

    Args:
        positions: probe centres about any origin.
        size: side of the window around each position, object pixels.
        margin: object pixels between the outermost windows and the border.

    Returns:
        The positions in pixels of that object, and its (row, col) shape.
    """
    first = size // 2 + margin
    placed = positions - positions.min(axis=0) + first
    last = np.floor(placed.max(axis=0) + 0.5).astype(int) - size // 2 + size + margin
    return placed, (int(last[0]), int(last[1]))
