"""`ptycho evaluate`: a reconstruction against a known object, as numbers and one figure.

Way of the data: reconstruction.npz + truth -> [metrics -> report].
"""

import json
import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped

from ptycho.api.components import load_data
from ptycho.api.page import leave_page
from ptycho.engines.explained import Explained, check_made_from, explain
from ptycho.errors import ConfigError, DataError
from ptycho.io import entries_of
from ptycho.io.npz import NpzFile, open_npz, write_npz
from ptycho.metrics import Comparison, compare, legacy_numbers, well_covered
from ptycho.progress import tracked
from ptycho.report.figures import save_comparison
from ptycho.report.numbers import metrics_document, metrics_table, save_metrics
from ptycho.scan.raw_data import RawData
from ptycho.settings.report import EvaluateConfig

log = logging.getLogger(__name__)

RECONSTRUCTION_FILE = "reconstruction.npz"
METRICS_FILE = "metrics.json"
COMPARISON_FILE = "comparison_plot.png"
FRAMES_FILE = "evaluated_frames.npz"

_EXPLAINING = ("object", "probe", "positions", "frames", "origin")


@dataclass(frozen=True, slots=True)
class PlacedObject:
    """An object with where it lies and where it is known."""

    obj: Shaped[np.ndarray, "row col"]
    """Complex transmission."""

    mask: Bool[np.ndarray, "row col"]
    """Where it is known."""

    origin: tuple[int, int]
    """(row, col) of its first pixel in scan coordinates."""

    pixel_size_m: float | None
    """Object pixel, where the file tells."""


def run(config: EvaluateConfig) -> Path:
    """Compare a reconstruction with a truth, another one, or its frames; write numbers and figures.

    Returns:
        The folder with `metrics.json` and `comparison_plot.png`: output_dir, or that of the
        reconstruction, whose earlier metrics are kept as far as the truth has no part in them.

    Raises:
        ConfigError: If there is nothing to compare with.
        DataError: If a file is missing or foreign, or both objects share no known pixel.
    """
    if config.truth is None and config.test_data is None:
        raise ConfigError("truth: none, and no test_data; expected one, or both")
    estimate = read_reconstruction(config.reconstruction)
    home = _file_of(config.reconstruction).parent
    output = config.output_dir or home
    document = _earlier_metrics(home / METRICS_FILE)
    comparison = explained = None
    if config.test_data is not None:
        explained = _explained(config)
        document |= _explained_numbers(explained)
    if config.truth is not None:
        truth = read_truth(config.truth)
        _check_pixels(config, estimate, truth)
        comparison, turned = _compared(config, estimate, truth)
        document |= metrics_document(
            comparison,
            detector_residual=document.get("detector_residual"),
            pixel_size_m=estimate.pixel_size_m or truth.pixel_size_m,
            truth=config.truth.name,
        )
        document["removed_turn"] = turned
        document["disjoint_frames"] = _disjoint(config)
    if comparison is not None and config.metrics == "ptychopinn-legacy":
        pair = comparison.aligned.obj[comparison.box], comparison.truth[comparison.box]
        document["legacy"] = legacy_numbers(*pair)
    output.mkdir(parents=True, exist_ok=True)
    save_metrics(output / METRICS_FILE, document)
    if explained is not None:
        write_npz(output / FRAMES_FILE, explained._asdict())
    if comparison is not None:
        save_comparison(
            output / COMPARISON_FILE, comparison, document, pixel_size_m=document["pixel_size_m"]
        )
    for name, value in metrics_table(document):
        log.info("%-22s %s", name, value)
    log.info("%s: written; all results in %s", output / METRICS_FILE, output)
    leave_page(config, folder=output)
    return output


def _compared(
    config: EvaluateConfig, estimate: PlacedObject, truth: PlacedObject
) -> tuple[Comparison, str]:
    """Return the comparison, and which twin was measured.

    Raises:
        DataError: If the two share no known pixel.
    """
    twins = {"none": estimate}
    if config.twin:
        twins["conjugate"] = replace(estimate, obj=estimate.obj.conj())
        last = [start + side - 1 for start, side in zip(truth.origin, truth.obj.shape, strict=True)]
        row, col = (
            first + end - (start + side - 1)
            for first, end, start, side in zip(
                truth.origin, last, estimate.origin, estimate.obj.shape, strict=True
            )
        )
        twins["conjugate, turned by 180 degrees"] = replace(
            estimate, obj=estimate.obj[::-1, ::-1].conj(), mask=estimate.mask[::-1, ::-1],
            origin=(row, col),
        )  # fmt: skip
    try:
        found = {name: compare_placed(twin, truth) for name, twin in twins.items()}
    except ValueError as problem:
        raise DataError(
            f"{config.reconstruction}, {config.truth}: cannot be compared: {problem}"
        ) from None
    best = min(found, key=lambda name: found[name].aligned.residual)
    if config.twin:
        log.info("twin: %s fits best", best)
    return found[best], best


