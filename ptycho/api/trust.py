"""`ptycho_inference --trust`: the same reconstruction again, of scans drawn again and of halves.

Way of the data: object -> [scans drawn again -> objects -> uncertainty] -> report.
Settings in, the stages of `ptycho.engines.resampling` called, the result out.
"""

import logging
from collections.abc import Callable

import numpy as np

from ptycho.api.components import Groups, default_batch_size
from ptycho.api.reconstruction_output import Reconstruction
from ptycho.api.trust_output import Trust
from ptycho.commands.console import unsaid
from ptycho.engines.resampling import HalfData, count_again, half_data, same_gauge, uncertainty
from ptycho.errors import ConfigError
from ptycho.grouping import balanced_halves
from ptycho.metrics import well_covered
from ptycho.physics.patches import Canvas
from ptycho.progress import progress
from ptycho.scan.dataset import GroupDataset
from ptycho.scan.raw_data import RawData
from ptycho.settings.config import InferenceConfig

log = logging.getLogger(__name__)

FEWEST = 8
"""Positions of the smallest scan that is halved."""

Reconstruct = Callable[[RawData], Reconstruction]
"""Reconstructs a scan, from all its frames, by the model and the settings of the run."""


def check_positions(config: InferenceConfig, groups: Groups) -> None:
    """Refuse a scan too small to be halved.

    Args:
        config: of the run.
        groups: frame indices, one row per group.

    Raises:
        ConfigError: If its halves hold too few positions.
    """
    used, members = len(np.unique(groups)), groups.shape[1]
    fewest = max(FEWEST, 4 * members if members > 1 else 0)
    if used < fewest:
        raise ConfigError(
            f"trust: {used} positions of {config.test_data} are reconstructed; expected {fewest} "
            "or more, for two halves of them"
        )


def estimate_trust(
    config: InferenceConfig, raw: RawData, result: Reconstruction, again: Reconstruct
) -> Trust:
    """Reconstruct scans drawn again and two halves, and return what they tell of the object.

    Args:
        config: of the run.
        raw: the scan.
        result: its reconstruction.
        again: reconstructs another scan in the same way.
    """
    rng = np.random.default_rng(config.seed)
    mask = well_covered(result.coverage)
    shift = config.refine_probe or config.refine_positions
    halves = _halves(raw, result, again, rng, shift)
    samples, residuals = [], []
    numbers = range(1, config.trust + 1)
    for number in progress(numbers, "drawing again", enabled=config.progress, unit="samples"):
        drawn = _drawn_again(raw, result, rng)
        with unsaid():
            sample = again(drawn)
        obj, seen = on_canvas(sample, result)
        samples.append(same_gauge(obj, result.obj, mask & seen, shift=shift))
        residuals.append(np.nanmean(sample.residuals))
        log.debug("sample %d of %d drawn again", number, config.trust)
    ratio = float(np.nanmean(result.residuals) / np.mean(residuals))
    found = uncertainty(result.obj, samples, misfit_ratio=ratio)
    return Trust(len(samples), found, halves, ratio)


def on_canvas(part: Reconstruction, whole: Reconstruction) -> tuple[np.ndarray, np.ndarray]:
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


def _drawn_again(raw: RawData, result: Reconstruction, rng: np.random.Generator) -> RawData:
    """Return the frames of a reconstruction as its object predicts them, counted anew."""
    known = result.coverage > 0
    # Windows reach beyond what is lit; the mean stands there for the unknown.
    filled = np.where(known, result.obj, result.obj[known].mean())
    return count_again(
        filled, Canvas(result.origin, result.obj.shape), result.probe,
        GroupDataset(raw, result.frames[:, None]), result.beside,
        batch_size=default_batch_size(1, raw.frame_size, 256), rng=rng,
    )  # fmt: skip


def _halves(
    raw: RawData,
    result: Reconstruction,
    again: Reconstruct,
    rng: np.random.Generator,
    shift: bool,
) -> HalfData:
    """Return what two halves of the positions agree on."""
    placed = []
    for half in balanced_halves(raw.positions[result.frames], rng):
        with unsaid():
            placed.append(on_canvas(again(raw.subset(result.frames[half])), result))
    (first, seen_first), (second, seen_second) = placed
    return half_data(first, second, seen_first & seen_second, shift=shift)
