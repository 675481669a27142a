"""One picture of an inspected scan: mean frame, positions, photons of each frame, probe.

Data flow: RawData, findings -> [figure].
"""

import textwrap
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

from ptycho.report.drawing import new_figure, save
from ptycho.scan.inspection import Inspection
from ptycho.scan.raw_data import RawData

_MOST_DOTS = 20_000


def save_inspection(path: Path, raw: RawData, inspection: Inspection, *, unit: str = "px") -> None:
    """Write the figure as PNG.

    Args:
        path: the PNG file to write.
        raw: the scan.
        inspection: its findings.
        unit: of its positions.
    """
    figure = new_figure(11.0, 10.0)
    frame, places, photons, probe = figure.subplots(2, 2).flat
    _draw_frame(frame, inspection)
    excluded = sorted({n for finding in inspection.findings for n in finding.frames})
    _draw_positions(places, raw, excluded, "object pixel" if unit == "px" else unit)
    _draw_photons(photons, inspection, excluded)
    _draw_probe(probe, raw)
    lines = [f"{f.severity}: {f.sentence()}" for f in inspection.findings]
    text = "\n".join(textwrap.fill(line, 140) for line in lines[:6]) or "nothing suspicious found"
    figure.suptitle(text, fontsize=8, x=0.02, ha="left")
    save(figure, path)


def _draw_frame(axes: Axes, inspection: Inspection) -> None:
    mean, valid = inspection.sample.mean, inspection.proposed_mask()
    shown = np.where(valid, mean, np.nan)
    positive = mean[mean > 0]
    low = float(positive.min()) if positive.size else 1e-6
    high = max(float(np.nanmax(shown)), 2 * low)
    axes.imshow(np.where(shown > 0, shown, low), norm=LogNorm(max(low, 1e-6 * high), high))
    axes.imshow(np.where(valid, np.nan, 1.0), cmap="autumn", vmin=0, vmax=1)
    axes.axhline(len(mean) // 2, lw=0.4, color="white")
    axes.axvline(len(mean) // 2, lw=0.4, color="white")
    axes.set_title("mean frame, log scale; excluded pixels in yellow")


def _draw_positions(axes: Axes, raw: RawData, excluded: list[int], unit: str) -> None:
    positions = raw.positions
    shown = positions[:: max(1, len(positions) // _MOST_DOTS)]
    axes.plot(shown[:, 1], shown[:, 0], lw=0.3, color="0.7")
    axes.scatter(shown[:, 1], shown[:, 0], s=3, c=np.arange(len(shown)), cmap="viridis")
    if excluded:
        axes.plot(positions[excluded, 1], positions[excluded, 0], "rx", ms=4)
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.set_xlabel(f"column / {unit}")
    axes.set_ylabel(f"row / {unit}")
    axes.set_title("positions in their order; frames to exclude in red")


def _draw_photons(axes: Axes, inspection: Inspection, excluded: list[int]) -> None:
    sample = inspection.sample
    axes.plot(sample.counted, sample.photons, ".", ms=2)
    marked = np.isin(sample.counted, excluded)
    axes.plot(sample.counted[marked], sample.photons[marked], "rx", ms=4)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("frame")
    axes.set_ylabel("photons")
    axes.set_title("photons of each frame")


def _draw_probe(axes: Axes, raw: RawData) -> None:
    axes.imshow(np.sqrt((np.abs(raw.probe) ** 2).sum(axis=0)), cmap="gray")
    axes.set_title("probe amplitude" + ("" if raw.probe_known else ", estimated"))
