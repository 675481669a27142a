"""A hypothesis about a scan: how it is to be read instead of as its file says."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Complex64, Float, Int

from ptycho.io.fields import FrameStack, LazyFrames
from ptycho.io.orientation import PROBE_STEPS, oriented, placed
from ptycho.scan.raw_data import RawData

IDENTITY = ((1.0, 0.0), (0.0, 1.0))

_LEAST_ANGLE, _LEAST_SCALE = 0.005, 1e-4  # degrees; smaller ones are not worth a word


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Steps on positions, frames and probe; empty as the file says."""

    positions: tuple[str, ...] = ()
    """Steps of `io.orientation.POSITION_STEPS`."""

    frames: tuple[str, ...] = ()
    """Steps of `io.orientation.FRAME_STEPS`."""

    probe: tuple[str, ...] = ()
    """Steps of `io.orientation.PROBE_STEPS`."""

    matrix: tuple[tuple[float, float], tuple[float, float]] = IDENTITY
    """Map of the positions (row, col) after the steps, about their centre."""

    measurement: str | None = None
    """What the frames hold; None as the file says."""

    blur: float | None = None
    """Standard deviation of the point spread of the detector, pixels; None as the file says."""

    def words(self) -> str:
        """Return it as flags, as far as there are some; `as read` where it changes nothing."""
        named = {"positions": self.positions, "frames": self.frames, "probe": self.probe}
        parts = [f"--{name} {','.join(steps)}" for name, steps in named.items() if steps]
        if self.measurement is not None:
            parts.append(f"--measurement {self.measurement}")
        if self.matrix != IDENTITY:
            parts.append(described(self.matrix))
        if self.blur is not None:
            parts.append(f"detector blur of {self.blur:g} px")
        return " ".join(parts) or "as read"

    @property
    def all_flags(self) -> bool:
        """Whether `words` are flags of a command and nothing else."""
        return self.matrix == IDENTITY and self.blur is None

    def positions_of(self, raw: RawData) -> Float[np.ndarray, "position 2"]:
        """Return the positions of a scan by this hypothesis, object pixels."""
        moved = placed(raw.positions, self.positions)
        centre = np.median(moved, axis=0)
        return (moved - centre) @ np.asarray(self.matrix).T + centre

    def applied(self, raw: RawData, probe: Complex64[np.ndarray, "mode n n"] | None) -> RawData:
        """Return a scan as it is by this hypothesis; frames stay where they are stored.

        Args:
            raw: the scan.
            probe: the one to take; None takes that of the scan, with the steps of the probe.
        """
        moved = self.positions_of(raw)
        changes: dict[str, Any] = {
            "ycoords": moved[:, 0], "xcoords": moved[:, 1],
            "probe": self._probe_of(raw) if probe is None else probe,
        }  # fmt: skip
        if self.frames:
            changes |= {"frames": _oriented_frames(raw.mended_frames, self.frames), "flashes": None}
            changes["mask"] = None if raw.mask is None else oriented(raw.mask, self.frames)
            dark = raw.background
            changes["background"] = (
                None if dark is None else oriented(np.asarray(dark), self.frames)
            )
        if self.measurement is not None:
            changes["measurement"] = self.measurement
        if self.blur is not None:
            changes["experiment"] = replace(raw.experiment, blur=self.blur)
        if self.positions or self.frames:
            changes |= {"patches": None}
        return replace(raw, **changes)

    def _probe_of(self, raw: RawData) -> np.ndarray:
        probe = np.asarray(raw.probe)
        for step in self.probe:
            probe = PROBE_STEPS[step](probe)
        return np.ascontiguousarray(probe)


def described(matrix: tuple[tuple[float, float], tuple[float, float]]) -> str:
    """Return a map of positions in words: its rotation, scales and shear.

        M = R(rotation) diag(scale_rows, scale_cols) [[1, shear], [0, 1]]

    Args:
        matrix: for columns (row, col).
    """
    (a, b), (c, d) = matrix
    rows = math.hypot(a, c)
    angle = math.degrees(math.atan2(c, a))
    shear, cols = (a * b + c * d) / rows**2, (a * d - b * c) / rows
    parts = []
    if abs(angle) > _LEAST_ANGLE:
        parts.append(f"turned by {angle:.2f} degrees")
    if max(abs(rows - 1), abs(cols - 1)) > _LEAST_SCALE:
        same = abs(rows - cols) < _LEAST_SCALE
        parts.append(
            f"scaled by {rows:.4g}"
            if same
            else f"scaled by {rows:.4f} (rows), {cols:.4f} (columns)"
        )
    if abs(shear) > _LEAST_SCALE:
        parts.append(f"sheared by {shear:.4f}")
    return f"positions {', '.join(parts) or 'hardly changed'}"


def in_memory(raw: RawData, numbers: Int[np.ndarray, " frame"]) -> RawData:
    """Return some frames of a scan, held in memory, without a true object."""
    part = raw.subset(numbers)
    frames = np.ascontiguousarray(np.asarray(part.mended_frames[:]))
    return replace(part, frames=frames, flashes=None, obj=None, patches=None, xcoords_start=None,
                   ycoords_start=None)  # fmt: skip


def _oriented_frames(frames: FrameStack, steps: tuple[str, ...]) -> FrameStack:
    sample = oriented(np.empty((0, *frames.shape[1:]), frames.dtype), steps)
    shape = (frames.shape[0], *sample.shape[1:])
    return LazyFrames(shape, frames.dtype, lambda which: oriented(np.asarray(frames[which]), steps))
