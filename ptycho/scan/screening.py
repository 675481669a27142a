"""Frames, pixels and flashes that the inspection names, excluded when a scan is read.

Data flow: file -> RawData -> findings -> [RawData without them].
A finding that is excluded may have hidden others, as a hot pixel hides lost photons, so the scan is
inspected again until nothing more is found.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ptycho.scan.exclusion import Exclude, Exclusion
from ptycho.scan.findings import Finding
from ptycho.scan.inspection import Inspection, inspect_scan
from ptycho.scan.raw_data import RawData

log = logging.getLogger(__name__)

_MOST_ROUNDS = 8
_MOST_FRAMES = 1 / 3  # more are no fault of single frames

Reader = Callable[[Sequence[int]], RawData]
"""Returns the scan without the frames of these numbers in its file."""


def screened(read: Reader, how: Exclude) -> tuple[RawData, Inspection, list[str]]:
    """Return a scan without what its inspection names, the inspection of it, and what to report.

    Args:
        read: reads the scan.
        how: what may be excluded.
    """
    raw = read(())
    if not how.automatic:
        return (*_without_named(raw, read, how), [])
    excluded = Exclusion(n_frames=raw.n_frames, size=raw.frame_size)
    every = too_many = False
    for round_number in range(_MOST_ROUNDS):
        found = inspect_scan(raw, every=every)
        named = [] if too_many else [f for f in found.findings if _applies(f, how)]
        bad = [f for f in found.findings if f.excludable and not f.frames]
        if not (named or bad) or round_number == _MOST_ROUNDS - 1:
            break
        if not found.sample.complete and not every:
            every = True  # a scan of which only a part was looked at: now all of it
        elif bad:  # first: photons are counted on the pixels that are left
            excluded = _with_pixels(excluded, bad, raw)
            raw = applied(raw, excluded)
        else:
            more = replace(excluded, pixels={}, flashes=excluded.flashes[:0]).with_frames(
                {f.reason or f.name.replace("_", " "): raw.numbers_of(f.frames) for f in named}
            )
            too_many = not how.found and len(more.numbers) > _MOST_FRAMES * excluded.n_frames
            excluded = replace(more, frames={}) if too_many else more
            # Centre and probe may depend on the frames, and pixels on the centre.
            raw = read(excluded.numbers)
    lines = excluded.sentences()
    if too_many:
        lines.append(
            f"more than a third of the {excluded.n_frames} frames are unlike their neighbours: "
            "none excluded; --skip_frames found excludes them"
        )
    return replace(raw, excluded=excluded), found, lines


def explained(found: Inspection) -> Inspection:
    """Return an inspection that says of each finding if commands that compute exclude it."""
    n_frames = found.sample.raw.n_frames
    frames = {n for f in found.findings if f.excludable for n in f.frames}
    too_many = len(frames) > _MOST_FRAMES * n_frames

    def reworded(finding: Finding) -> Finding:
        if not finding.excludable or (finding.frames and too_many):
            return finding
        return replace(finding, remedy="other commands exclude them, unless --keep_all is given")

    return replace(found, findings=tuple(map(reworded, found.findings)))


def applied(raw: RawData, excluded: Exclusion) -> RawData:
    """Return a scan with the pixels and flashes of an exclusion, read without its frames.

    Args:
        raw: the scan, with the numbers of its frames in the file.
        excluded: frames by these numbers.
    """
    mask, flashes = raw.mask, excluded.flashes
    if excluded.pixels:
        good = excluded.good()
        mask = good if mask is None else good & np.asarray(mask)
    numbers = np.asarray(raw.numbers)
    place = np.searchsorted(numbers, flashes[:, 0]).clip(0, len(numbers) - 1)
    here = numbers[place] == flashes[:, 0]
    flashes = np.column_stack([place[here], flashes[here, 1:]])
    return replace(raw, mask=mask, flashes=flashes, excluded=excluded)


def _applies(finding: Finding, how: Exclude) -> bool:
    return bool(finding.frames) and (finding.excludable or how.found)


def _with_pixels(excluded: Exclusion, bad: Sequence[Finding], raw: RawData) -> Exclusion:
    for finding in bad:
        if finding.pixels:
            excluded = excluded.with_pixels({finding.reason: np.array(finding.pixels)})
        if finding.flashes:
            flashes = np.array(finding.flashes)
            flashes[:, 0] = raw.numbers_of(flashes[:, 0])
            excluded = excluded.with_flashes(flashes)
    return excluded


def _without_named(raw: RawData, read: Reader, how: Exclude) -> tuple[RawData, Inspection]:
    """Return a scan without the frames that a first inspection names if asked, and a second one."""
    found = inspect_scan(raw)
    frames = sorted({number for finding in found.findings for number in finding.frames})
    if not (how.found and frames):
        return raw, found
    raw = read(raw.numbers_of(frames))
    return raw, inspect_scan(raw)
