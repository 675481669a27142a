"""Several files of one scan as one, by order or the numbers of their frames, and frames left out.

Data flow: file -> Recorded -> [one Recorded] -> fields -> RawData -> ...
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ptycho.errors import ConfigError, DataError
from ptycho.experiment import Geometry
from ptycho.io.concatenation import concatenated
from ptycho.io.numbering import chosen_frames
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

    Frames of several files follow each other; see `concatenated`.

    Raises:
        DataError: If their frames or positions do not fit together.
    """
    whole, *others = concatenated(where, parts)
    for part in others:
        if whole.positions is not None and part.positions is not None:
            raise DataError(
                f"{where}: two files with positions, {whole.source} and {part.source}; expected "
                "one file with the positions of the scan, or one for each file with frames"
            )
        whole = _filled(whole, part)
    return replace(whole, source=" and ".join(dict.fromkeys(part.source for part in parts)))


def _filled(whole: Recorded, part: Recorded) -> Recorded:
    """Return the content of a file, with values that it lacks from another one."""
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
    return replace(
        whole,
        **filled,
        geometry=Geometry(**lengths),
        notes=(*whole.notes, *part.notes),
        metadata={**part.metadata, **whole.metadata},
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
        recorded, frames=chosen_frames(frames, left), notes=(*recorded.notes, note), **per_position
    )
