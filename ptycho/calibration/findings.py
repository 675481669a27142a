"""What short trials say of the reading of a scan, as findings of `ptycho inspect`.

Data flow: RawData -> [trials of readings] -> findings.
The commonest mistakes of a first scan, axes exchanged or negated, frames transposed, rows in
another order, leave 1 % of the photons unexplained and half of what varies from frame to frame.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int

from ptycho.calibration.calibrate import FEWEST
from ptycho.calibration.orientation import CLEARLY, as_good_as, best_reading
from ptycho.calibration.setup import Setup
from ptycho.calibration.trial import Bench
from ptycho.calibration.tried import NOISE, Tried, trial_of, tried
from ptycho.engines.nuisances import Refine
from ptycho.scan.findings import Finding
from ptycho.scan.raw_data import RawData

_SECONDS = 60.0
"""Time after which no further reading is tried."""
_FITS_WELL = 0.02
"""Share of the variation left unexplained up to which not even a shift by one frame is tried."""
_EXPLAINED = 0.15
"""Share of the variation of the frames in use left unexplained up to which a reading is believed.
Right readings leave -0.4 (few photons) to 0.1, wrong ones 0.15 to 1.1; held-out frames of a right
reading are badly predicted as well where frames hardly overlap."""
_HALF = 0.5
"""A reading that does not fit either has to leave less than this part of what the one of the file
leaves."""
_BY_ONE_FRAME = (("late",), ("early",))
_MOST_NAMED = 4


class _Used(Bench):
    """A part of a scan, judged by the frames that are in use."""

    @property
    def held(self) -> Int[np.ndarray, " used"]:
        """The frames that judge, ascending."""
        return np.setdiff1d(np.arange(self.raw.n_frames), super().held)


def check_reading(raw: RawData, *, given: Setup | None = None) -> list[Finding]:
    """Return what short trials on a part of the scan say of the way it is read.

    Takes a second or two if the frames fit, up to a minute or two if they do not.

    Args:
        raw: the scan.
        given: steps that the user's flags have applied already; named flags include them.
    """
    if raw.n_frames < FEWEST:
        return []
    before = Setup() if given is None else given
    as_read = tried(raw, Setup())
    if math.isnan(as_read.unexplained):
        return []
    if as_read.fits or _explained(raw, as_read):
        return _late_or_early(raw, as_read, before)
    refined = tried(raw, Setup(), refine=Refine(probe=True)) if raw.probe_known else as_read
    mended = refined.unexplained < CLEARLY * as_read.unexplained
    if mended and refined.fits:
        return [_probe_finding(as_read, refined)]
    known: list[Tried] = []
    best = best_reading(raw, known.append, full=False, seconds=_SECONDS)
    another = replace(best.setup, blur=None) != Setup()  # a blur is left to the calibration
    if another or (best.probe is not None and raw.probe_known):
        least = refined.unexplained if mended else as_read.unexplained
        # A probe that is only a start trades its defocus for the scale of the positions.
        enough = CLEARLY if best.fits else _HALF if raw.probe_known else 0.0
        if best.unexplained < min(enough * least, least - NOISE * as_read.noise):
            good = [best, *as_good_as(best, known)]
            return [_reading_finding(as_read, good, before, probe_known=raw.probe_known)]
    if mended:
        return [_probe_finding(as_read, refined)]
    if raw.probe_known:
        return [_unexplained_finding(as_read)]
    # Without a probe in the file, the best start found is what a reconstruction takes.
    starts = [each for each in known if each.setup == Setup()]
    own = min(starts, key=lambda each: np.nan_to_num(each.unexplained, nan=np.inf))
    return [] if own.fits or _explained(raw, own) else [_unexplained_finding(own)]


def _explained(raw: RawData, reading: Tried) -> bool:
    """Return whether a short trial of a reading explains the frames that it uses."""
    chosen = reading.refine or Refine()
    refine = chosen._replace(probe=reading.probe is not None or not raw.probe_known)
    bench, trial = trial_of(raw, reading.setup, reading.probe, refine)
    used = _Used(raw=bench.raw, canvas=bench.canvas, seed=bench.seed)
    return used.judge(trial.estimate, refine).unexplained <= _EXPLAINED


def _late_or_early(raw: RawData, as_read: Tried, before: Setup) -> list[Finding]:
    """Return whether another frame's positions fit clearly better; they may be late by one."""
    if as_read.unexplained <= _FITS_WELL:
        return []
    least = as_read.unexplained - NOISE * as_read.noise
    found = [tried(raw, Setup(positions=steps)) for steps in _BY_ONE_FRAME]
    better = [
        each for each in found
        if each.fits and each.unexplained < min(least, CLEARLY * as_read.unexplained)
    ]  # fmt: skip
    best = min(better, key=lambda each: each.unexplained, default=None)
    return [] if best is None else [_reading_finding(as_read, [best], before, probe_known=True)]


def _text(as_read: Tried) -> str:
    return (
        f"{as_read.unexplained:.0%} of what varies from frame to frame is unexplained where a "
        "short reconstruction of the scan as read predicts held-out frames"
    )


def _probe_finding(as_read: Tried, refined: Tried) -> Finding:
    return Finding(
        name="probe_unexplained",
        severity="warning",
        text=f"{_text(as_read)}, {refined.unexplained:.0%} with a refined probe",
        remedy="--refine_probe",
    )


def _unexplained_finding(best: Tried) -> Finding:
    return Finding(
        name="frames_unexplained",
        severity="warning",
        text=f"{_text(best)}, and no other reading is clearly better",
        remedy="check the probe, the unit and order of the positions and the object pixel; "
        "`ptycho calibrate` weighs what can be refined, --refine auto applies it",
    )


def _reading_finding(
    as_read: Tried, good: Sequence[Tried], before: Setup, *, probe_known: bool
) -> Finding:
    """Return the finding that names the best readings: as flags, or by `ptycho calibrate`.

    Args:
        as_read: the reading of the file.
        good: the best reading, and those that the frames do not distinguish from it.
        before: steps applied already.
        probe_known: whether the file holds a probe; else each is combined with one that is found.
    """
    best = good[0]
    by_flags: dict[str, Tried] = {}
    for each in good:
        needs_probe = probe_known and each.probe is not None
        by_itself = each.setup.all_flags and each.refine is None and not needs_probe
        if each.setup != Setup() and by_itself:
            by_flags.setdefault(_with(before, each.setup).words(), each)
    named = [f"{flags} leaves {each.unexplained:.0%}" for flags, each in by_flags.items()]
    of_probe = best.setup == Setup()
    if not named or of_probe:
        named.insert(0, f"`ptycho calibrate` finds it, --calibrate auto applies it: {best.words()} "
                     f"leaves {best.unexplained:.0%}")  # fmt: skip
    doubt = " (the frames do not distinguish these)" if len(named) > 1 else ""
    if not probe_known:
        doubt += " (each or its conjugate twin, with both axes negated)"
    what = "other probes fit better" if of_probe else "other readings fit better"
    return Finding(
        name="probe_unexplained" if of_probe else "orientation",
        severity="warning",
        text=f"{_text(as_read)}; {what}{doubt}",
        remedy="; ".join(named[:_MOST_NAMED]),
    )


def _with(before: Setup, setup: Setup) -> Setup:
    """Return a reading whose flags replace those given."""
    return replace(
        setup,
        positions=setup.positions and (*before.positions, *setup.positions),
        frames=setup.frames and (*before.frames, *setup.frames),
        probe=setup.probe and (*before.probe, *setup.probe),
    )
