"""Frames of one scan that are spread over several files.

Data flow: files -> Recorded of each -> [one with all frames] -> fields -> RawData -> ...
The frames stay in their files.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Int, Shaped

from ptycho.errors import DataError
from ptycho.io.fields import FrameStack, LazyFrames
from ptycho.io.numbering import joined_by_number
from ptycho.io.recorded import Recorded

_OF_POSITIONS = ("positions", "position_numbers", "start", "scan_index")
_KIND = ("measurement", "amplitude_by_convention", "frame_steps", "corner")


def concatenated(where: str, parts: Sequence[Recorded]) -> list[Recorded]:
    """Return the parts of a scan with the frames of all in the first that has any.

    Frames follow each other in the order of the parts. So do positions if there are as many parts
    with positions as with frames; one part with positions may hold those of all frames. A raster
    of each part says nothing about the whole.

    Raises:
        DataError: If the frames differ in size or kind, or do not fit their positions.
    """
    with_frames = [i for i, part in enumerate(parts) if part.frames is not None]
    with_positions = [i for i, part in enumerate(parts) if part.positions is not None]
    found, of_frames = list(parts), [parts[i] for i in with_frames]
    if len(of_frames) < 2:
        return found
    _check_frames(where, of_frames)
    placed = len(with_positions) > 1
    if placed:
        if len(with_positions) != len(with_frames):
            raise DataError(
                f"{where}: {len(with_frames)} files with frames, {len(with_positions)} with "
                "positions; expected one for each, or one for all"
            )
        pairs = zip(of_frames, (parts[i] for i in with_positions), strict=True)
        of_frames = [_placed(where, n, *pair) for n, pair in enumerate(pairs, start=1)]
        for i in with_positions:
            found[i] = replace(
                found[i], positions=None, position_numbers=None, start=None, scan_index=None
            )
    for i in with_frames:
        found[i] = replace(found[i], frames=None, frame_numbers=None, patches=None, raster=None)
    first = with_frames[0]
    found[first] = replace(found[first], **_together(where, of_frames, placed=placed))
    return found


def _check_frames(where: str, parts: Sequence[Recorded]) -> None:
    """Raise DataError unless the frames of all parts have one size and one meaning."""
    first, size = parts[0], _size(parts[0])
    for part in parts[1:]:
        if _size(part) != size:
            raise DataError(
                f"{where}: two files with frames, {first.source} of {size} and {part.source} "
                f"of {_size(part)}; expected frames of one size"
            )
        for name in _KIND:
            if getattr(part, name) != getattr(first, name):
                raise DataError(
                    f"{where}: two files with frames, {first.source} with {name} "
                    f"{getattr(first, name)} and {part.source} with {getattr(part, name)}; "
                    "expected frames of one kind"
                )


def _size(part: Recorded) -> str:
    assert part.frames is not None
    return " x ".join(str(n) for n in part.frames.shape[1:])


def _placed(where: str, number: int, frames: Recorded, positions: Recorded) -> Recorded:
    """Return a part with its positions, in the order of its frames."""
    of_positions = {name: getattr(positions, name) for name in _OF_POSITIONS}
    unit = positions.positions_unit
    pair = joined_by_number(where, replace(frames, **of_positions, positions_unit=unit))
    assert pair.frames is not None
    assert pair.positions is not None
    if len(pair.frames) != len(pair.positions):
        raise DataError(
            f"{where}: {len(pair.positions)} positions for {len(pair.frames)} frames in file "
            f"{number} of those with frames; expected one position per frame in each"
        )
    return pair


def _together(where: str, parts: Sequence[Recorded], *, placed: bool) -> dict[str, Any]:
    """Return the values of one part with all frames, and with all positions if each has its own."""
    stacks = [part.frames for part in parts if part.frames is not None]
    counts = " + ".join(str(len(stack)) for stack in stacks)
    values: dict[str, Any] = {
        "frames": stacked(stacks),
        "patches": _joined([part.patches for part in parts]),
        "notes": (*parts[0].notes, f"{counts} frames of {len(parts)} files"),
    }
    if placed:
        units = {part.positions_unit for part in parts}
        if len(units) > 1:
            raise DataError(
                f"{where}: files with positions in {' and '.join(sorted(units))}; expected one unit"
            )
        values |= {
            name: _joined([getattr(part, name) for part in parts])
            for name in ("positions", "start", "scan_index")
        }
        return values | {"positions_unit": units.pop()}
    numbers = _joined([part.frame_numbers for part in parts])
    unique = numbers is not None and len(np.unique(numbers)) == len(numbers)
    return values | {"frame_numbers": numbers if unique else None}


def _joined(arrays: Sequence[Shaped[np.ndarray, "..."] | None]) -> Shaped[np.ndarray, "..."] | None:
    """Return the arrays one after another; None if one is missing."""
    known = [np.asarray(array) for array in arrays if array is not None]
    return np.concatenate(known) if len(known) == len(arrays) else None


def stacked(stacks: Sequence[FrameStack]) -> LazyFrames:
    """Return the frames of several stacks one after another, read when they are indexed."""
    firsts = np.cumsum([0, *(len(stack) for stack in stacks)])
    kind = np.result_type(*(stack.dtype for stack in stacks))
    _, height, width = stacks[0].shape

    def read(numbers: Int[np.ndarray, " n"]) -> Shaped[np.ndarray, "n row col"]:
        frames = np.empty((len(numbers), height, width), kind)
        for stack, first in zip(stacks, firsts, strict=False):
            inside = (numbers >= first) & (numbers < first + len(stack))
            if inside.any():
                frames[inside] = stack[numbers[inside] - first]
        return frames

    return LazyFrames((int(firsts[-1]), height, width), kind, read)
