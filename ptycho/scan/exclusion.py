"""What is excluded from a scan, and why, by the numbers of its file.

Data flow: findings or run record -> [exclusion] -> RawData, log, run record.
Knows numbers only: no frames, no files.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from ptycho.errors import DataError
from ptycho.scan.findings import numbered, region

_KEEPS = "--keep_all keeps them"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclude:
    """What a reader of a scan may exclude on its own."""

    automatic: bool = True
    """Whether frames unlike their neighbours, bad pixels and flashes are excluded."""

    found: bool = False
    """Whether all frames that an inspection names are excluded, however many."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Exclusion:
    """Frames, pixels and flashes that are excluded from a scan."""

    n_frames: int = 0
    """Frames of the scan before."""

    frames: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Numbers of the frames in their file, by reason."""

    pixels: Mapping[str, Int[np.ndarray, "pixel 2"]] = field(default_factory=dict)
    """(row, col) of pixels that join the mask, by reason."""

    flashes: Int[np.ndarray, "flash 3"] = field(default_factory=lambda: np.empty((0, 3), int))
    """(frame, row, col) of the flashes, frames by their number in the file."""

    size: int = 0
    """N, pixels per side of a frame."""

    def __bool__(self) -> bool:
        """Return whether anything is excluded."""
        return bool(self.frames or self.pixels or len(self.flashes))

    def __eq__(self, other: object) -> bool:
        """Return whether another exclusion is of the same frames, pixels and flashes."""
        return isinstance(other, Exclusion) and self.document() == other.document()

    __hash__ = None  # type: ignore[assignment]  # it holds arrays

    @property
    def numbers(self) -> list[int]:
        """Numbers of all excluded frames, ascending."""
        return sorted({number for numbers in self.frames.values() for number in numbers})

    def with_frames(self, found: Mapping[str, Iterable[int]]) -> "Exclusion":
        """Return this with more frames; a frame keeps its first reason."""
        frames, known = dict(self.frames), set(self.numbers)
        for reason, numbers in found.items():
            new = {int(number) for number in numbers} - known
            known |= new
            if new:
                frames[reason] = tuple(sorted({*frames.get(reason, ()), *new}))
        return replace(self, frames=frames)

    def with_pixels(self, found: Mapping[str, Int[np.ndarray, "pixel 2"]]) -> "Exclusion":
        """Return this with more pixels."""
        pixels = dict(self.pixels)
        for reason, where in found.items():
            before = pixels.get(reason, np.empty((0, 2), int))
            pixels[reason] = np.unique(np.concatenate([before, where]), axis=0)
        return replace(self, pixels=pixels)

    def with_flashes(self, found: Int[np.ndarray, "flash 3"]) -> "Exclusion":
        """Return this with more flashes."""
        return replace(self, flashes=np.unique(np.concatenate([self.flashes, found]), axis=0))

    def good(self) -> Bool[np.ndarray, "row col"]:
        """Return the pixels that are not excluded."""
        good = np.ones((self.size, self.size), bool)
        for where in self.pixels.values():
            good[tuple(where.T)] = False
        return good

    def sentences(self) -> list[str]:
        """Return what is excluded, one line each for frames, pixels and flashes."""
        lines = []
        if self.frames:
            kinds = ", ".join(
                f"{len(numbers)} {reason} ({numbered(numbers, 3)})"
                for reason, numbers in self.frames.items()
            )
            n = len(self.numbers)
            lines.append(f"{n} of {self.n_frames} frames excluded: {kinds}; {_KEEPS}")
        if self.pixels:
            kinds = ", ".join(
                f"{len(where)} {reason} ({_places(where, self.size)})"
                for reason, where in self.pixels.items()
            )
            n = int((~self.good()).sum())
            lines.append(f"{n} pixel{'s' * (n > 1)} excluded in all frames: {kinds}; {_KEEPS}")
        if len(self.flashes):
            n = len(self.flashes)
            frames = np.unique(self.flashes[:, 0])
            pixels = np.unique(self.flashes[:, 1:], axis=0)
            lines.append(
                f"{n} flash{'es' * (n > 1)} of single pixels excluded in {len(frames)} of "
                f"{self.n_frames} frames ({numbered(frames, 3)}) at {_points(pixels)}: read as the "
                f"median of their neighbours; {_KEEPS}"
            )
        return lines

    def document(self) -> dict[str, Any]:
        """Return this as plain values for `run.json`."""
        flashes: dict[str, str] = {}
        for frame, row, col in self.flashes.tolist():
            key = str(frame)
            flashes[key] = f"{flashes[key]} {row},{col}" if key in flashes else f"{row},{col}"
        return {
            "n_frames": self.n_frames,
            "frames": {reason: list(numbers) for reason, numbers in self.frames.items()},
            "pixels": {
                reason: [f"{r0}-{r1},{c0}-{c1}" for r0, r1, c0, c1 in boxes(where)]
                for reason, where in self.pixels.items()
            },
            "flashes": flashes,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any] | None, size: int) -> "Exclusion":
        """Return what a run excluded, from its record; nothing for one without such an entry.

        Args:
            document: entry of the record.
            size: N, pixels per side of a frame.

        Raises:
            DataError: If the entry is damaged.
        """
        if not document:
            return cls(size=size)
        try:
            pixels = {
                str(reason): np.concatenate([_pixels(text, size) for text in texts])
                for reason, texts in document["pixels"].items()
            }
            flashes = [
                (int(frame), *(int(part) for part in word.split(",")))
                for frame, text in document["flashes"].items()
                for word in text.split()
            ]
            return cls(
                n_frames=int(document["n_frames"]),
                frames={str(r): tuple(map(int, n)) for r, n in document["frames"].items()},
                pixels=pixels,
                flashes=np.array(flashes, int).reshape(-1, 3),
                size=size,
            )
        except (AttributeError, KeyError, TypeError, ValueError) as problem:
            raise DataError(
                f"record of the run: excluded frames or pixels cannot be read ({problem!r}); "
                "expected them as docs/RUN_RECORD.md describes"
            ) from None


def boxes(where: Int[np.ndarray, "pixel 2"]) -> list[tuple[int, int, int, int]]:
    """Return pixels as rectangles (first row, last row, first column, last column)."""
    by_row: dict[int, list[int]] = {}
    for row, col in np.unique(where, axis=0).tolist():
        by_row.setdefault(row, []).append(col)
    found: list[tuple[int, int, int, int]] = []
    growing: dict[tuple[int, int], int] = {}  # columns -> index of a rectangle
    for row, cols in by_row.items():
        breaks = np.flatnonzero(np.diff(cols) > 1) + 1
        runs = [(int(part[0]), int(part[-1])) for part in np.split(np.array(cols), breaks)]
        now: dict[tuple[int, int], int] = {}
        for run in runs:
            index = growing.get(run)
            if index is not None and found[index][1] == row - 1:
                found[index] = (found[index][0], row, *run)
            else:
                index = len(found)
                found.append((row, row, *run))
            now[run] = index
        growing = now
    return found


def _pixels(text: str, size: int) -> Int[np.ndarray, "pixel 2"]:
    (r0, r1), (c0, c1) = (map(int, part.split("-")) for part in text.split(","))
    if not (0 <= r0 <= r1 < size and 0 <= c0 <= c1 < size):
        raise ValueError(f"{text} outside {size} x {size} pixels")
    rows, cols = np.mgrid[r0 : r1 + 1, c0 : c1 + 1]
    return np.stack([rows.ravel(), cols.ravel()], axis=1)


def _places(where: Int[np.ndarray, "pixel 2"], size: int, most: int = 3) -> str:
    found = boxes(where)
    if all(r0 == r1 and c0 == c1 for r0, r1, c0, c1 in found):
        return _points(where)
    named = "; ".join(
        region((slice(r0, r1 + 1), slice(c0, c1 + 1)), size) for r0, r1, c0, c1 in found[:most]
    )
    return f"{named}{'; ...' if len(found) > most else ''}"


def _points(where: Int[np.ndarray, "pixel 2"], most: int = 3) -> str:
    named = ", ".join(f"({row}, {col})" for row, col in where[:most].tolist())
    return f"{named}{', ...' if len(where) > most else ''}"
