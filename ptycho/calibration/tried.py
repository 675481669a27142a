"""A reading of a scan, tried: how well it predicts frames that were held out.

Data flow: RawData, hypothesis -> [trial] -> score.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex64

from ptycho.calibration.setup import Setup, in_memory
from ptycho.calibration.trial import Bench, Trial
from ptycho.engines.nuisances import Refine
from ptycho.errors import PtychoError
from ptycho.grouping.compact import compact_part
from ptycho.scan.raw_data import RawData

_PIXELS = 130 * 64**2
"""Pixels of the frames of a trial."""
_MOST, _FEWEST = 130, 80
"""Frames of a trial, at most and at least, if the scan has them: a probe of a large window needs as
many neighbours as one of a small window."""
_ITERATIONS = 12

FITS = 0.08
"""Unexplained share of the variation of held-out frames up to which a reading is believed. Right
readings leave 0.01 to 0.05 after a dozen iterations, frames late by one 0.1, wrong axes 0.3 to 2;
few photons add to all of them."""

NOISE, _LITTLE_NOISE = 0.3, 0.05
"""Part of the counting noise of a frame that a prediction from its neighbours adds, at most and
usually."""

_NOISY = 3.0
"""Counting noise relative to the variation above which pairs of readings are not told apart."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Tried:
    """A reading, and how well it predicts held-out frames."""

    setup: Setup
    probe: Complex64[np.ndarray, "mode n n"] | None
    """The probe it starts from; None is that of the scan."""
    probe_name: str
    """What that is called."""
    unexplained: float
    """Share of the variation of held-out frames that is predicted wrongly."""
    noise: float = 0.0
    """Counting noise of those frames, relative to their variation."""
    refine: Refine | None = None
    """What it needs to be refined apart from the object; None what every reading does."""

    @property
    def fits(self) -> bool:
        """Whether nothing speaks against it."""
        return self.unexplained <= FITS + NOISE * self.noise

    @property
    def fits_well(self) -> bool:
        """Whether another reading can hardly fit better, or noise would decide."""
        part = NOISE if self.noise > _NOISY else _LITTLE_NOISE
        return self.unexplained <= FITS + part * self.noise

    def words(self) -> str:
        """Return what it assumes."""
        words = self.setup.words()
        words = f"{words}, probe {self.probe_name}" if self.probe_name else words
        names = [] if self.refine is None else [n for n, on in self.refine._asdict().items() if on]
        return f"{words}, {' and '.join(names)} refined" if names else words


def part_for(raw: RawData, setup: Setup, probe: np.ndarray | None, most: int = _MOST) -> RawData:
    """Return the frames of a trial, as a hypothesis reads them."""
    fitting = max(_FEWEST, min(most, _PIXELS * most // (_MOST * raw.frame_size**2)))
    numbers = compact_part(setup.positions_of(raw), fitting)
    return in_memory(setup.applied(raw, probe), numbers)


def tried(
    raw: RawData, setup: Setup, probe: np.ndarray | None = None, name: str = "", *,
    refine: Refine | None = None, iterations: int = _ITERATIONS,
) -> Tried:  # fmt: skip
    """Return how well a reading predicts; NaN where it cannot be computed.

    Args:
        raw: the scan.
        setup: the reading.
        probe: to start from; it is refined then.
        name: what it is called.
        refine: what is refined apart from a probe that is only a start.
        iterations: of the trial; some more where a probe is refined.
    """
    chosen = refine or Refine()
    chosen = chosen._replace(probe=chosen.probe or probe is not None or not raw.probe_known)
    try:
        judged = trial_of(raw, setup, probe, chosen, iterations)[1].judged
    except PtychoError:
        return untried(setup, probe, name)
    return Tried(
        setup=setup, probe=probe, probe_name=name, unexplained=judged.unexplained,
        noise=judged.noise, refine=refine,
    )  # fmt: skip


def trial_of(
    raw: RawData, setup: Setup, probe: np.ndarray | None, refine: Refine,
    iterations: int = _ITERATIONS,
) -> tuple[Bench, Trial]:  # fmt: skip
    """Return a short trial of a reading, and the part of the scan that it was made with."""
    bench = Bench.of(part_for(raw, setup, probe))
    return bench, bench.trial(refine, iterations + (4 if refine.probe else 0))


def untried(setup: Setup, probe: np.ndarray | None, name: str) -> Tried:
    """Return a reading not yet tried."""
    return Tried(setup=setup, probe=probe, probe_name=name, unexplained=math.nan)


def score(tried: Tried) -> float:
    """Return what is predicted wrongly; infinite where that is not known."""
    return math.inf if math.isnan(tried.unexplained) else tried.unexplained
