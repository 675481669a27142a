"""The page of a run: one HTML file, made from the folder of the run, that opens offline.

Way of the data: ... -> object -> metrics -> [folder of a run -> report].
"""

import base64
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from bokeh.document import Document
from bokeh.embed import components
from bokeh.models.ui import UIElement
from bokeh.resources import Resources

from ptycho.errors import GroupingError, PtychoError
from ptycho.grouping import sample_groups, summarise
from ptycho.grouping.sample import METHODS
from ptycho.io import read_mask
from ptycho.io.atomic import file_checksum, write_text
from ptycho.physics.probe import largest_pair_distance
from ptycho.report.curves import curves_of
from ptycho.report.numbers import numbers_of
from ptycho.report.object_view import (
    corners_of,
    has_object,
    object_views,
    probe_views,
    residual_view,
)
from ptycho.report.opening import opening
from ptycho.report.pictures import Linked, linked_around
from ptycho.report.quantise import Thumbnails, thumbnails
from ptycho.report.scan_view import Sample, scan_view
from ptycho.runs.files import PAGE_FILE
from ptycho.runs.folder import RunFolder, Selection, read_run
from ptycho.scan.raw_data import RawData

FRAMES_BUDGET = 4.2e6
"""Bytes of all pictures of frames together, before they are written as text."""

_MOST_COMPARED = 50_000  # positions up to which samplers are set side by side
_MOST_PICTURE = 1.5e6  # bytes up to which a picture travels along
_TITLES = {
    "train": "Training",
    "pretrain": "Training on simulated scans",
    "reconstruct": "Reconstruction",
    "refine": "Refinement",
    "evaluate": "Evaluation",
    "groups": "Groups",
}


@dataclass(slots=True)
class _Page:
    """What the template is filled with, gathered part by part."""

    roots: dict[str, UIElement] = field(default_factory=dict)
    sources: list[Any] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    starts: list[Any] = field(default_factory=list)
    """What runs when the page opens, after the pictures are decoded."""


