"""The engine `auto`: which of the others suits a scan, and why.

Data flow: patches -> object -> [engine] -> object.
"""

import logging
import math
import time
from dataclasses import dataclass
from typing import Literal

from ptycho.engines.annealed import annealed
from ptycho.engines.density import frames_per_pixel
from ptycho.engines.ending import Ending
from ptycho.engines.learned import build as learned
from ptycho.engines.most_probable import most_probable
from ptycho.engines.nuisances import Refine
from ptycho.engines.problem import Estimate, Problem, Solution
from ptycho.engines.sweeps import Sweeps
from ptycho.networks.network import Network
from ptycho.progress import Track

log = logging.getLogger(__name__)

Quality = Literal["fast", "balanced", "best"]

_LARGEST = {"balanced": 2**22, "best": 2**24}
"""Pixels of a canvas up to which the most probable object is computed: 10 pairs of points and
gradients are kept, 160 bytes per pixel more than the sweeps need."""
_THIN = {"balanced": 2.0, "best": 3.0}
"""Frames per object pixel, up to which an annealed start is tried: linear overlaps of 0.37 and
0.49. At 0.2 and 1e6 photons it gained 4 to 17 dB, at 0.4 it gains little."""
_BRIGHT = 1e5  # photons per frame, from which the start decides, not the noise


@dataclass(frozen=True, slots=True)
class Automatic:
    """Sweeps, then what is worth its time; logs in one line what and why.

    A number of iterations, or fast quality, asks for those of `Learned`. Else the most probable
    object follows the sweeps, with an annealed start where the overlap is thin and photons are
    many.
    """

    network: Network
    quality: Quality = "balanced"

    def room(self, refine: Refine) -> int:
        """Return what the sweeps need."""
        return Sweeps().room(refine)

    def solve(
        self, problem: Problem, start: Estimate, ending: Ending, refine: Refine, track: Track
    ) -> Solution:
        """Improve a start; see `Engine.solve`."""
        began = time.perf_counter()
        reason = self._against(problem, ending)
        if reason is not None:
            log.info("auto: sweeps and the steps of the network (%s)", reason)
            return learned(self.network).solve(problem, start, ending, refine, track)
        found = Sweeps().solve(problem, start, ending, refine, track)
        density = frames_per_pixel(problem, found.nuisances)
        photons = problem.frames.raw.photons_per_frame()
        thin = density < _THIN[self.quality] and photons > _BRIGHT and not any(refine)
        log.info(
            "auto: sweeps, %sthen the most probable object (%.2g photons per frame, %.2g frames on "
            "a pixel)", "from an annealed start where that is better, " if thin else "",
            photons, density,
        )  # fmt: skip
        if thin:
            found = annealed(problem, found, ending.after(time.perf_counter() - began), fused=True)
        until = ending.after(time.perf_counter() - began)
        return most_probable(problem, found, until, probe=refine.probe)

    def starts_empty(self, problem: Problem, ending: Ending) -> bool:
        """Return whether it begins from empty space, whatever a network finds.

        Before the most probable object, a start from groups gained nothing: -0.6 to +0.2 dB of
        phase on fields of 240 to 400 px, and lost 5 dB on one of 110 px at 1e6 photons.
        """
        return self._against(problem, ending) is None

    def _against(self, problem: Problem, ending: Ending) -> str | None:
        """Return why the most probable object is not looked for; None if it is."""
        if self.quality == "fast":
            return "quality fast"
        if ending.iterations is not None:
            return f"{ending.iterations} iterations asked for"
        pixels, most = math.prod(problem.canvas.shape), _LARGEST[self.quality]
        if pixels > most:
            return f"{pixels / 1e6:.1f} million pixels, up to {most / 1e6:.1f} with {self.quality}"
        return None


def build(network: Network) -> Automatic:
    """Return the engine for a network.

    Args:
        network: trained; for what is left to `Learned`.
    """
    return Automatic(network)
