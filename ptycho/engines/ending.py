"""When an engine ends, and which of its iterations is kept: one rule for all engines.

Data flow: object -> [iterations, judged by held-out pixels] -> object.
Brunger's free residual: a few detector pixels take no part in the reconstruction; once they are no
longer predicted better, further iterations fit the noise of the others.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

from ptycho.engines.held_out import Misfit
from ptycho.progress import Track

_SETTLED = 0.005  # relative decrease of the misfit in one window, below which it has settled


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """When an engine ends. By default held-out pixels decide.

    Source:
        Cross-validation by data left out: Brunger, Nature 355, 472 (1992).
    """

    iterations: int | None = None
    """So many iterations, the last of which is the result; None lets held-out pixels decide."""

    seconds: float | None = None
    """No further iteration begins after this time; None sets no limit."""

    def after(self, spent: float) -> "Ending":
        """Return what is left of the time, for iterations of another kind.

        Args:
            spent: seconds.
        """
        return Ending(seconds=None if self.seconds is None else self.seconds - spent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How an engine reads its held-out misfits, where no number of iterations is given."""

    most: int
    """Iterations at most."""

    window: int = 1
    """Iterations whose mean misfit is compared: single ones fluctuate."""

    gain: float | None = None
    """Relative decrease that counts as better; None keeps an iteration unless it is worse than the
    minimum by more than two standard errors."""

    misses: int | None = None
    """Iterations in a row without improvement before the end; None leaves the end to the engine."""


class Monitor:
    """The held-out misfit of each iteration, and the decisions that follow from it.

    Args:
        ending: what the user asked for.
        patience: how this engine reads the misfits.

    Attributes:
        history: misfit of each iteration, the Poisson deviance per photon.
        kept: number of the iteration to keep, from 1; 0 while none is.
    """

    def __init__(self, ending: Ending, patience: Patience):
        self.ending, self.patience = ending, patience
        self.history: list[float] = []
        self.kept = 0
        self._least = float("inf")
        self._misses = 0
        self._started = time.perf_counter()

    def iterations(self, track: Track) -> Iterator[int]:
        """Yield the numbers of the iterations, from 1, until the end.

        Args:
            track: wraps the numbers, given the most there can be, to show progress.
        """
        most = self.patience.most if self.ending.iterations is None else self.ending.iterations
        for number in track(range(1, most + 1), most):
            if self._is_over():
                return
            yield number

    def start(self, misfit: Misfit) -> None:
        """Set the misfit of the start, which the first iterations have to improve on."""
        self._least = misfit.value

    def add(self, misfit: Misfit) -> bool:
        """Count one more iteration; return whether its result is to be kept."""
        self.history.append(misfit.value)
        keep = self.ending.iterations is not None or self._as_good(misfit.tolerance)
        self._misses = 0 if keep else self._misses + 1
        if keep:
            self.kept = len(self.history)
        return keep

    @property
    def settled(self) -> bool:
        """Whether the last window has improved hardly on the one before.

        The misfit of the first iteration is that of the start, so it does not count.
        """
        window = self.patience.window
        before, lately = self.history[-2 * window : -window], self.history[-window:]
        enough = len(self.history) > 2 * window
        return enough and fmean(lately) > (1 - _SETTLED) * fmean(before)

    def _as_good(self, tolerance: float) -> bool:
        window, gain = self.patience.window, self.patience.gain
        level = fmean(self.history[-window:])
        if gain is not None:
            better = level < (1 - gain) * self._least
            self._least = min(self._least, level) if better else self._least
            return better
        # What the first window measures is the start, as smooth as a network left it.
        if window == 1 or len(self.history) > window:
            self._least = min(self._least, level)
        return level <= self._least * (1 + tolerance)

    def _is_over(self) -> bool:
        seconds, misses = self.ending.seconds, self.patience.misses
        if seconds is not None and time.perf_counter() - self._started > seconds:
            return True
        return self.ending.iterations is None and misses is not None and self._misses >= misses