def write_page(folder: Path) -> Path:
    """Write `report.html` into the folder of a run; the file is complete or not there.

    Args:
        folder: of a run, finished or not. The scan it names lends its frames when it is still the
            same file.

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
    made_from = _reconstructed(run)
    arrays = made_from.arrays or run.picture
    selection = run.selection or made_from.selection
    linked = _linked(arrays, selection)
    if selection is not None:
        _add_scan(page, run if run.selection else made_from, selection, linked)
    if has_object(arrays):
        _add_object(page, arrays, linked)
    if selection is not None or "probe" in arrays:
        _add_probe(page, arrays.get("probe", getattr(selection, "probe", None)))
    page.roots |= curves_of(run)
    document = Document()
    for root in page.roots.values():
        document.add_root(root)
    opened = opening(page.roots.values(), page.sources)
    document.js_on_event("document_ready", *opened, *page.starts)
    script, divs = components(page.roots) if page.roots else ("", {})
    return _template().render(
        title=_TITLES[run.kind], run=run, selection=selection,
        summary=_summary(run, made_from, selection),
        numbers=numbers_of(run), divs=divs, notes=page.notes, script=script,
        library=_library() if page.roots else "", downloads=_downloads(run),
        probes=[name for name in divs if name.startswith("probe_")],
    )  # fmt: skip


def _reconstructed(run: RunFolder) -> RunFolder:
    """Return the run whose reconstruction this one is about: itself, or the one evaluated."""
    named = run.settings.get("reconstruction")
    if run.kind != "evaluate" or named is None or run.arrays:
        return run
    path = Path(named)
    try:
        return read_run(path if path.is_dir() else path.parent)
    except PtychoError:
        return run  # moved or made by another program: the numbers stand for themselves


def _linked(arrays: Any, selection: Selection | None) -> Linked:
    """Return axes that hold the object and the whole scan."""
    corners = corners_of(arrays)
    if selection is not None:
        positions, margin = selection.positions, selection.probe.shape[-1] / 4
        corners += [positions.min(axis=0) - margin, positions.max(axis=0) + margin]
    return linked_around(corners)


def _add_scan(page: _Page, run: RunFolder, selection: Selection, linked: Linked) -> None:
    diameter = float(run.scan.get("probe_diameter") or 1.0)
    samples = _samples(run, selection, diameter)
    frames, why_not = _frames(run, selection, samples)
    view = scan_view(linked, selection.positions, samples, probe_diameter=diameter, frames=frames)
    page.roots |= view.parts
    page.starts.append(view.first)
    page.notes["frames"] = why_not if frames is None else frames.sentence()
    swept = run.arrays.get("frames")
    if swept is not None and len(swept) > len(np.unique(selection.groups)):
        page.notes["groups"] = (
            f"The reconstruction started from these groups; all {len(swept):,} frames were swept."
        )


def _samples(run: RunFolder, selection: Selection, diameter: float) -> list[Sample]:
    """Return the groups of the run and, for as many, what the other samplers would take."""
    x, y = selection.positions[:, 1], selection.positions[:, 0]
    groups = np.asarray(selection.groups)
    gridsize = math.isqrt(groups.shape[1])
    chosen = str(run.settings.get("sampling") or "frames") if gridsize > 1 else "frames"
    found = {chosen: groups}
    if gridsize > 1 and len(x) <= _MOST_COMPARED:
        rule = _rule(run, diameter)
        for method in METHODS:
            if method == chosen:
                continue
            try:
                found[method] = sample_groups(
                    x, y, n=len(groups), method=method, seed=int(run.settings.get("seed") or 0),
                    gridsize=gridsize, scan_index=selection.scan_index, **rule,
                )  # fmt: skip
            except GroupingError:
                continue  # the run's own groups came from elsewhere; nothing to compare them with
    return [
        Sample(name=name, groups=g, coverage=summarise(x, y, g, probe_diameter=diameter))
        for name, g in found.items()
        if len(g)
    ]


def _rule(run: RunFolder, diameter: float) -> dict[str, Any]:
    """Return what the settings ask of a group, as `sample_groups` takes it."""
    names = {"neighbor_count": "K", "max_distance": "max_distance", "min_distance": "min_distance",
             "metric": "metric"}  # fmt: skip
    settings = run.settings
    rule = {word: settings[name] for name, word in names.items() if settings.get(name)}
    if settings.get("min_overlap") is not None:
        rule["max_distance"] = largest_pair_distance(diameter, settings["min_overlap"])
    return rule


def _frames(
    run: RunFolder, selection: Selection, samples: list[Sample]
) -> tuple[Thumbnails | None, str]:
    """Return pictures of the frames in use; or None, and why there are none."""
    path = Path(str(run.scan.get("path")))
    try:
        if file_checksum(path) != run.scan.get("sha256"):
            return None, f"No frames are shown: {path} is not the file it was."
        raw = _same_scan(run, RawData.from_file(
            path, measurement=run.settings.get("measurement"), mask=_mask(run)
        ))  # fmt: skip
        if raw.n_frames != len(selection.positions):
            return None, f"No frames are shown: {path} holds {raw.n_frames:,} of them."
        used = np.unique(np.concatenate([sample.groups.ravel() for sample in samples]))
        return thumbnails(raw, used, FRAMES_BUDGET), ""
    except OSError as problem:
        return None, f"No frames are shown: {path}: {problem.strerror}."
    except PtychoError as problem:
        return None, f"No frames are shown: {problem}."


def _mask(run: RunFolder) -> np.ndarray | None:
    named = run.settings.get("mask")
    return None if named is None else read_mask(Path(named))


def _same_scan(run: RunFolder, raw: RawData) -> RawData:
    label = run.settings.get("scan")
    return raw if label is None else raw.subset(np.flatnonzero(raw.scan_index == label))


def _add_object(page: _Page, arrays: Any, linked: Linked) -> None:
    for name, view in object_views(linked, arrays).items():
        page.roots |= {
            name: view.plot, f"{name}_colors": view.colors, f"{name}_limits": view.limits
        }  # fmt: skip
        page.sources.append(view.source)
        page.notes[name] = view.note
    if "epoch" in arrays:
        page.notes["object"] = f"As the network saw it in epoch {int(arrays['epoch'])}."
    residual = residual_view(linked, arrays)
    if residual is not None:
        page.roots["residual"], page.roots["residual_limits"] = residual


def _add_probe(page: _Page, probe: np.ndarray) -> None:
    for number, (plot, source) in enumerate(probe_views(np.asarray(probe))):
        page.roots[f"probe_{number}"] = plot
        page.sources.append(source)


def _summary(
    run: RunFolder, made_from: RunFolder, selection: Selection | None
) -> list[tuple[str, str]]:
    """Return what was done, as rows for people."""
    about = run.scan or made_from.scan
    rows = [("Folder", str(run.path.absolute())), ("State", "finished" if run.finished else
             "not finished: what follows is what there was when the page was made")]  # fmt: skip
    if about:
        rows.append(("Data", f"{about.get('path')}, {(about.get('bytes') or 0) / 1e6:.3g} MB"))
        rows.append(("SHA-256 of the data", str(about.get("sha256"))))
        size = about.get("frame_size")
        rows.append(("Scan", f"{about.get('n_frames'):,} frames of {size} x {size} pixels, "
                     f"{about.get('photons_per_frame', 0):,.0f} photons per frame"))  # fmt: skip
    alone = selection is not None and selection.groups.shape[1] == 1  # then nothing is sampled
    for name in ("model_path", "reconstruction", "truth", "network", "gridsize", "sampling"):
        if run.settings.get(name) is not None and not (alone and name == "sampling"):
            rows.append((name.replace("_", " ").capitalize(), str(run.settings[name])))
    if "seed" in run.settings:
        rows.append(("Seed", str(run.settings["seed"])))
    if run.times is not None:
        begin, end = run.times
        rows.append(("Time", f"{begin:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S}, "
                     f"{(end - begin).total_seconds():.0f} s"))  # fmt: skip
    versions = ", ".join(f"{name} {value}" for name, value in run.record.versions.items())
    rows.append(("Versions", versions))
    return rows


def _downloads(run: RunFolder) -> list[tuple[str, str, str]]:
    """Return name, size and address of the small files of the run, carried along in the page."""
    kinds = {".json": "application/json", ".yaml": "text/yaml", ".png": "image/png",
             ".log": "text/plain", ".jsonl": "application/x-ndjson"}  # fmt: skip
    found = []
    for path in sorted(run.path.iterdir()):
        if path.suffix in kinds and path.is_file() and path.stat().st_size <= _MOST_PICTURE:
            content = base64.b64encode(path.read_bytes()).decode("ascii")
            size = f"{path.stat().st_size / 1e3:,.1f} kB"
            found.append((path.name, size, f"data:{kinds[path.suffix]};base64,{content}"))
    return found


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ptycho.report"), autoescape=True, trim_blocks=True,
        lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    return environment.get_template("report.html.jinja")


def _library() -> str:
    """Return BokehJS as script elements: what the page uses of it and no more."""
    return Resources(mode="inline", components=["bokeh", "bokeh-widgets"]).render_js()
