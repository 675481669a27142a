"""What the values of `ptycho.api.result` leave in a folder: arrays, figures, numbers, a page.

Data flow: ... -> object -> [files].
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ptycho.api.coverage import save_coverage
from ptycho.api.page import keep_selection, leave_page
from ptycho.api.result import Groups, Result, Score, TrainedModel
from ptycho.io.atomic import write_json
from ptycho.io.npz import write_npz
from ptycho.learning.model_folder import save_model
from ptycho.metrics import Comparison, compare, well_covered
from ptycho.report import figures
from ptycho.report.figures import save_comparison, save_image, save_training_curves
from ptycho.report.numbers import metrics_document, metrics_table, uncertainty_table
from ptycho.report.probe_figure import save_probe
from ptycho.report.uncertainty_figure import PositionResiduals, Quality, save_uncertainty
from ptycho.runs.files import (
    COMPARISON_FIGURE,
    EVALUATED_FRAMES_FILE,
    HISTORY_FILE,
    METRICS_FILE,
    RECONSTRUCTION_FILE,
)
from ptycho.scan.raw_data import RawData
from ptycho.settings.base import to_dict
from ptycho.settings.saved import save_settings

log = logging.getLogger(__name__)


def save_result(
    result: Result,
    folder: Path,
    *,
    settings: Mapping[str, Any] | None = None,
    data: Path | None = None,
    comparison_plot: bool = False,
    report: bool = True,
) -> Path:
    """Write a reconstruction; return the folder.

    Args:
        result: of a scan.
        folder: created if missing.
        settings: of the run, for settings_used.yaml; None takes those of the result.
        data: file of the scan; None takes that of the scan, if it has one.
        comparison_plot: whether to draw the ground truth next to the object.
        report: whether to write report.html.
    """
    kind, data = result.settings.kind, data or result.scan.path
    if settings is None:
        settings = _with_data(result, "test_data", folder)
    save_settings(settings, folder, kind=kind)
    _save_arrays(folder / RECONSTRUCTION_FILE, result)
    _save_pictures(folder, result, comparison_plot=comparison_plot)
    write_json(folder / METRICS_FILE, result.metrics)
    for name, value in _metrics_rows(result.metrics):
        log.info("%-24s %s", name, value)
    keep_selection(folder, result.scan, result.groups, data=data)
    if report:
        leave_page(folder)
    return folder


def save_trained(
    trained: TrainedModel,
    folder: Path,
    *,
    settings: Mapping[str, Any] | None = None,
    report: bool = True,
) -> Path:
    """Write a trained model and what led to it; return the folder.

    Args:
        trained: the model.
        folder: created if missing.
        settings: of the run, for settings_used.yaml; None takes those of the model.
        report: whether to write report.html.
    """
    if settings is None:
        settings = _with_data(trained, "train_data_file", folder)
    begin_training(folder, trained.scan, trained.groups, trained.split, settings)
    if trained.history:
        (folder / HISTORY_FILE).write_text(trained.history, encoding="utf-8")
    finish_training(folder, trained)
    if report:
        leave_page(folder)
    return folder


def begin_training(
    folder: Path,
    raw: RawData,
    groups: Groups,
    split: Any,
    settings: Mapping[str, Any],
) -> None:
    """Write what is known before a training: its settings, its groups and what they cover."""
    save_settings(settings, folder, kind="train")
    save_coverage(folder, groups, split=split)
    keep_selection(folder, raw, groups.members, data=raw.path)


def finish_training(folder: Path, trained: TrainedModel) -> None:
    """Write what a training has led to: the model, its curves and its probe."""
    if trained.given_probe is not None:
        probe = trained.model.probe.detach().numpy()
        save_probe(folder / "probe.png", trained.given_probe, probe)
    save_model(folder, trained.model, trained.description)
    floor = trained.description.training["noise_floor"]
    save_training_curves(folder / "training_curves.png", trained.curves, floor=floor)


def save_score(
    score: Score,
    folder: Path,
    *,
    settings: Mapping[str, Any] | None = None,
    report: bool = True,
) -> Path:
    """Write the comparison of two objects; return the folder.

    Args:
        score: the comparison.
        folder: created if missing; a run in it keeps its settings.
        settings: for settings_used.yaml; None takes those of the score.
        report: whether to write report.html.
    """
    from ptycho.runs.folder import is_run

    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / METRICS_FILE, score.metrics)
    if score.residuals is not None:
        arrays = {"frames": score.frames, "residuals": score.residuals}
        write_npz(folder / EVALUATED_FRAMES_FILE, arrays | {"deviances": score.deviances})
    if score.comparison is not None:
        save_comparison(
            folder / COMPARISON_FIGURE, score.comparison, score.metrics,
            pixel_size_m=score.metrics["pixel_size_m"],
        )  # fmt: skip
    if not is_run(folder):
        save_settings(settings or to_dict(score.settings), folder, kind=score.settings.kind)
    if report:
        leave_page(folder)
    return folder


def compare_with_scan(result: Result) -> Comparison | None:
    """Compare a result with the object in its scan; None if there is none that fits the scan."""
    if result.scan.obj is None:
        return None
    mask = well_covered(result.coverage)
    try:
        return compare(result.obj, result.scan.obj, mask, estimate_origin=result.origin)
    except ValueError as problem:
        log.warning("object of the scan: cannot be compared: %s", problem)
        return None


def metrics_of(result: Result) -> dict[str, Any]:
    """Return the numbers of a result, as metrics.json holds them."""
    comparison, path = result.comparison, result.scan.path
    name = "scan" if path is None else path.name
    document = metrics_document(
        comparison,
        detector_residual=float(np.nanmean(result.residuals)),
        pixel_size_m=result.pixel_size_m,
        truth=None if comparison is None else name,
    )
    document["n_frames"] = len(result.frames)
    document["n_dark_frames"] = int(np.isnan(result.residuals).sum())
    document["sweeps"] = result.iterations
    document["free_residual"] = list(result.free_residual)
    if result.unexplained is not None:
        network, final = result.unexplained
        document["unexplained_light"] = {"network": network, "object": final}
    if result.uncertainty is not None:
        document["uncertainty"] = result.uncertainty.document(result.pixel_size_m)
    return document


def _metrics_rows(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    return metrics_table(document) + uncertainty_table(document.get("uncertainty"))


def _with_data(value: Result | TrainedModel, name: str, folder: Path) -> dict[str, Any]:
    """Return the settings of a value held in memory, with the file of its scan, if it has one."""
    path = value.scan.path
    return to_dict(value.settings) | {
        name: None if path is None else str(path), "output_dir": str(folder),
    }  # fmt: skip


def _save_pictures(folder: Path, result: Result, *, comparison_plot: bool) -> None:
    view, pixel = result.view(), result.pixel_size_m
    for name, image in zip(("amplitude", "phase"), view.images, strict=True):
        save_image(folder / f"reconstructed_{name}.png", image)
    if getattr(result.settings, "refine_probe", False):
        save_probe(folder / "probe.png", result.scan.probe, result.probe)
    if (found := result.uncertainty) is not None:
        frames = PositionResiduals(result.positions, result.residuals)
        save_uncertainty(
            folder / "uncertainty.png",
            Quality(found.pixels, found.halves, result.coverage, frames),
            table=uncertainty_table(found.document(pixel)),
            placement=view.placement,
        )
    if not comparison_plot:
        return
    if result.comparison is not None:
        path = folder / COMPARISON_FIGURE
        save_comparison(path, result.comparison, result.metrics, pixel_size_m=pixel)
        return
    log.info("comparison_plot: the scan holds no object; drawing the coverage instead")
    figures.save_result(folder / COMPARISON_FIGURE, view)


def _save_arrays(path: Path, result: Result) -> None:
    """Write what later steps compute with; the file is complete or missing."""
    pixel = result.pixel_size_m
    arrays = {
        "object": result.obj.astype(np.complex64),
        "coverage": result.coverage.astype(np.float32),
        "positions": result.positions,
        "origin": np.array(result.origin, dtype=np.float64),
        "frames": result.frames,
        "probe": result.probe.astype(np.complex64),
        "frame_residuals": result.residuals.astype(np.float32),
        "pixel_size_m": np.float64(np.nan if pixel is None else pixel),
        "units": np.array(
            "object: complex transmission; positions, origin: object pixels (row, col); coverage: "
            "illumination relative to the brightest spot of one frame; probe: sqrt(photons)"
        ),
    }
    if result.intensity is not None:
        arrays["intensity"] = result.intensity
    if result.background is not None:
        arrays["background"] = result.background
    extra = {} if result.uncertainty is None else result.uncertainty.arrays()
    write_npz(path, arrays | extra)
