"""Which nuisance parameters the frames ask for: each earns its place by held-out frames.

Data flow: part of a scan + estimate -> [rounds of trials] -> nuisance parameters, estimate.
Refining what is right only fits noise. In each round every candidate is refined in turn from the
same estimate; the one with which held-out frames are predicted better than without, by more than
chance, is kept, and the next round begins from its estimate.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ptycho.calibration.trial import Bench, Trial, better
from ptycho.engines.nuisances import Refine
from ptycho.engines.placement import FARTHEST

_ITERATIONS = 20
_FIRST = 16  # iterations before the first round
_ROUNDS = 5
_SURE = 3.0  # standard errors
_HOPELESS = -2.0  # standard errors below which a candidate is not tried again
_WORTH = 0.05  # of the excess
_MOST_MODES = 4
_SEVERAL = 2
"""Candidates at least that are tried all at once: each alone may help little while the others are
wrong."""
_BLURS = (0.7, 1.2)
_FIRST_KEPT, _LAST_KEPT = ("affine",), ("search", "variation", "blur")
"""Of candidates that explain about as much, the one of four parameters is kept first; a blur, and
those with parameters of their own for each frame, which imitate all others, last."""
_ABOUT = 0.5
"""Part of the largest gain, as a logarithm, that is about as much."""
_TINY_SHARE = 5e-4
"""Unexplained share of the variation below which there is nothing to be gained."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Weighed:
    """A candidate in a round."""

    round: int
    name: str
    unexplained: float
    """Share of the variation of held-out frames that is predicted wrongly."""
    gain: float
    """Share of the excess without it that it explains."""
    sigmas: float
    """The same in standard errors."""
    kept: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """What the frames ask for."""

    refine: Refine
    n_modes: int | None
    """Incoherent modes of the probe, if they are more than the scan has."""
    blur: float | None
    """Standard deviation of the point spread of the detector, pixels."""
    trial: Trial
    """The last estimate."""
    rounds: tuple[Weighed, ...]
    """All candidates in all rounds."""
    matrix: Float[np.ndarray, "2 2"]
    """Map of the positions, where it was refined; else the identity."""


@dataclass(frozen=True, kw_only=True)
class _State:
    """What has been kept so far."""

    refine: Refine
    n_modes: int
    blur: float | None = None


class _Option(NamedTuple):
    """A candidate, tried."""

    gain: float
    sigmas: float
    name: str
    state: _State
    trial: Trial


def weigh(
    bench: Bench,
    refine: Refine,
    report: Callable[[Weighed], None],
    *,
    allowed: frozenset[str] | None = None,
) -> Evidence:
    """Return which nuisance parameters a part of a scan asks for.

    Args:
        bench: the part.
        refine: what is refined from the first, such as a probe that is only a start.
        report: called with each candidate of each round.
        allowed: names of the candidates; None allows all.
    """
    state = _State(refine=refine, n_modes=len(bench.raw.probe))
    trial = bench.trial(refine, _FIRST)
    rounds: list[Weighed] = []
    hopeless: set[str] = set()
    bench_now = bench
    for number in range(1, _ROUNDS + 1):
        if trial.judged.unexplained < _TINY_SHARE:
            break
        base = _continued(bench_now, state, trial)
        options = []
        for name, other in _candidates(state):
            if name in hopeless or (allowed is not None and name not in allowed):
                continue
            there = _bench_with(bench, other)
            result = _continued(there, other, trial)
            gain, sigmas = better(base.judged, result.judged)
            options.append(_Option(gain, sigmas, name, other, result))
        good = [each for each in options if each.gain > _WORTH and each.sigmas > _SURE]
        best = _simplest(good)
        for gain, sigmas, name, _, result in options:
            weighed = Weighed(
                round=number, name=name, unexplained=result.judged.unexplained, gain=gain,
                sigmas=sigmas, kept=best is not None and name == best.name,
            )  # fmt: skip
            rounds.append(weighed)
            report(weighed)
        if best is None:
            trial = base
            break
        hopeless |= {name for _, sigmas, name, _, _ in options if sigmas < _HOPELESS}
        state, trial = best.state, best.trial
        bench_now = _bench_with(bench, state)
    return Evidence(
        refine=state.refine,
        n_modes=state.n_modes if state.n_modes > len(bench.raw.probe) else None,
        blur=state.blur,
        trial=trial,
        rounds=tuple(rounds),
        matrix=fitted_matrix(bench, trial) if state.refine.affine else np.eye(2),
    )


def _simplest(good: Sequence[_Option]) -> _Option | None:
    """Return the candidate to keep: of those that explain about as much, the simplest.

    A free probe or free positions imitate an error of the scale, but only partly: kept first, they
    would hide it.
    """

    def rank(option: _Option) -> tuple[int, float]:
        name = option.name.split()[0]
        return (name in _LAST_KEPT) - (name in _FIRST_KEPT), -option.gain

    most = max((_logarithm(option.gain) for option in good), default=0.0)
    near = (option for option in good if _logarithm(option.gain) >= _ABOUT * most)
    return min(near, key=rank, default=None)


def _logarithm(gain: float) -> float:
    return -math.log(max(1e-9, 1 - gain))


def _candidates(state: _State) -> list[tuple[str, _State]]:
    """Return what could be refined in addition."""
    refine = state.refine
    found = [
        (name, replace(state, refine=refine._replace(**{name: True})))
        for name in ("affine", "probe", "background", "intensity", "positions", "variation")
        if not getattr(refine, name) and not (name == "positions" and refine.search)
    ]
    if not refine.search:
        far = refine._replace(search=True, positions=True)
        found.append(("search", replace(state, refine=far)))
    if state.n_modes < _MOST_MODES:
        more = replace(state, n_modes=state.n_modes + 1, refine=refine._replace(probe=True))
        found.append(("modes", more))
    several = refine._replace(probe=True, intensity=True, background=True)
    if sum(several) - sum(refine) >= _SEVERAL:
        n_modes = max(2, state.n_modes)
        found.append(
            ("modes, intensity and background", replace(state, refine=several, n_modes=n_modes))
        )
    if state.blur is None:
        found += [(f"blur of {blur:g} px", replace(state, blur=blur)) for blur in _BLURS]
    return found


def _bench_with(bench: Bench, state: _State) -> Bench:
    if state.blur is None:
        return bench
    raw = replace(bench.raw, experiment=replace(bench.raw.experiment, blur=state.blur))
    return replace(bench, raw=raw)


def _continued(bench: Bench, state: _State, trial: Trial) -> Trial:
    return bench.trial(state.refine, _ITERATIONS, trial.estimate, n_modes=state.n_modes)


def fitted_matrix(bench: Bench, trial: Trial) -> Float[np.ndarray, "2 2"]:
    """Return the map from the positions of a part to those found, about their centre."""
    given = bench.raw.positions
    found = trial.estimate.nuisances.positions.double().numpy()
    near = np.abs(found - given).max(axis=1) < FARTHEST
    start, end = given[near] - given[near].mean(axis=0), found[near] - found[near].mean(axis=0)
    solved, *_ = np.linalg.lstsq(start, end, rcond=None)
    matrix: np.ndarray = solved.T
    return matrix
