"""Which reading of positions, frames and probe predicts the frames of a scan.

Data flow: RawData -> [hypotheses -> trials] -> the best, and all scores.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace

import numpy as np

from ptycho.calibration.probes import Candidate, between, candidates
from ptycho.calibration.setup import Setup
from ptycho.calibration.tried import Tried, part_for, score, tried, untried
from ptycho.engines.nuisances import Refine
from ptycho.scan.raw_data import RawData

_COARSE, _PROMISING = 8, 3
"""Iterations in which probes to start from are compared, and how many of them go on."""

_AS_GOOD, _AS_POOR = 1.5, 1.05
"""Readings that leave at most this many times as much as the best are as good; the second where the
best is poor."""

_NO_MORE = 0.02
"""Share of the variation by which a trial is uncertain: readings that leave at most this much more
than the best are alternatives."""

CLEARLY, _FAR = 0.6, 0.35
"""Another reading has to leave less than this part of what the reading of the file leaves; the
second where it does not fit either."""

_HALF = 0.5
"""Axes with a probe found from the frames that leave less than this, and less than `CLEARLY` times
what other axes leave, are believed: what is left is for nuisance parameters to explain."""

_TWINS: tuple[tuple[str, ...], ...] = (("swap",), ("negate_rows",), ("swap", "negate_rows"))
"""Axes that frames distinguish without a known probe; the other four are the conjugate twins of
these and of the reading of the file."""

_ORDERS: tuple[tuple[str, ...], ...] = (("reverse",), ("snake",), ("late",), ("early",))
_POSITIONS: tuple[tuple[str, ...], ...] = (
    *_TWINS, ("negate_cols",), ("swap", "negate_cols"), ("negate_rows", "negate_cols"),
    ("swap", "negate_rows", "negate_cols"), *_ORDERS,
)  # fmt: skip
_FRAMES = (("transpose",), ("flipud",), ("fliplr",), ("fftshift",))
_PROBE = (("conjugate",), ("fftshift",))
_MEASUREMENTS = ("amplitude", "intensity")
_BLUR = 1.0
_NUISANCES = (Refine(probe=True), Refine(background=True), Refine(variation=True))
"""What can hide a right reading, each tried with that of the file."""
_PAIRED = 4
"""Best readings with which all others are joined, where none predicts well."""
_HARMFUL = 1.3
"""Times the score of the reading of the file, above which a change is not joined with others."""
_SCALES, _ANGLES = (0.5, 0.7, 1.4, 2.0), (-45.0, -30.0, -15.0, 15.0, 30.0, 45.0)

Report = Callable[[Tried], None]


def best_reading(raw: RawData, report: Report, *, full: bool, seconds: float = math.inf) -> Tried:
    """Return the reading that predicts best; that of the file unless another is clearly better.

    Args:
        raw: the scan.
        report: called with each reading tried.
        full: whether to try all of them even if that of the file predicts well.
        seconds: time after which no further one is tried.
    """
    end = time.perf_counter() + seconds
    given = tried(raw, Setup()) if raw.probe_known else _best_probe(raw, Setup(), report, end)
    if raw.probe_known:
        report(given)
    if given.fits and not full:
        return given
    found = [given]
    for steps in () if raw.probe_known else _TWINS:
        if time.perf_counter() < end:
            found.append(_best_probe(raw, Setup(positions=steps), report, end))
    base, *rest = sorted(found, key=score)
    stands_out = bool(rest) and score(base) < min(_HALF, CLEARLY * score(rest[0]))
    if (base.fits or stands_out) and not full:
        return base if stands_out else _least(found, given)
    for other in _others(raw, base):
        if time.perf_counter() > end:
            return _least(found, given)
        found.append(_again(raw, other, report))
    if raw.probe_known and (full or not any(each.fits for each in found)):
        found.append(_best_probe(raw, Setup(), report, end))
    if full or not _as_read_stands_out(found):
        found = _with_pairs(raw, found, report, end)
    return _least(found, given)


def _as_read_stands_out(found: list[Tried]) -> bool:
    """Return whether the reading of the file, helped by a probe or nuisances, beats all others."""
    ours, others = (
        [score(each) for each in found if (each.setup == Setup()) is same] for same in (True, False)
    )
    return min(ours) < CLEARLY * min(others)


def _again(raw: RawData, other: Tried, report: Report) -> Tried:
    """Return a reading, tried and reported."""
    probe, name = other.probe, other.probe_name
    result = tried(raw, other.setup, probe, name, refine=other.refine)
    report(result)
    return result


def _best_probe(raw: RawData, setup: Setup, report: Report, end: float) -> Tried:
    """Return the best of the probes that the frames allow, at one reading of the positions.

    After the end, by `time.perf_counter`, no further start is tried but the first.
    """
    part = part_for(raw, setup, None)
    coarse: list[tuple[float, int, Candidate]] = []
    for number, each in enumerate(candidates(part)):
        if not coarse or time.perf_counter() < end:
            result = tried(raw, setup, each.probe, each.name, iterations=_COARSE)
            coarse.append((score(result), number, each))
    promising = [each for _, _, each in sorted(coarse)[:_PROMISING]]
    found: list[Tried] = []
    for each in (*promising, *between(part, promising[0])):
        if found and time.perf_counter() > end:
            break
        result = tried(raw, setup, each.probe, each.name)
        report(result)
        found.append(result)
    return min(found, key=score)


def _others(raw: RawData, base: Tried) -> Iterator[Tried]:
    """Yield further readings, each one step from a base, not yet tried."""
    steps = _POSITIONS if raw.probe_known else _ORDERS
    singles = [Setup(positions=each) for each in steps]
    singles += [Setup(frames=each) for each in _FRAMES]
    singles += [Setup(matrix=_scaled(factor)) for factor in _SCALES]
    singles += [Setup(matrix=_rotated(angle)) for angle in _ANGLES]
    singles += [Setup(measurement=kind) for kind in _MEASUREMENTS if kind != _kind(raw)]
    # Of equally good readings the first is taken: the probe of the file is trusted longest.
    singles += [Setup(probe=each) for each in _PROBE if raw.probe_known]
    singles += [Setup(blur=_BLUR)] * (raw.experiment.blur == 0)
    others = [untried(each, None, "") for each in singles]
    others += [replace(untried(Setup(), None, ""), refine=each) for each in _NUISANCES]
    for other in others:
        joined = _joined(base, other)
        if joined is not None:
            yield joined


def _with_pairs(raw: RawData, found: list[Tried], report: Report, end: float) -> list[Tried]:
    """Return the readings with pairs of the best ones, where no single one predicts well.

    Args:
        raw: the scan.
        found: single readings, that of the file first.
        report: called with each pair tried.
        end: of the time there is, by `time.perf_counter`.
    """
    ordered = sorted(found, key=score)
    if ordered[0].fits_well:
        return found
    helpful = [each for each in ordered if score(each) <= _HARMFUL * score(found[0])]
    for first in ordered[:_PAIRED]:
        searched = any(each.probe is not None and each.setup == first.setup for each in found)
        if raw.probe_known and not searched and not first.setup.probe:
            found.append(_best_probe(raw, first.setup, report, end))
        for second in helpful:
            joined = _joined(first, second)
            if time.perf_counter() > end:
                return found
            if joined is not None and not any(_same(joined, each) for each in found):
                found.append(_again(raw, joined, report))
        if any(each.fits_well for each in found):
            break
    return found


def _joined(first: Tried, second: Tried) -> Tried | None:
    """Return two readings as one, not yet tried; None if both change the same."""
    merged = {}
    for name, neutral in asdict(Setup()).items():
        here, there = getattr(first.setup, name), getattr(second.setup, name)
        if here != neutral and there != neutral:
            return None
        merged[name] = there if here == neutral else here
    if first.probe is not None and second.probe is not None and first.probe is not second.probe:
        return None
    probe = second.probe if first.probe is None else first.probe
    setup = Setup(**merged)
    if probe is not None and setup.probe:
        return None
    joined = untried(setup, probe, first.probe_name or second.probe_name)
    return replace(joined, refine=first.refine or second.refine)


def _same(one: Tried, other: Tried) -> bool:
    return (one.setup, one.probe_name, one.refine) == (other.setup, other.probe_name, other.refine)


def _least(found: list[Tried], given: Tried) -> Tried:
    if given.probe is None:
        # Another probe has to earn its place: refined, it imitates other faults in part.
        kept = [each for each in found if each.probe is None]
        if score(min(found, key=score)) >= CLEARLY * score(min(kept, key=score)):
            found = kept
    best = min(found, key=score)
    if score(best) >= (CLEARLY if best.fits else _FAR) * score(given):
        return given
    most = (_AS_GOOD if best.fits_well else _AS_POOR) * score(best)
    return next(each for each in found if score(each) <= most)


def as_good_as(best: Tried, found: list[Tried]) -> list[Tried]:
    """Return the other readings that the frames do not distinguish from the best.

    Another start of the probe alone is none: both are refined.
    """
    most = max(_AS_GOOD * score(best), score(best) + _NO_MORE)
    started = best.probe is not None
    return [
        each for each in found
        if each is not best and score(each) <= most
        and not (started and each.probe is not None and each.setup == best.setup)
    ]  # fmt: skip


def _kind(raw: RawData) -> str:
    return "amplitude" if raw.measurement == "amplitude" else "intensity"


def _scaled(factor: float) -> tuple[tuple[float, float], tuple[float, float]]:
    return ((factor, 0.0), (0.0, factor))


def _rotated(degrees: float) -> tuple[tuple[float, float], tuple[float, float]]:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return ((cos, -sin), (sin, cos))


def with_matrix(setup: Setup, matrix: np.ndarray) -> Setup:
    """Return a reading with a further map of the positions."""
    whole = matrix @ np.asarray(setup.matrix)
    (a, b), (c, d) = whole.tolist()
    return replace(setup, matrix=((a, b), (c, d)))
