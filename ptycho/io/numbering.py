"""Frames and positions of one scan by their numbers.

Data flow: file -> Recorded -> [frames and positions in one order] -> fields -> ...
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Shaped

from ptycho.errors import DataError
from ptycho.io.fields import FrameStack, LazyFrames
from ptycho.io.recorded import Recorded


def joined_by_number(where: str, recorded: Recorded) -> Recorded:
    """Return frames and positions of the same numbers, where the file numbers them."""
    frames, positions = recorded.frames, recorded.positions
    if frames is None or positions is None:
        return recorded
    if recorded.position_numbers is None and recorded.frame_numbers is None:
        return recorded
    of_frames, of_positions = (
        np.arange(n) if numbers is None else np.asarray(numbers).reshape(-1)
        for numbers, n in (
            (recorded.frame_numbers, len(frames)),
            (recorded.position_numbers, len(positions)),
        )
    )
    if len(of_frames) != len(frames) or len(of_positions) != len(positions):
        raise DataError(
            f"{where}: {len(of_frames)} numbers for {len(frames)} frames, {len(of_positions)} for "
            f"{len(positions)} positions; expected one each"
        )
    common, f, p = np.intersect1d(of_frames, of_positions, return_indices=True)
    if not len(common):
        raise DataError(
            f"{where}: frames {of_frames.min()} to {of_frames.max()}, positions of frames "
            f"{of_positions.min()} to {of_positions.max()}; expected common numbers"
        )
    same = len(common) == len(frames) == len(positions)
    note = f"{len(common)} of {len(frames)} frames and {len(positions)} positions joined by number"
    in_order = np.array_equal(f, np.arange(len(frames)))
    chosen = frames if in_order else chosen_frames(frames, f)
    index = recorded.scan_index
    return replace(
        recorded,
        frames=chosen,
        positions=positions[p],
        start=None if recorded.start is None else recorded.start[p],
        scan_index=None if index is None else index[p],
        notes=(*recorded.notes, *(() if same else (note,))),
    )


def chosen_frames(frames: FrameStack, numbers: Shaped[np.ndarray, " n"]) -> FrameStack:
    """Return some frames of a stack, still in their file."""
    _, height, width = frames.shape
    shape = (len(numbers), height, width)
    return LazyFrames(shape, frames.dtype, lambda which: np.asarray(frames[numbers[which]]))
