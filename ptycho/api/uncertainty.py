"""Uncertainty of a reconstruction: samples of the posterior, and the same again from two halves.

Data flow: object -> [samples, halves -> uncertainty] -> report.
"""

import logging
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Complex64

from ptycho.api.components import Members
from ptycho.api.loading import name_of
from ptycho.api.logs import muted
from ptycho.api.reconstruction_file import problem_of
from ptycho.api.result import Result
from ptycho.api.uncertainty_values import SampledUncertainty
from ptycho.engines.posterior_samples import posterior_samples
from ptycho.engines.uncertainty import (
    HalfData,
    half_data,
    same_gauge,
    uncertainty,
    widened,
)
from ptycho.errors import ConfigError
from ptycho.grouping import balanced_halves
from ptycho.metrics import well_covered
from ptycho.progress import tracked
from ptycho.scan.raw_data import RawData
from ptycho.settings.reconstruct import ReconstructSettings

log = logging.getLogger(__name__)

FEWEST = 8
"""Positions of the smallest scan that is divided into halves."""

Reconstruct = Callable[[RawData], Result]
"""Reconstructs a scan from all its frames with the model and the settings of the run."""


def check_positions(raw: RawData, members: Members) -> None:
    """Raise ConfigError for a scan too small to be divided into halves.

    Args:
        raw: the scan.
        members: frame indices, one row per group.
    """
    used, size = len(np.unique(members)), members.shape[1]
    fewest = max(FEWEST, 4 * size if size > 1 else 0)
    if used < fewest:
        raise ConfigError(
            f"uncertainty: {used} positions of {name_of(raw)} are reconstructed; expected {fewest} "
            "or more, for two halves of them"
        )


def judged_uncertainty(
    result: Result, again: Reconstruct, settings: ReconstructSettings
) -> SampledUncertainty | None:
    """Return the uncertainty of a result as far as its verdict allows; None for a wrong one.

    The spread of samples presumes that the model of the measurement is right. That of a
    doubtful object is widened to the spread between two halves of the positions, where that is
    larger.

    Args:
        result: reconstruction of a scan, with its verdict.
        again: reconstructs another scan in the same way.
        settings: of the reconstruction.
    """
    word = None if result.verdict is None else result.verdict.word
    if word == "wrong":
        log.warning("uncertainty: withheld, because the verdict on the object is wrong")
        return None
    found = estimate_uncertainty(result, again, settings)
    if word != "doubtful":
        return found
    pixels, factors = widened(found.pixels, found.halves)
    log.warning(
        "uncertainty: multiplied by %.2f (amplitude) and %.2f (phase), because the verdict on the "
        "object is doubtful", *factors,
    )  # fmt: skip
    return found._replace(pixels=pixels)


def estimate_uncertainty(
    result: Result, again: Reconstruct, settings: ReconstructSettings
) -> SampledUncertainty:
    """Draw samples of the posterior, reconstruct two halves, and return the uncertainty.

    Args:
        result: reconstruction of a scan.
        again: reconstructs another scan in the same way.
        settings: of the reconstruction; uncertainty is the number of samples.
    """
    rng = np.random.default_rng(settings.seed)
    mask = well_covered(result.coverage)
    shift = settings.refine_probe or settings.refine_positions
    halves = _halves(result, again, rng, shift)
    problem, estimate = problem_of(result, torch.device("cpu"))
    drawn = posterior_samples(
        problem, estimate, settings.uncertainty or 0, probe=settings.refine_probe, rng=rng,
        track=tracked("sampling", "samples", enabled=settings.progress),
    )  # fmt: skip
    row, col = (r - c for r, c in zip(result.origin, problem.canvas.origin, strict=True))
    here = slice(row, row + result.obj.shape[0]), slice(col, col + result.obj.shape[1])
    samples = [
        same_gauge(obj.numpy()[here], result.obj, mask, shift=shift) for obj in drawn.objects
    ]
    found = uncertainty(result.obj, samples, misfit_ratio=drawn.misfit_ratio)
    return SampledUncertainty(len(samples), found, halves, drawn.misfit_ratio)


def on_canvas(
    part: Result, whole: Result
) -> tuple[Complex64[np.ndarray, "row col"], Bool[np.ndarray, "row col"]]:
    """Return the object of some frames on the canvas of all, and where it is known there.

    Args:
        part: its canvas lies within the other.
        whole: of all frames.
    """
    obj = np.zeros(whole.obj.shape, dtype=np.complex64)
    seen = np.zeros(whole.obj.shape, dtype=bool)
    row, col = (p - w for p, w in zip(part.origin, whole.origin, strict=True))
    here = slice(row, row + part.obj.shape[0]), slice(col, col + part.obj.shape[1])
    obj[here], seen[here] = part.obj, well_covered(part.coverage)
    return obj, seen


def _halves(result: Result, again: Reconstruct, rng: np.random.Generator, shift: bool) -> HalfData:
    """Return the comparison of the objects from two halves of the positions."""
    raw, placed = result.scan, []
    for half in balanced_halves(raw.positions[result.frames], rng):
        with muted():
            placed.append(on_canvas(again(raw.subset(result.frames[half])), result))
    (first, seen_first), (second, seen_second) = placed
    return half_data(first, second, seen_first & seen_second, shift=shift)
