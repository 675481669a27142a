"""The calibration of a scan: first how it is read, then what is refined.

Data flow: RawData -> [readings -> nuisance parameters] -> Calibration.
"""

import dataclasses
import logging
import math
import time

import numpy as np

from ptycho.calibration.evidence import Evidence, Weighed, weigh
from ptycho.calibration.orientation import as_good_as, best_reading, with_matrix
from ptycho.calibration.setup import Setup
from ptycho.calibration.trial import Bench
from ptycho.calibration.tried import Tried, part_for, tried
from ptycho.calibration.value import Calibration
from ptycho.engines.nuisances import Refine
from ptycho.scan.raw_data import RawData

log = logging.getLogger(__name__)

FEWEST = 36
"""Frames of the smallest scan that is calibrated: of fewer too few can be held out."""

_PART = 240


def fits(raw: RawData) -> bool:
    """Return whether a short trial finds nothing wrong with a scan as read; takes half a second.

    Args:
        raw: the scan.
    """
    if raw.n_frames < FEWEST:
        return True
    trial = tried(raw, Setup())
    # What cannot be tried has a fault that is found, and said, by what follows.
    return trial.fits or math.isnan(trial.unexplained)


def calibrate(raw: RawData, *, readings: bool = True, full: bool = False) -> Calibration:
    """Return how a scan is to be read and what is to be refined, from its frames.

    Args:
        raw: the scan, as its file says.
        readings: whether other readings of positions, frames and probe are tried where the one of
            the file does not fit; else only nuisance parameters are weighed.
        full: whether to try them in any case.

    Raises:
        PtychoError: If no part of the scan can be reconstructed.
    """
    began = time.perf_counter()
    known: list[Tried] = []
    rounds: list[Weighed] = []
    if readings or not raw.probe_known:
        best = best_reading(raw, lambda each: _report(each, known), full=full)
    else:
        best = Tried(setup=Setup(), probe=None, probe_name="", unexplained=float("nan"))
    estimated = best.probe is not None
    bench = Bench.of(part_for(raw, best.setup, best.probe, most=_PART))
    first = (best.refine or Refine())._replace(probe=estimated)
    found = weigh(bench, first, lambda each: _log_weighed(each, rounds))
    setup = best.setup
    if found.refine.affine:
        setup = with_matrix(setup, found.matrix)
    if found.blur is not None:
        setup = dataclasses.replace(setup, blur=found.blur)
    before = known[0].unexplained if known else best.unexplained
    return Calibration(
        frame_size=raw.frame_size,
        setup=setup,
        probe=_probe(found) if estimated or found.refine.probe else None,
        refine=tuple(name for name, on in found.refine._asdict().items() if on),
        unexplained=(before, found.trial.judged.unexplained),
        twin=estimated,
        alternatives=tuple(each.words() for each in as_good_as(best, known)),
        readings=tuple({"words": t.words(), "unexplained": t.unexplained} for t in known),
        rounds=tuple(dataclasses.asdict(each) for each in rounds),
        seconds=time.perf_counter() - began,
    )


def _probe(found: Evidence) -> np.ndarray:
    probe: np.ndarray = found.trial.estimate.nuisances.probe.cpu().numpy().astype(np.complex64)
    return probe


def _report(one: Tried, known: list[Tried]) -> None:
    known.append(one)
    log.debug("%s: %.1f %% predicted wrongly", one.words(), 100 * one.unexplained)


def _log_weighed(weighed: Weighed, known: list[Weighed]) -> None:
    known.append(weighed)
    log.debug(
        "round %d, %s: %.1f %% predicted wrongly, gain %.0f %% (%.1f standard errors)%s",
        weighed.round, weighed.name, 100 * weighed.unexplained, 100 * weighed.gain, weighed.sigmas,
        ", kept" if weighed.kept else "",
    )  # fmt: skip
