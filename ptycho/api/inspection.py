"""The inspection of scan files: what they are, their numbers, what is wrong with them.

Data flow: files -> Recorded -> RawData -> [report].
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ptycho.api.loading import inspected
from ptycho.api.logs import muted
from ptycho.errors import DataError
from ptycho.experiment import photon_energy_ev
from ptycho.io import Reading
from ptycho.io.formats import read_recorded
from ptycho.io.placing import UnplacedError
from ptycho.io.recorded import Recorded
from ptycho.scan.findings import Finding
from ptycho.scan.inspection import Inspection
from ptycho.scan.position_checks import probe_diameter
from ptycho.scan.raw_data import RawData
from ptycho.scan.screening import explained

_SPOIL_A_TRIAL = (
    "corner_centred_probe", "corner_centred_frames", "off_centre_frames",
    "amplitudes_as_intensity", "intensity_as_amplitude",
)  # fmt: skip
"""Findings that a trial would only repeat as a probe or frames that do not fit."""


@dataclass(frozen=True, kw_only=True, eq=False)
class InspectedScan:
    """One scan, from one file or several."""

    files: tuple[Path, ...]
    """The files it was read from."""

    source: str
    """What they are, such as `CXI written by PyNX`."""

    raw: RawData
    """The scan."""

    inspection: Inspection
    """Its findings."""

    unit: str = "px"
    """Unit of its positions: px, or a length where the object pixel is unknown, steps of a raster,
    or frames where nothing but their order is known."""

    def rows(self) -> list[tuple[str, str]]:
        """Return its numbers as pairs of name and text."""
        raw, sample = self.raw, self.inspection.sample
        size = raw.frame_size
        photons = sample.photons
        wide = probe_diameter(raw.probe)
        known = "" if raw.probe_known else ", estimated from the mean frame"
        rows = [
            ("format", self.source),
            ("frames", f"{raw.n_frames:,} of {size} x {size}, {raw.frames.dtype}, "
             f"{raw.measurement}"),
            ("photons", f"{np.median(photons):.3g} per frame (median), "
             f"{photons.min():.3g} to {photons.max():.3g}"),
            ("positions", self._positions()),
            ("probe", f"{len(raw.probe)} mode{'s' * (len(raw.probe) > 1)}, {wide:.3g} px wide "
             f"(80 % of its power){known}"),
            ("overlap", f"{max(0.0, 1 - sample.step / wide):.0%} of that width"
             if self.unit == "px" else "unknown"),
            ("geometry", _geometry(raw) or ("unknown: lengths in pixels" if self.unit == "px"
             else "unknown")),
            ("mask", _mask(raw)),
        ]  # fmt: skip
        steps = raw.metadata.get("reading", {}).get("steps", [])
        return [*rows, *(("read", step) for step in steps)]

    def _positions(self) -> str:
        """Return the range of the positions, and their step."""
        if self.unit == "frames":
            return "unknown"
        positions, step = self.raw.positions, self.inspection.sample.step
        low, high = positions.min(axis=0), positions.max(axis=0)
        if self.unit != "px":
            return (
                f"rows {low[0]:.4g} to {high[0]:.4g}, columns {low[1]:.4g} to {high[1]:.4g} "
                f"{self.unit}, step {step:.3g} {self.unit}"
            )
        return (
            f"rows {low[0]:.1f} to {high[0]:.1f}, columns {low[1]:.1f} to {high[1]:.1f} px, "
            f"step {step:.3g} px" + _metres(step, self.raw.pixel_size_m)
        )

    def document(self) -> dict[str, Any]:
        """Return numbers and findings as plain values for JSON."""
        raw, sample = self.raw, self.inspection.sample
        placed = self.unit != "frames"
        return {
            "files": [str(path) for path in self.files],
            "format": self.source,
            "n_frames": raw.n_frames,
            "frame_size": raw.frame_size,
            "dtype": str(raw.frames.dtype),
            "measurement": raw.measurement,
            "photons_per_frame": float(np.median(sample.photons)),
            "positions_unit": self.unit if placed else None,
            "rows": [float(f(raw.ycoords)) for f in (np.min, np.max)] if placed else None,
            "columns": [float(f(raw.xcoords)) for f in (np.min, np.max)] if placed else None,
            "step": sample.step if placed else None,
            "pixel_size_m": raw.pixel_size_m,
            "probe_known": raw.probe_known,
            "probe_diameter": probe_diameter(raw.probe),
            "findings": [
                {"name": f.name, "severity": f.severity, "text": f.text, "remedy": f.remedy,
                 "frames": list(f.frames), "excluded": f.excludable}
                for f in self.inspection.findings
            ],
            "read": raw.metadata.get("reading", {}).get("steps", []),
        }  # fmt: skip


def inspect_files(
    files: Sequence[Path], reading: Reading, *, skip_found: bool = False, trial: bool = False
) -> list[InspectedScan]:
    """Return the scans in some files; parts of one scan are joined.

    Args:
        files: each a scan, or each a part of one.
        reading: how to read them.
        skip_found: whether to leave out the frames that a first inspection names.
        trial: whether to reconstruct a few frames of scans without errors; see
            `calibration.findings`.

    Raises:
        DataError: If a file is no scan or no part of one.
    """
    parts = [read_recorded(path, reading) for path in files]
    if len(files) > 1 and any(_is_part(part, reading) for part in parts):
        whole = replace(reading, join=(*files[1:], *reading.join))
        return [_inspected(tuple(files), parts, whole, skip_found, trial)]
    return [
        _inspected((path,), [part], reading, skip_found, trial)
        for path, part in zip(files, parts, strict=True)
    ]


def _is_part(recorded: Recorded, reading: Reading) -> bool:
    if recorded.frames is None:
        return True
    shape = reading.scan_shape or recorded.raster
    placed = shape is not None and math.prod(shape) == len(recorded.frames)
    return recorded.positions is None and not placed


def _inspected(
    files: tuple[Path, ...], parts: Sequence[Recorded], reading: Reading, skip_found: bool,
    trial: bool,
) -> InspectedScan:  # fmt: skip
    source = " and ".join(dict.fromkeys(part.source for part in parts))
    try:
        raw = RawData.from_file(files[0], reading)
    except UnplacedError as problem:
        return _frames_only(files, source, reading, skip_found, problem)
    raw, found = inspected(raw, reading, skip_found=skip_found)
    if trial and not found.errors:
        found = replace(found, findings=(*found.findings, *_tried(raw, reading, found)))
    return InspectedScan(files=files, source=source, raw=raw, inspection=explained(found))


def _tried(raw: RawData, reading: Reading, found: Inspection) -> list[Finding]:
    """Return what trials of a scan find beyond what an inspection has found."""
    from ptycho.calibration.findings import check_reading  # torch takes seconds to load
    from ptycho.calibration.setup import Setup

    given = Setup(positions=reading.positions, frames=reading.frames, probe=reading.probe)
    with muted():
        tried = check_reading(raw, given=given)
    explained = any(finding.name in _SPOIL_A_TRIAL for finding in found.findings)
    return [each for each in tried if each.name == "orientation" or not explained]


def _frames_only(
    files: tuple[Path, ...], source: str, reading: Reading, skip_found: bool, problem: UnplacedError
) -> InspectedScan:
    """Return the frames of a scan with positions in another unit than pixels, or none."""
    reading = replace(reading, frames_only=True)
    raw = RawData.from_file(files[0], reading)
    raw, found = inspected(raw, reading, skip_found=skip_found)
    unplaced = Finding(
        name="no_positions" if problem.unit in ("frames", "steps") else "unknown_pixel",
        severity="error",
        text=problem.found,
        remedy=f"expected {problem.remedy}",
    )
    found = replace(found, findings=(unplaced, *explained(found).findings))
    return InspectedScan(files=files, source=source, raw=raw, inspection=found, unit=problem.unit)


def _metres(length: float, pixel: float | None) -> str:
    return "" if pixel is None else f" = {1e9 * length * pixel:.4g} nm"


def _geometry(raw: RawData) -> str:
    known, parts = raw.experiment.geometry, []
    if known.wavelength_m is not None:
        parts.append(
            f"wavelength {1e12 * known.wavelength_m:.4g} pm"
            f" (photons of {photon_energy_ev(known.wavelength_m) / 1e3:.4g} keV)"
        )
    if known.distance_m is not None:
        parts.append(f"distance {known.distance_m:.4g} m")
    if known.detector_pixel_m is not None:
        parts.append(f"detector pixel {1e6 * known.detector_pixel_m:.4g} um")
    if raw.pixel_size_m is not None:
        parts.append(f"object pixel {1e9 * raw.pixel_size_m:.4g} nm")
    return ", ".join(parts)


def _mask(raw: RawData) -> str:
    if raw.mask is None:
        return "none: all pixels valid"
    valid = int(np.asarray(raw.mask).sum())
    return f"{valid} of {math.prod(raw.mask.shape)} pixels valid"


def write_mask(found: InspectedScan, path: Path) -> None:
    """Write the proposed mask of a scan.

    Raises:
        DataError: If the file exists, or its name does not end in .npy.
    """
    if path.suffix.lower() != ".npy" or path.exists():
        what = "exists" if path.exists() else "cannot be written as a mask"
        raise DataError(f"{path}: {what}; expected a new name that ends in .npy")
    np.save(path, found.inspection.proposed_mask(), allow_pickle=False)
