"""The verdict on a result: whether parts of its scan predict each other.

Data flow: object -> [verdict] -> report.
"""

import logging

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ptycho.api.reconstruction_file import problem_of
from ptycho.api.result import Result
from ptycho.engines.cross_check import cross_check
from ptycho.engines.verdict import Verdict, judge
from ptycho.physics.device import choose_device
from ptycho.physics.probe import probe_fwhm

log = logging.getLogger(__name__)

FEWEST = 16
"""Frames of the smallest scan that is examined."""

_CELL = 0.25  # of the probe's diameter: positions closer than that hang together
_REACH = 0.9  # of the probe's diameter: positions farther apart share nothing


def verdict_of(result: Result) -> Verdict:
    """Return whether the frames of a result confirm its object.

    Args:
        result: of a scan.
    """
    n_frames = len(result.frames)
    if n_frames < FEWEST or not (result.coverage > 0).any():
        return Verdict(
            word="doubtful",
            reasons=(f"{n_frames} frames: too few to predict each other",),
            numbers={},
        )
    device = choose_device(getattr(result.settings, "device", "cpu"))
    rng = np.random.default_rng(getattr(result.settings, "seed", 0))
    problem, estimate = problem_of(result, device)
    diameter = probe_fwhm(torch.from_numpy(np.array(result.probe, np.complex64)))
    return judge(
        cross_check(problem, estimate, rng=rng),
        connected=connected_share(result.positions, diameter),
    )


def connected_share(positions: Float[np.ndarray, "position 2"], diameter: float) -> float:
    """Return the share of the positions in the largest group of overlapping frames.

    Args:
        positions: (row, col), object pixels.
        diameter: of the probe, object pixels.
    """
    cells, counts = np.unique(np.round(positions / (_CELL * diameter)), axis=0, return_counts=True)
    pairs = cKDTree(cells).query_pairs(_REACH / _CELL, output_type="ndarray")
    links = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (len(cells),) * 2)
    _, group = connected_components(links, directed=False)
    return float(np.bincount(group, counts).max() / len(positions))


def report_verdict(verdict: Verdict | None) -> None:
    """Log a verdict: the last lines of a command.

    Args:
        verdict: None logs nothing.
    """
    if verdict is None:
        return
    last = {"closing": True}  # the console repeats these lines if others follow
    log.info("verdict: %s", verdict.word, extra=last)
    for reason in verdict.reasons:
        log.info("  %s", reason, extra=last)
