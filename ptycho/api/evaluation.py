"""Comparing a reconstruction with a ground truth, with another one, or with its frames.

Data flow: object + truth -> [alignment -> metrics].
"""

import json
import logging
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from ptycho.api.loading import load, name_of
from ptycho.api.reconstruction_file import (
    PlacedObject,
    arrays_of,
    file_of,
    is_reconstruction,
    read_entries,
    read_reconstruction,
    read_truth,
)
from ptycho.api.result import Result
from ptycho.api.scan_of_run import scan_of_run
from ptycho.api.score import Score
from ptycho.engines.residuals import Explained, explain
from ptycho.engines.stored import as_problem, from_arrays
from ptycho.errors import ConfigError, DataError
from ptycho.metrics import Comparison, compare, legacy_numbers, well_covered
from ptycho.progress import tracked
from ptycho.report.numbers import metrics_document, metrics_table
from ptycho.runs.files import METRICS_FILE
from ptycho.scan.raw_data import RawData
from ptycho.settings.base import from_mapping
from ptycho.settings.evaluate import EvaluateSettings
from ptycho.settings.shared import ScanFileSettings

log = logging.getLogger(__name__)


Source = Result | RawData | Path | str
"""Where an object comes from: a value in memory, or a file."""


def evaluate(
    result: Result | Path | str,
    /,
    truth: Source | None = None,
    *,
    test_data: RawData | Path | str | None = None,
    **settings: Any,
) -> Score:
    """Compare a reconstruction with a ground truth, with another one, or with its frames.

    Args:
        result: a reconstruction, its folder or its reconstruction.npz.
        truth: a scan with its true object, or another reconstruction; None compares frames only.
        test_data: the scan it was made from; its frames are compared with those predicted by the
            object. None compares objects only.
        **settings: any setting of `ptycho evaluate` by name: twin, metrics.

    Raises:
        ConfigError: If there is nothing to compare with, or a setting is unknown.
        DataError: If a file is missing, or the objects share no known pixel.
    """
    chosen = from_mapping(EvaluateSettings, settings, where="ptycho.evaluate")
    return score(_as_source(result), _as_source(truth), _as_source(test_data), chosen)


def score(
    result: Source | None,
    truth: Source | None,
    test_data: Source | None,
    settings: EvaluateSettings,
) -> Score:
    """Compare a reconstruction; see `evaluate`.

    Metrics of an earlier comparison are kept as far as the truth has no part in them.
    """
    if truth is None and test_data is None:
        raise ConfigError("truth: none, and no test_data; expected one, or both")
    if result is None or isinstance(result, RawData):
        raise ConfigError("result: a scan; expected a reconstruction")
    document = _earlier_metrics(result)
    comparison = explained = None
    if test_data is not None:
        explained = _explained(result, test_data, settings)
        document |= _mean_misfits(explained)
    if truth is not None:
        estimate, known = _estimate(result), _placed(truth)
        names = f"{_name(result)}, {_name(truth)}"
        _check_pixels(names, estimate, known)
        comparison, turned = _compared(settings, estimate, known, names)
        document |= metrics_document(
            comparison,
            detector_residual=document.get("detector_residual"),
            pixel_size_m=estimate.pixel_size_m or known.pixel_size_m,
            truth=_short_name(truth),
        )
        document["removed_turn"] = turned
        document["disjoint_frames"] = _disjoint(result, truth)
        if settings.metrics == "ptychopinn-legacy":
            pair = comparison.aligned.obj[comparison.box], comparison.truth[comparison.box]
            document["legacy"] = legacy_numbers(*pair)
    for name, value in metrics_table(document):
        log.info("%-22s %s", name, value)
    return Score(
        metrics=document,
        comparison=comparison,
        residuals=None if explained is None else explained.residuals,
        deviances=None if explained is None else explained.deviances,
        frames=None if explained is None else explained.frames,
        settings=settings,
    )


def _as_source(value: Source | None) -> Source | None:
    return Path(value) if isinstance(value, str) else value


def _name(source: Source) -> str:
    """Return what a source is called in messages."""
    if isinstance(source, RawData):
        return name_of(source)
    return "result" if isinstance(source, Result) else str(source)


def _short_name(source: Source) -> str:
    return Path(_name(source)).name


def _estimate(result: Result | Path | str) -> PlacedObject:
    """Return the object of a reconstruction and its place."""
    if not isinstance(result, Result):
        return read_reconstruction(Path(result))
    mask = well_covered(result.coverage)
    return PlacedObject(result.obj, mask, result.origin, result.pixel_size_m)


def _placed(source: Source) -> PlacedObject:
    """Return the object of a ground truth and its place."""
    if isinstance(source, Result):
        return _estimate(source)
    if isinstance(source, RawData):
        if source.obj is None:
            raise DataError(f"{name_of(source)}: no object; expected a scan with its true object")
        return PlacedObject(source.obj, np.isfinite(source.obj), (0, 0), source.pixel_size_m)
    return read_truth(Path(source))


