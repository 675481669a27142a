"""From stored frames to frames as the reconstruction wants them, one requested frame at a time.

Data flow: file -> Recorded -> [frames] -> fields -> RawData -> ...
Orientation, dark, gain and pedestal, a window about the zero frequency, binning. Nothing is read
until frames are asked for, and frames that need no step stay as they are, mapped or in their file.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, Shaped

from ptycho.errors import DataError
from ptycho.io.fields import FrameStack, LazyFrames
from ptycho.io.measurement import Measurement
from ptycho.io.orientation import FRAME_STEPS, oriented


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameSteps:
    """What is done to every frame, in this order."""

    orientation: Sequence[str] = ()
    """Rows of FRAME_STEPS."""

    dark: Shaped[np.ndarray, "h w"] | None = None
    """Subtracted, in the orientation of the stored frames."""

    pedestal: float = 0.0
    """Subtracted from every pixel."""

    gain: float = 1.0
    """Stored units per photon."""

    clip: bool = False
    """Whether to set negative values to 0."""

    center: tuple[int, int] | None = None
    """(row, col) of the zero frequency after the orientation; None for H//2, W//2."""

    crop: int | None = None
    """Side of the window about it; None for the largest square in the frame."""

    bin: int = 1
    """Side of the squares of pixels that are summed."""

    def window(self, shape: tuple[int, int]) -> tuple[int, int, int]:
        """Return first row, first column and side of the window in an oriented frame (H, W)."""
        row, col = self.center or (shape[0] // 2, shape[1] // 2)
        side = self.crop or min(shape)
        return row - side // 2, col - side // 2, side

    def calibrates(self) -> bool:
        """Return whether values change, which makes them real numbers."""
        return self.dark is not None or self.pedestal != 0 or self.gain != 1

    def words(self, shape: tuple[int, int]) -> list[str]:
        """Return what is done, one line per step; `shape` is that of an oriented frame (H, W)."""
        row, col, side = self.window(shape)
        done = []
        if self.orientation:
            done.append(f"frames: {', '.join(self.orientation)}")
        if self.dark is not None:
            done.append(f"dark subtracted, mean {np.mean(self.dark):.4g}")
        if self.pedestal:
            done.append(f"pedestal {self.pedestal:g} subtracted")
        if self.gain != 1:
            done.append(f"divided by the gain, {self.gain:g} per photon")
        if self.clip:
            done.append("negative values set to 0")
        if (row, col, side, side) != (0, 0, *shape):
            done.append(
                f"rows {row} to {row + side - 1}, columns {col} to {col + side - 1} of "
                f"{shape[0]} x {shape[1]} detector pixels"
            )
        if self.bin > 1:
            done.append(f"{self.bin} x {self.bin} detector pixels summed to one")
        return done


def processed(frames: FrameStack, steps: FrameSteps, measurement: Measurement) -> FrameStack:
    """Return the frames after the steps, read and computed when they are indexed.

    Args:
        frames: (M, H, W) as stored.
        steps: see `FrameSteps`.
        measurement: what a stored value is; amplitudes are summed as intensities.

    Raises:
        DataError: If the window does not divide into squares of `bin`.
    """
    upright = oriented_shape(frames.shape[1:], steps.orientation)
    row, col, side = steps.window(upright)
    if side % steps.bin:
        raise DataError(
            f"frames of {side} pixels; expected a side that {steps.bin} divides; set it by --crop "
            f"{side - side % steps.bin}"
        )
    whole = (row, col, side, side) == (0, 0, *upright) and steps.bin == 1
    if whole and not (steps.orientation or steps.calibrates() or steps.clip):
        return frames
    out = side // steps.bin

    def read(numbers: Int[np.ndarray, " n"]) -> Shaped[np.ndarray, "n row col"]:
        return _stepped(np.asarray(frames[numbers]), steps, measurement)

    example = _stepped(np.asarray(frames[np.arange(1)]), steps, measurement)
    return LazyFrames((len(frames), out, out), example.dtype, read)


def valid_pixels(
    mask: Bool[np.ndarray, "h w"] | None, shape: tuple[int, int], steps: FrameSteps
) -> Bool[np.ndarray, "row col"] | None:
    """Return the mask of the processed frames; None if all pixels are valid.

    A summed pixel is valid if all its parts are; pixels outside the stored frame are not.

    Args:
        mask: of the stored frames.
        shape: (H, W) of them.
        steps: those of the frames.
    """
    known = np.ones(shape, bool) if mask is None else np.asarray(mask, bool)
    upright = oriented(known, steps.orientation)
    cut = _cut(upright[None], *steps.window(upright.shape))[0]
    side = len(cut) // steps.bin
    valid: np.ndarray = cut.reshape(side, steps.bin, side, steps.bin).all(axis=(1, 3))
    return None if valid.all() else valid


def oriented_shape(shape: tuple[int, ...], orientation: Sequence[str]) -> tuple[int, int]:
    """Return the (H, W) of frames of some shape after the steps of their orientation."""
    turned = FRAME_STEPS.keys() & {"transpose", "rot90"}
    odd = sum(step in turned for step in orientation) % 2
    height, width = shape
    return (width, height) if odd else (height, width)


def _stepped(
    frames: Shaped[np.ndarray, "n h w"], steps: FrameSteps, measurement: Measurement
) -> Shaped[np.ndarray, "n row col"]:
    if steps.calibrates():
        frames = frames.astype(np.float32) - np.float32(steps.pedestal)
        if steps.dark is not None:
            frames = frames - np.asarray(steps.dark, np.float32)
        frames = frames / np.float32(steps.gain)
    if steps.clip and frames.dtype.kind in "if":
        frames = np.maximum(frames, 0)
    frames = oriented(frames, steps.orientation)
    frames = _cut(frames, *steps.window(frames.shape[1:]))
    return np.ascontiguousarray(_summed(frames, steps.bin, measurement))


def _cut(
    frames: Shaped[np.ndarray, "n h w"], row: int, col: int, side: int
) -> Shaped[np.ndarray, "n row col"]:
    """Return a window of the frames; what lies outside them is 0."""
    height, width = frames.shape[1:]
    if row >= 0 and col >= 0 and row + side <= height and col + side <= width:
        return frames[:, row : row + side, col : col + side]
    out = np.zeros((len(frames), side, side), frames.dtype)
    top, left = max(row, 0), max(col, 0)
    part = frames[:, top : max(row + side, 0), left : max(col + side, 0)]
    out[:, top - row : top - row + part.shape[1], left - col : left - col + part.shape[2]] = part
    return out


def _summed(
    frames: Shaped[np.ndarray, "n row col"], size: int, measurement: Measurement
) -> Shaped[np.ndarray, "n row2 col2"]:
    """Return frames whose squares of pixels are summed, as intensities."""
    if size == 1:
        return frames
    n, side = len(frames), frames.shape[-1] // size
    whole = frames.dtype.kind in "uib"
    values = frames.astype(np.uint64 if whole else np.float64)
    if measurement == "amplitude":
        values = values**2
    summed = values.reshape(n, side, size, side, size).sum(axis=(2, 4))
    if measurement == "amplitude":
        return np.sqrt(summed).astype(np.float32)
    return summed.astype(np.uint32 if whole else np.float32)
