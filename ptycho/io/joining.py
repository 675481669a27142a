"""Several files of one scan as one, by the numbers of their frames, and frames left out.

Data flow: file -> Recorded -> [one Recorded] -> fields -> RawData -> ...
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Shaped

from ptycho.errors import ConfigError, DataError
from ptycho.experiment import Geometry
from ptycho.io.fields import FrameStack, LazyFrames
from ptycho.io.recorded import Recorded

_BELONGS_TO = {
    "frames": ("frame_steps", "corner", "frames_entry", "amplitude_by_convention"),
    "positions": ("positions_unit", "scan_index", "start", "position_numbers"),
    "probe": ("probe_known",),
    "mask": ("mask_polarity_known",),
    "raster": ("raster_step_m", "raster_rotation"),
}
"""Values that describe another and come from the same file."""


def join(where: str, parts: Sequence[Recorded]) -> Recorded:
    """Return the content of several files of one scan as one; of two values the first counts.

    Raises:
        DataError: If two of them hold the frames, or the positions.
    """
    whole = parts[0]
    for part in parts[1:]:
        for name in ("frames", "positions"):
            if getattr(whole, name) is not None and getattr(part, name) is not None:
                raise DataError(
                    f"{where}: two files with {name}, {whole.source} and {part.source}; expected "
                    f"one file with the {name} of the scan"
                )
        filled = {
            f.name: getattr(part, f.name)
            for f in dataclasses.fields(Recorded)
            if getattr(whole, f.name) is None and getattr(part, f.name) is not None
        }
        for owner, names in _BELONGS_TO.items():
            if owner in filled:
                filled |= {name: getattr(part, name) for name in names}
        lengths = {
            f.name: getattr(whole.geometry, f.name) or getattr(part.geometry, f.name)
            for f in dataclasses.fields(Geometry)
        }
        whole = replace(
            whole,
            **filled,
            source=f"{whole.source} and {part.source}",
            geometry=Geometry(**lengths),
            notes=(*whole.notes, *part.notes),
            metadata={**part.metadata, **whole.metadata},
        )
    return whole


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
    chosen = frames if in_order else _chosen(frames, f)
    index = recorded.scan_index
    return replace(
        recorded,
        frames=chosen,
        positions=positions[p],
        start=None if recorded.start is None else recorded.start[p],
        scan_index=None if index is None else index[p],
        notes=(*recorded.notes, *(() if same else (note,))),
    )


def without(where: str, recorded: Recorded, skip: Sequence[int]) -> Recorded:
    """Return the content without some frames, and without their positions if these have them."""
    frames, positions = recorded.frames, recorded.positions
    if not skip or frames is None:
        return recorded
    n_frames = len(frames)
    if skip[-1] >= n_frames:
        raise ConfigError(f"skip_frames: {skip[-1]}; {where} has the frames 0 to {n_frames - 1}")
    left = np.setdiff1d(np.arange(n_frames), skip)
    if not len(left):
        raise ConfigError(f"skip_frames: all {n_frames} frames of {where}; expected some to stay")
    per_position: dict[str, Any] = {}
    if positions is not None and len(positions) == n_frames:
        for name in ("positions", "start", "scan_index", "patches"):
            values = getattr(recorded, name)
            per_position[name] = None if values is None else np.asarray(values)[left]
    note = f"{n_frames - len(left)} of {n_frames} frames left out"
    return replace(
        recorded, frames=_chosen(frames, left), notes=(*recorded.notes, note), **per_position
    )


def _chosen(frames: FrameStack, numbers: Shaped[np.ndarray, " n"]) -> FrameStack:
    _, height, width = frames.shape
    shape = (len(numbers), height, width)
    return LazyFrames(shape, frames.dtype, lambda which: np.asarray(frames[numbers[which]]))
