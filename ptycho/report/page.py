"""The page of a run: one HTML file, made from the folder of the run, that opens offline.

Data flow: folder of a run -> images, curves, tables -> [page].
The picture comes first: verdict, warnings, object or losses, quality, groups; then what was done.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
import numpy as np
from bokeh.document import Document
from bokeh.embed import components
from bokeh.models import ColumnDataSource, CustomJS
from bokeh.models.ui import UIElement
from bokeh.resources import Resources

from ptycho.errors import PtychoError
from ptycho.io.atomic import write_text
from ptycho.report.calibration import calibration_part
from ptycho.report.curves import curves_of
from ptycho.report.images import (
    corners_of,
    has_object,
    object_images,
    probe_images,
    residual_dots,
)
from ptycho.report.opening import opening
from ptycho.report.page_scan import frames_of, samples_of
from ptycho.report.pictures import (
    Linked,
    dots_view,
    image_view,
    linked_around,
    plain_view,
    roots_of,
)
from ptycho.report.plots import curve_plot
from ptycho.report.provenance import downloads_of, summary_of, warnings_of
from ptycho.report.scan_view import scan_view
from ptycho.report.tables import key_numbers, numbers_of, split_table, verdict_lines
from ptycho.report.training import loss_change
from ptycho.runs.files import PAGE_FILE
from ptycho.runs.folder import RunFolder, Selection, read_run

_TITLES = {
    "train": "Training",
    "pretrain": "Training on simulated scans",
    "reconstruct": "Reconstruction",
    "refine": "Refinement",
    "evaluate": "Evaluation",
    "groups": "Groups",
}
_UNFINISHED = {
    "running": "This run has not finished; the page shows its state at the time it was made.",
    "interrupted": "This run was interrupted; the page shows what it had written.",
}
_QUALITY = ("residual", "frc", "half_data_frc", "free_residual")
_SECTIONS = {
    "training": "Training",
    "object": "Object",
    "quality": "Quality",
    "health": "Health",
    "calibration": "Calibration",
    "numbers": "Numbers",
    "groups": "Scan and groups",
    "illumination": "Probe",
    "done": "What was done",
    "files": "Files",
}
"""Sections of the page in their order, by the id of their heading."""


@dataclass(slots=True)
class _Page:
    """What the template is filled with, gathered part by part."""

    roots: dict[str, UIElement] = field(default_factory=dict)
    sources: list[ColumnDataSource] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    starts: list[CustomJS] = field(default_factory=list)
    """Callbacks that run when the page opens, after the images are decoded."""


def write_page(folder: Path) -> Path:
    """Write `report.html` into the folder of a run; the file is complete or missing.

    Args:
        folder: of a run, finished or not. Frames are shown if the scan file it names is unchanged.

    Raises:
        DataError: If it is no folder of a run, or a file in it is damaged.
        OSError: If the folder cannot be written.
    """
    text = page_html(read_run(folder))
    write_text(folder / PAGE_FILE, text)
    return folder / PAGE_FILE


def page_html(run: RunFolder) -> str:
    """Return the page of a run as one HTML document."""
    page = _Page()
    shown = _reconstructed(run)
    arrays = shown.arrays or run.picture
    selection = run.selection or shown.selection
    linked = _linked(arrays, selection)
    if selection is not None:
        _add_scan(page, run if run.selection else shown, selection, linked)
    _add_object(page, arrays, linked)
    probe = arrays.get("probe")
    if probe is None and selection is not None:
        probe = selection.probe
    if probe is not None:
        _add_probe(page, np.asarray(probe))
    page.roots |= {name: curve_plot(curves) for name, curves in curves_of(run).items()}
    document = Document()
    with document.models.freeze():  # else every root makes Bokeh collect all models again
        for root in page.roots.values():
            document.add_root(root)
    opened = opening(page.roots.values(), page.sources)
    document.js_on_event("document_ready", *opened, *page.starts)
    script, divs = components({**page.roots}) if page.roots else ("", {})
    numbers = numbers_of(run)
    calibration = None if run.calibration is None else calibration_part(run.calibration)
    warnings = [_UNFINISHED[run.state]] if run.state in _UNFINISHED else []
    return _template().render(
        title=_TITLES[run.kind], run=run, divs=divs, notes=page.notes,
        sections=_sections(divs, bool(numbers), calibration is not None), change=loss_change(run),
        warnings=[*warnings, *warnings_of(run)], verdict=verdict_lines(run),
        key_numbers=key_numbers(run), numbers=numbers, calibration=calibration, quality=_QUALITY,
        split=split_table(run.coverage or {}), summary=summary_of(run, shown),
        downloads=downloads_of(run), probes=[n for n in divs if n.startswith("probe_")],
        script=script, library=_library() if page.roots else "",
    )  # fmt: skip


def _sections(divs: Mapping[str, str], has_numbers: bool, calibrated: bool) -> dict[str, str]:
    """Return id and heading of the sections that the page has something for."""
    needed = {
        "training": "loss" in divs,
        "object": "amplitude" in divs,
        "quality": any(name in divs for name in _QUALITY),
        "health": "power" in divs or "spread" in divs,
        "calibration": calibrated,
        "numbers": has_numbers,
        "groups": "scan" in divs,
        "illumination": "probe_0" in divs,
    }
    return {name: title for name, title in _SECTIONS.items() if needed.get(name, True)}


def _reconstructed(run: RunFolder) -> RunFolder:
    """Return the run whose reconstruction is shown: this one, or the one that was evaluated."""
    named = run.settings.get("reconstruction")
    if run.kind != "evaluate" or named is None or run.arrays:
        return run
    path = Path(named)
    try:
        return read_run(path if path.is_dir() else path.parent)
    except PtychoError:
        return run  # moved, or made by another program: only the numbers are shown


def _linked(arrays: Mapping[str, np.ndarray], selection: Selection | None) -> Linked:
    """Return axes that hold the object and the whole scan."""
    corners = corners_of(arrays)
    if selection is not None:
        positions, margin = selection.positions, selection.probe.shape[-1] / 4
        corners += [positions.min(axis=0) - margin, positions.max(axis=0) + margin]
    return linked_around(corners)


def _add_scan(page: _Page, run: RunFolder, selection: Selection, linked: Linked) -> None:
    diameter = float(run.scan.get("probe_diameter") or 1.0)
    samples = samples_of(run, selection, diameter)
    frames, reason = frames_of(run, selection, samples)
    view = scan_view(linked, selection.positions, samples, probe_diameter=diameter, frames=frames)
    page.roots |= view.parts
    page.starts.append(view.first)
    page.notes["frames"] = reason if frames is None else frames.sentence()
    used = run.arrays.get("frames")
    if used is not None and len(used) > len(np.unique(selection.groups)):
        page.notes["groups"] = (
            f"The network was given these groups; the iterations then used all {len(used):,} "
            "frames."
        )


def _add_object(page: _Page, arrays: Mapping[str, np.ndarray], linked: Linked) -> None:
    for name, image in object_images(arrays).items():
        # Uncertainties are smooth: half the pixels show them.
        view = image_view(linked, image, most=512 if name.endswith("_std") else 1024)
        page.roots |= roots_of(name, view)
        page.sources.append(view.source)
        page.notes[name] = view.note
    if "epoch" in arrays:
        page.notes["object"] = f"Output of the network in epoch {int(arrays['epoch'])}."
    if {"positions", "frame_residuals", "frames"} <= set(arrays) and has_object(arrays):
        dots = residual_dots(
            *(np.asarray(arrays[name]) for name in ("positions", "frame_residuals", "frames"))
        )
        if len(dots.values):
            page.roots["residual"], page.roots["residual_limits"] = dots_view(linked, dots)


def _add_probe(page: _Page, probe: np.ndarray) -> None:
    linked = Linked((-0.5, -0.5), (probe.shape[1] - 0.5, probe.shape[2] - 0.5))
    for number, image in enumerate(probe_images(probe)):
        page.roots[f"probe_{number}"], source = plain_view(linked, image)
        page.sources.append(source)


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ptycho.report"), autoescape=True, trim_blocks=True,
        lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    return environment.get_template("report.html.jinja")


def _library() -> str:
    """Return BokehJS as script elements: the components that the page uses."""
    return str(Resources(mode="inline", components=["bokeh", "bokeh-widgets"]).render_js())
