"""Which orientation of positions, frames and probe explains the frames of a scan.

Data flow: RawData -> a few frames, a few iterations, for each orientation -> finding.
The commonest mistakes of a first scan, axes exchanged or negated, frames transposed, rows in
another order, leave 1 % of the photons unexplained and half of what varies from frame to frame.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from ptycho.api.logs import muted
from ptycho.api.reconstruction import reconstruct
from ptycho.errors import PtychoError
from ptycho.io.orientation import FRAME_STEPS, POSITION_STEPS, PROBE_STEPS
from ptycho.scan.findings import Finding
from ptycho.scan.raw_data import RawData

_FRAMES, _PIXELS = 144, 144 * 64**2
"""Largest number of frames of a trial, and of their pixels."""
_FEWEST_FRAMES = 36
_ITERATIONS, _ITERATIONS_OF_A_PROBE = 20, 30
_SECONDS = 60.0
"""Time after which no further orientation is tried."""
_FITS, _FITS_WELL = 0.25, 0.02
"""Shares of the variation left unexplained up to which an orientation is believed, and up to which
not even a shift by one frame is looked for."""
_BY_ITS_PROBE = 0.25
"""A refined probe has to leave less than this part of what the given one leaves."""
_CLEARLY = 0.5
"""Another orientation has to leave less than this part of what the given one leaves."""
_NEARLY = 1.25
"""Orientations that leave at most this many times as much as the best are as good."""

_POSITIONS = (
    ("swap",), ("negate_rows",), ("negate_cols",), ("swap", "negate_rows"), ("swap", "negate_cols"),
    ("negate_rows", "negate_cols"), ("swap", "negate_rows", "negate_cols"), ("reverse",),
    ("snake",), ("late",), ("early",),
)  # fmt: skip
_BY_ONE_FRAME = (("late",), ("early",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Orientation:
    """Steps on positions, frames and probe; empty as the file says."""

    positions: tuple[str, ...] = ()
    frames: tuple[str, ...] = ()
    probe: tuple[str, ...] = ()

    def flags(self) -> str:
        """Return the flags that apply it."""
        named = {"positions": self.positions, "frames": self.frames, "probe": self.probe}
        return " ".join(f"--{name} {','.join(steps)}" for name, steps in named.items() if steps)

    def applied(self, raw: RawData, n_frames: int) -> RawData:
        """Return the frames of a scan that lie closest together in this orientation.

        Args:
            raw: the scan.
            n_frames: at most.
        """
        positions = raw.positions
        for step in self.positions:
            positions = POSITION_STEPS[step](positions)
        middle = np.median(positions, axis=0)
        _, near = cKDTree(positions).query(middle, k=min(n_frames, len(positions)))
        chosen = np.sort(np.atleast_1d(near))
        part = raw.subset(chosen)
        frames, probe = np.asarray(part.mended_frames[:]), np.asarray(part.probe)
        for step in self.frames:
            frames = FRAME_STEPS[step](frames)
        for step in self.probe:
            probe = PROBE_STEPS[step](probe)
        return replace(
            part, frames=np.ascontiguousarray(frames), flashes=None, probe=probe,
            ycoords=positions[chosen, 0], xcoords=positions[chosen, 1],
            xcoords_start=None, ycoords_start=None, obj=None, patches=None,
        )  # fmt: skip


def unexplained(raw: RawData, orientation: Orientation, *, refine: str | None = None) -> float:
    """Return the share of the variation that a short reconstruction leaves; NaN if unknown.

    Args:
        raw: the scan.
        orientation: of its positions, frames and probe.
        refine: what is refined with the object.
    """
    most = max(_FEWEST_FRAMES, min(_FRAMES, _PIXELS // raw.frame_size**2))
    with muted():
        try:
            found = reconstruct(
                orientation.applied(raw, most), engine="sweeps", refine=refine,
                iterations=_ITERATIONS if refine is None else _ITERATIONS_OF_A_PROBE,
                device="cpu", progress=False, cache=False, verdict=False, calibrate="off",
            )  # fmt: skip
        except PtychoError:
            return math.nan
    return found.unexplained_variation


def candidates(raw: RawData, given: float) -> Iterator[Orientation]:
    """Yield the orientations that are tried.

    Args:
        raw: the scan.
        given: share of the variation that its own orientation leaves; a shift by one frame may
            leave little.
    """
    for steps in _POSITIONS if given > _FITS else _BY_ONE_FRAME:
        yield Orientation(positions=steps)
    if given <= _FITS:
        return
    for step in ("transpose", "flipud", "fliplr"):
        yield Orientation(frames=(step,))
    if raw.probe_known:
        yield Orientation(probe=("conjugate",))


def check_orientation(raw: RawData) -> list[Finding]:
    """Return what short reconstructions of a part of the scan say of its orientation.

    Takes seconds if the frames fit, up to a minute if they do not.

    Args:
        raw: the scan.
    """
    given = unexplained(raw, Orientation())
    if math.isnan(given) or given <= _FITS_WELL:
        return []
    if given > _FITS and raw.probe_known:
        refined = unexplained(raw, Orientation(), refine="probe")
        if refined <= max(_FITS, _BY_ITS_PROBE * given) and refined < _CLEARLY * given:
            return [_probe_finding(given, refined)]
    began, tried = time.perf_counter(), []
    for other in candidates(raw, given):
        if time.perf_counter() - began < _SECONDS:
            tried.append((unexplained(raw, other), other))
    known = sorted(((s, o) for s, o in tried if not math.isnan(s)), key=lambda pair: pair[0])
    better = bool(known) and known[0][0] < _CLEARLY * given
    return [_finding(given, known)] if better or given > _FITS else []


def _probe_finding(given: float, refined: float) -> Finding:
    return Finding(
        name="probe_unexplained",
        severity="warning",
        text=f"with the probe of the file {given:.0%} of what varies from frame to frame is "
        f"unexplained by a short reconstruction, {refined:.0%} with a refined one",
        remedy="--refine_probe",
    )


def _finding(given: float, tried: Sequence[tuple[float, Orientation]]) -> Finding:
    text = (
        f"{given:.0%} of what varies from frame to frame is unexplained by a short reconstruction "
        "of the scan as read"
    )
    if not tried or tried[0][0] > _CLEARLY * given:
        return Finding(
            name="frames_unexplained",
            severity="warning",
            text=f"{text}, and no other orientation is clearly better",
            remedy="check the probe, the unit and order of the positions and the object pixel; "
            "--refine probe, positions or background may help",
        )
    least = tried[0][0]
    good = [(s, o) for s, o in tried if s <= max(_NEARLY * least, least + 0.02)]
    named = "; ".join(f"{o.flags()} leaves {s:.0%}" for s, o in good[:4])
    one = "" if len(good) == 1 else " (the frames do not distinguish these)"
    return Finding(
        name="orientation",
        severity="warning",
        text=f"{text}; other orientations fit better{one}",
        remedy=named,
    )