def compare_placed(estimate: PlacedObject, truth: PlacedObject) -> Comparison:
    """Compare two objects on their common frame; ValueError if they share no known pixel."""
    return compare(
        estimate.obj,
        truth.obj,
        estimate.mask,
        estimate_origin=estimate.origin,
        truth_origin=truth.origin,
        truth_mask=truth.mask,
    )


def _compared(
    settings: EvaluateSettings, estimate: PlacedObject, truth: PlacedObject, names: str
) -> tuple[Comparison, str]:
    """Return the comparison, and which twin was measured."""
    twins = {"none": estimate}
    if settings.twin:
        twins["conjugate"] = replace(estimate, obj=estimate.obj.conj())
        twins["conjugate, turned by 180 degrees"] = _rotated(estimate, truth)
    try:
        found = {name: compare_placed(twin, truth) for name, twin in twins.items()}
    except ValueError as problem:
        raise DataError(f"{names}: cannot be compared: {problem}") from None
    best = min(found, key=lambda name: found[name].aligned.residual)
    if settings.twin:
        log.info("twin: best match %s", best)
    return found[best], best


def _rotated(estimate: PlacedObject, truth: PlacedObject) -> PlacedObject:
    """Return the conjugate of an object, rotated by 180 degrees about the centre of the truth."""
    row, col = (
        first + (first + whole - 1) - (start + side - 1)
        for first, whole, start, side in zip(
            truth.origin, truth.obj.shape, estimate.origin, estimate.obj.shape, strict=True
        )
    )
    return replace(
        estimate, obj=estimate.obj[::-1, ::-1].conj(), mask=estimate.mask[::-1, ::-1],
        origin=(row, col),
    )  # fmt: skip


def _frames_of(source: Source) -> Int[np.ndarray, " frame"] | None:
    """Return the frames that a reconstruction was made from; None if unknown."""
    if isinstance(source, Result):
        return source.frames
    if isinstance(source, RawData) or not is_reconstruction(Path(source)):
        return None
    return read_entries(Path(source), (), optional=("frames",)).get("frames")


def _disjoint(result: Source, truth: Source) -> bool | None:
    """Return whether two reconstructions share no frame; None if their frames are unknown."""
    first, second = _frames_of(result), _frames_of(truth)
    if first is None or second is None:
        return None
    disjoint = len(np.intersect1d(first, second)) == 0
    if disjoint:
        log.info(
            "disjoint frames: the FRC gives the resolution without a ground truth; half-bit is the "
            "usual threshold"
        )
    else:
        log.info("common frames: noise is shared, so the FRC gives agreement only")
    return disjoint


def _explained(result: Source, test_data: Source, settings: EvaluateSettings) -> Explained:
    """Compare the frames of the scan with those that the object predicts."""
    raw = test_data if isinstance(test_data, RawData) else _scan(result, Path(_name(test_data)))
    found = arrays_of(result if isinstance(result, Result) else Path(_name(result)))
    stored = from_arrays(found, raw, _name(result))
    track = tracked("comparing frames", "batches", enabled=settings.progress)
    return explain(*as_problem(stored, raw, torch.device("cpu")), track=track)


def _scan(result: Source, path: Path) -> RawData:
    """Return the scan in a file, read as by the run of the reconstruction if that has one."""
    if isinstance(result, Result):
        return load(path)
    return scan_of_run(Path(_name(result)), path, ScanFileSettings())


def _mean_misfits(explained: Explained) -> dict[str, float | None]:
    """Return the means over the frames with photons; None if there are none."""
    return {
        "detector_residual": _mean(explained.residuals),
        "poisson_deviance_per_pixel": _mean(explained.deviances),
    }


def _mean(values: Float[np.ndarray, " frame"]) -> float | None:
    return float(np.nanmean(values)) if np.isfinite(values).any() else None


def _earlier_metrics(result: Result | Path | str) -> dict[str, Any]:
    """Return the metrics that the reconstruction already has; nothing if there are none."""
    if isinstance(result, Result):
        return dict(result.metrics)
    path = file_of(Path(result)).parent / METRICS_FILE
    if not path.is_file():
        return {}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as problem:
        raise DataError(f"{path}: no JSON ({problem}); remove it to write a new one") from None
    return document if isinstance(document, dict) else {}


def _check_pixels(names: str, estimate: PlacedObject, truth: PlacedObject) -> None:
    """Warn if both pixel sizes are known and differ: no alignment scales an object."""
    first, second = estimate.pixel_size_m, truth.pixel_size_m
    if first is not None and second is not None and not math.isclose(first, second, rel_tol=0.01):
        log.warning("%s: pixels of %.4g m and %.4g m; expected the same size", names, first, second)
