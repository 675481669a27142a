"""What the page of a run shows of its scan: the groups, those of other samplers, the frames.

Data flow: folder of a run, its scan file -> [samples, thumbnails] -> page.
"""

import math
from pathlib import Path

import numpy as np

from ptycho.errors import GroupingError, PtychoError
from ptycho.grouping import SAMPLERS, GroupRule, sample_groups, summarise
from ptycho.io.atomic import file_checksum
from ptycho.physics.probe import largest_pair_distance
from ptycho.report.quantise import Thumbnails, thumbnails
from ptycho.report.scan_view import Sample
from ptycho.runs.folder import RunFolder, Selection
from ptycho.scan.exclusion import Exclusion
from ptycho.scan.raw_data import RawData
from ptycho.scan.screening import applied
from ptycho.settings.reading import reading_of_run

FRAMES_BUDGET = 4.2e6
"""Bytes of the thumbnails of all frames together, before they are encoded as text."""

_MOST_COMPARED = 50_000  # positions up to which samplers are compared


def samples_of(run: RunFolder, selection: Selection, diameter: float) -> list[Sample]:
    """Return the groups of a run and as many groups from each of the other samplers.

    Args:
        run: its settings say how groups are formed.
        selection: positions and groups of the run.
        diameter: of the probe, object pixels.
    """
    x, y = selection.positions[:, 1], selection.positions[:, 0]
    groups = np.asarray(selection.groups)
    gridsize = math.isqrt(groups.shape[1])
    chosen = str(run.settings.get("sampling") or "frames") if gridsize > 1 else "frames"
    found = {chosen: groups}
    if gridsize > 1 and len(x) <= _MOST_COMPARED:
        for method in SAMPLERS:
            if method == chosen:
                continue
            try:
                rule = _rule(run, diameter, gridsize)
                found[method] = sample_groups(
                    x, y, rule, n=len(groups), method=method,
                    seed=int(run.settings.get("seed") or 0), scan_index=selection.scan_index,
                )  # fmt: skip
            except GroupingError:
                continue  # groups of the run came from elsewhere; there is nothing to compare
    return [
        Sample(name=name, groups=g, coverage=summarise(x, y, g, probe_diameter=diameter))
        for name, g in found.items()
        if len(g)
    ]


def frames_of(
    run: RunFolder, selection: Selection, samples: list[Sample]
) -> tuple[Thumbnails | None, str]:
    """Return thumbnails of the frames in use; or None, and the reason.

    Args:
        run: names the scan file, its checksum and how it is read.
        selection: positions and groups of the run.
        samples: the groups whose frames are in use.
    """
    path = Path(str(run.scan.get("path")))
    try:
        for entry in (run.scan, *(each for each in run.data if each.get("role") == "join")):
            part = Path(str(entry.get("path")))
            if not part.is_dir() and file_checksum(part) != entry.get("sha256"):
                return None, f"No frames are shown: {part} has changed since the run."
        reading = reading_of_run(run.settings, run.data)
        raw = _same_scan(run, RawData.from_file(path, reading))
        size = run.scan.get("frame_size") or 0
        raw = applied(raw, Exclusion.from_document(run.scan.get("excluded"), size))
        if raw.n_frames != len(selection.positions):
            return None, (
                f"No frames are shown: {path} holds {raw.n_frames:,} frames, the run used "
                f"{len(selection.positions):,} positions."
            )
        used = np.unique(np.concatenate([sample.groups.ravel() for sample in samples]))
        return thumbnails(raw, used, FRAMES_BUDGET), ""
    except OSError as problem:
        return None, f"No frames are shown: {path}: {problem.strerror}."
    except PtychoError as problem:
        return None, f"No frames are shown: {problem}."


def _rule(run: RunFolder, diameter: float, gridsize: int) -> GroupRule:
    """Return the rule of a valid group that the settings of the run state."""
    settings = run.settings
    largest = settings.get("max_distance")
    if settings.get("min_overlap") is not None:
        largest = largest_pair_distance(diameter, settings["min_overlap"])
    return GroupRule(
        gridsize=gridsize, K=settings.get("neighbor_count"), max_distance=largest,
        min_distance=settings.get("min_distance") or 0.0,
        metric=settings.get("metric") or "pixels",
    )  # fmt: skip


def _same_scan(run: RunFolder, raw: RawData) -> RawData:
    label = run.settings.get("scan")
    return raw if label is None else raw.subset(np.flatnonzero(raw.scan_index == label))
