"""What results, models, groups and scores leave in a folder: arrays, figures, numbers, a page.

Data flow: ... -> object -> [files].
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ptycho.api.coverage import save_coverage
from ptycho.api.groups import Groups
from ptycho.api.page import keep_selection, leave_page, record_scan
from ptycho.api.result import Result
from ptycho.api.score import Score
from ptycho.api.trained_model import TrainedModel
from ptycho.api.verdict import report_verdict
from ptycho.grouping import Parts, Split
from ptycho.io.atomic import write_json, write_text
from ptycho.io.npz import write_npz
from ptycho.learning.model_folder import save_model
from ptycho.metrics import Comparison, compare, well_covered
from ptycho.report import figures
from ptycho.report.figures import save_comparison, save_image, save_training_curves
from ptycho.report.numbers import metrics_document, metrics_table, uncertainty_table
from ptycho.report.probe_figure import save_probe
from ptycho.report.uncertainty_figure import PositionResiduals, Quality, save_uncertainty
from ptycho.runs import Run, add_to, begin, headline
from ptycho.runs.files import (
    AMPLITUDE_FIGURE,
    CALIBRATION_FILE,
    COMPARISON_FIGURE,
    CURVES_FIGURE,
    EVALUATED_FRAMES_FILE,
    HISTORY_FILE,
    METRICS_FILE,
    PHASE_FIGURE,
    PROBE_FIGURE,
    RECONSTRUCTION_FILE,
    UNCERTAINTY_FIGURE,
)
from ptycho.scan.raw_data import RawData
from ptycho.settings.base import to_dict

log = logging.getLogger(__name__)


def save_result(result: Result, folder: Path, *, overwrite: bool, report: bool) -> Path:
    """Write a reconstruction as a run of its own; return the folder.

    Args:
        result: of a scan.
        folder: created if missing.
        overwrite: whether to delete the results of an earlier run in it.
        report: whether to write report.html.
    """
    kind, settings = result.settings.kind, _settings_of(result, "test_data", folder)
    with begin(folder, kind=kind, settings=settings, overwrite=overwrite) as run:
        record_scan(run, "test_data", result.scan, result.scan.path)
        write_result(run, result, report=report)
    return folder


def save_trained(trained: TrainedModel, folder: Path, *, overwrite: bool, report: bool) -> Path:
    """Write a trained model as a run of its own; return the folder.

    Args:
        trained: the model.
        folder: created if missing.
        overwrite: whether to delete the results of an earlier run in it.
        report: whether to write report.html.
    """
    settings = _settings_of(trained, "train_data_file", folder)
    with begin(folder, kind="train", settings=settings, overwrite=overwrite) as run:
        record_scan(run, "train_data_file", trained.scan, trained.scan.path)
        write_selection_of(run, trained.scan, trained.groups, trained.split)
        write_text(folder / HISTORY_FILE, trained.history)
        write_trained(run, trained, report=report)
    return folder


def save_found_groups(groups: Groups, folder: Path, *, overwrite: bool) -> Path:
    """Write the groups of a scan as a run of their own; return the folder.

    Args:
        groups: of a scan.
        folder: created if missing.
        overwrite: whether to delete the results of an earlier run in it.
    """
    settings = {"sampling": groups.sampling, "output_dir": str(folder)}
    with begin(folder, kind="groups", settings=settings, overwrite=overwrite):
        save_coverage(folder, groups)
    return folder


def save_score(score: Score, folder: Path, *, overwrite: bool, report: bool) -> Path:
    """Write the comparison of two objects; return the folder.

    In the folder of a reconstruction it is added to that run.

    Args:
        score: the comparison.
        folder: created if missing.
        overwrite: whether to delete the results of an earlier evaluation in it.
        report: whether to write report.html.
    """
    kind, settings = score.settings.kind, to_dict(score.settings)
    run_in_folder = (
        add_to(folder, kind=kind, settings=settings)
        if (folder / RECONSTRUCTION_FILE).exists()
        else begin(folder, kind=kind, settings=settings, overwrite=overwrite)
    )
    with run_in_folder as run:
        write_score(run, score, report=report)
    return folder


def write_result(
    run: Run, result: Result, *, comparison_plot: bool = False, report: bool = True
) -> None:
    """Write a reconstruction into the folder of a run and finish it.

    Args:
        run: going on.
        result: of a scan.
        comparison_plot: whether to draw the ground truth next to the object.
        report: whether to write report.html.
    """
    folder = run.folder
    with run.stage("writing"):
        _save_arrays(folder / RECONSTRUCTION_FILE, result)
        if result.calibration is not None:
            result.calibration.save(folder / CALIBRATION_FILE)
        _save_pictures(folder, result, comparison_plot=comparison_plot)
        write_json(folder / METRICS_FILE, result.metrics)
        keep_selection(folder, result.scan, result.groups)
    for name, value in _metrics_rows(result.metrics):
        log.info("%-24s %s", name, value)
    for message in result.warnings:
        run.warn(message)
    _finish(run, headline(result.settings.kind, metrics=result.metrics), report=report)
    report_verdict(result.verdict)


def write_selection_of(run: Run, raw: RawData, groups: Groups, split: Split | Parts | None) -> None:
    """Write what is known before a training: its groups and what they cover."""
    save_coverage(run.folder, groups, split=split)
    keep_selection(run.folder, raw, groups.members)


def write_trained(run: Run, trained: TrainedModel, *, report: bool = True) -> None:
    """Write a trained model into the folder of a run and finish it.

    Args:
        run: going on.
        trained: the model.
        report: whether to write report.html.
    """
    folder = run.folder
    if trained.given_probe is not None:
        probe = trained.model.probe.detach().numpy()
        save_probe(folder / PROBE_FIGURE, trained.given_probe, probe)
    save_model(folder, trained.model, trained.description)
    floor = trained.description.training["noise_floor"]
    save_training_curves(folder / CURVES_FIGURE, trained.curves, floor=floor)
    for message in trained.warnings:
        run.warn(message)
    _finish(run, headline("train", model=asdict(trained.description)), report=report)


def write_score(run: Run, score: Score, *, report: bool = True) -> None:
    """Write the comparison of two objects into the folder of a run and finish it.

    Args:
        run: going on.
        score: the comparison.
        report: whether to write report.html.
    """
    folder = run.folder
    write_json(folder / METRICS_FILE, score.metrics)
    if score.residuals is not None:
        arrays = {
            "frames": score.frames, "residuals": score.residuals, "deviances": score.deviances,
        }  # fmt: skip
        known = {name: values for name, values in arrays.items() if values is not None}
        write_npz(folder / EVALUATED_FRAMES_FILE, known)
    if score.comparison is not None:
        save_comparison(
            folder / COMPARISON_FIGURE, score.comparison, score.metrics,
            pixel_size_m=score.metrics["pixel_size_m"],
        )  # fmt: skip
    _finish(run, headline("evaluate", metrics=score.metrics), report=report)


def _finish(run: Run, results: Mapping[str, Any], *, report: bool) -> None:
    """Record the results, then write the page, which shows a finished run."""
    run.finish(results)
    if report:
        leave_page(run.folder)


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
        varies = result.unexplained_variation
        document["unexplained_light"] = {
            "network": network, "object": final,
            "variation": None if math.isnan(varies) else varies,
        }  # fmt: skip
    if result.calibration is not None:
        document["calibration"] = result.calibration.document()
    if result.verdict is not None:
        document["verdict"] = result.verdict.document()
    if result.uncertainty is not None:
        document["uncertainty"] = result.uncertainty.document(result.pixel_size_m)
    return document


def _metrics_rows(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    return metrics_table(document) + uncertainty_table(document.get("uncertainty"))


def _settings_of(value: Result | TrainedModel, name: str, folder: Path) -> dict[str, Any]:
    """Return the settings of a value held in memory, with the file of its scan, if it has one."""
    path = value.scan.path
    return to_dict(value.settings) | {
        name: None if path is None else str(path), "output_dir": str(folder),
    }  # fmt: skip


def _save_pictures(folder: Path, result: Result, *, comparison_plot: bool) -> None:
    view, pixel = result.view(), result.pixel_size_m
    for name, image in zip((AMPLITUDE_FIGURE, PHASE_FIGURE), view.images, strict=True):
        save_image(folder / name, image)
    if getattr(result.settings, "refine_probe", False):
        save_probe(folder / PROBE_FIGURE, result.scan.probe, result.probe)
    if (found := result.uncertainty) is not None:
        frames = PositionResiduals(result.positions, result.residuals)
        save_uncertainty(
            folder / UNCERTAINTY_FIGURE,
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
    arrays: dict[str, Any] = {
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
    if result.probe_components is not None and result.probe_weights is not None:
        arrays["probe_components"] = result.probe_components
        arrays["probe_weights"] = result.probe_weights
    extra = {} if result.uncertainty is None else result.uncertainty.arrays()
    write_npz(path, arrays | extra)