def _disjoint(config: EvaluateConfig) -> bool | None:
    """Return whether two reconstructions share no frame; None where that is not told."""
    files = [_file_of(path) for path in (config.reconstruction, config.truth)]
    if not all({"frames", "object"} <= entries_of(file) for file in files):
        return None
    first, second = (_entry(_open(file), "frames") for file in files)
    disjoint = len(np.intersect1d(first, second)) == 0
    if disjoint:
        log.info(
            "two halves: no frame is in both, so the FRC tells the resolution without a truth; "
            "half-bit is the usual level"
        )
    else:
        log.info("both share frames, and with them their noise: the FRC tells agreement only")
    return disjoint


def _explained(config: EvaluateConfig) -> Explained:
    """Compare the frames of the scan with those that the object predicts."""
    raw = load_data(config.test_data)
    entries = _open(_file_of(config.reconstruction))
    also_found = [name for name in ("intensity", "background") if name in entries]
    found = read_entries(config.reconstruction, (*_EXPLAINING, *also_found))
    check_made_from(found, raw, reconstruction=config.reconstruction, scan=config.test_data)
    track = tracked("checking frames", "batches", enabled=config.progress)
    return explain(found, raw, track=track)


def _explained_numbers(explained: Explained) -> dict[str, Any]:
    """Return the means over the frames that hold light; None where none does."""
    means = [
        float(np.nanmean(values)) if np.isfinite(values).any() else None
        for values in (explained.residuals, explained.deviances)
    ]
    return {"detector_residual": means[0], "poisson_deviance_per_pixel": means[1]}


def compare_placed(estimate: PlacedObject, truth: PlacedObject) -> Comparison:
    """Compare two objects on their common frame; ValueError when they share no known pixel."""
    return compare(
        estimate.obj,
        truth.obj,
        estimate.mask,
        estimate_origin=estimate.origin,
        truth_origin=truth.origin,
        truth_mask=truth.mask,
    )


def read_reconstruction(path: Path) -> PlacedObject:
    """Read a `reconstruction.npz`, given itself or its folder.

    Raises:
        DataError: If it is missing, damaged or something else.
    """
    file = _file_of(path)
    entries = _open(file)
    obj, coverage, origin = (_entry(entries, key) for key in ("object", "coverage", "origin"))
    if obj.ndim != 2 or obj.shape != coverage.shape or origin.shape != (2,):
        raise DataError(
            f"{file}: object {obj.shape}, coverage {coverage.shape}, origin {origin.shape}; "
            "expected (H, W), (H, W) and (2,)"
        )
    pixel = float(_entry(entries, "pixel_size_m")) if "pixel_size_m" in entries else math.nan
    return PlacedObject(
        np.asarray(obj, dtype=np.complex64),
        well_covered(np.asarray(coverage, dtype=np.float32)),
        (round(float(origin[0])), round(float(origin[1]))),
        pixel if math.isfinite(pixel) else None,
    )


def read_entries(path: Path, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Return arrays of a `reconstruction.npz`, given itself or its folder.

    Raises:
        DataError: If it is missing or damaged, or lacks one of them.
    """
    entries = _open(_file_of(path))
    return {name: _entry(entries, name) for name in names}


def read_truth(path: Path) -> PlacedObject:
    """Read what serves as the truth: the object of a scan file, or another reconstruction.

    Raises:
        DataError: If it is missing, damaged, or has no object.
    """
    if path.is_dir() or "object" in entries_of(path):
        return read_reconstruction(path)
    raw = RawData.from_file(path)
    if raw.obj is None:
        raise DataError(f"{path}: no objectGuess; expected a scan with its true object")
    return PlacedObject(raw.obj, np.isfinite(raw.obj), (0, 0), raw.pixel_size_m)


def _file_of(path: Path) -> Path:
    return path / RECONSTRUCTION_FILE if path.is_dir() else path


def _open(path: Path) -> NpzFile:
    return open_npz(path, expected=f"a scan or {RECONSTRUCTION_FILE}")


def _entry(entries: NpzFile, key: str) -> np.ndarray:
    return entries.entry(key, expected=f"a {RECONSTRUCTION_FILE} as ptycho_inference writes")


def _earlier_metrics(path: Path) -> dict[str, Any]:
    """Return what the reconstruction's own run wrote; nothing when there is no such file."""
    if not path.is_file():
        return {}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as problem:
        raise DataError(f"{path}: no JSON ({problem}); remove it to write a new one") from None
    return document if isinstance(document, dict) else {}


def _check_pixels(config: EvaluateConfig, estimate: PlacedObject, truth: PlacedObject) -> None:
    """Warn when both tell their pixel size and differ: no alignment stretches an object."""
    sizes = estimate.pixel_size_m, truth.pixel_size_m
    if None not in sizes and not math.isclose(*sizes, rel_tol=0.01):
        log.warning(
            "%s has pixels of %.4g m, %s of %.4g m; expected the same",
            config.reconstruction, sizes[0], config.truth, sizes[1],
        )  # fmt: skip
