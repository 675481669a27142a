"""Beamline files that are read by their paths alone: one row of `PRESETS` each.

Data flow: [file] -> Recorded -> fields -> RawData -> groups -> ...
A preset names the entries that identify its files, where each quantity is, and what the paths
does not state: orientation and zero frequency of the frames, what a value means, the order of the
columns of a table of positions. A new beamline is a new row. Knows no HDF5 until a file is read.

Source: nsls2ptycho (HXN), ptypy and ptychodus (NanoMAX, cSAXS, LYNX), EPICS areaDetector, by
reading.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from ptycho.io.measurement import Measurement
from ptycho.io.reading import MappedEntry
from ptycho.io.recorded import Recorded

if TYPE_CHECKING:
    from ptycho.io.hdf5 import Hdf5File


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """How the files of one beamline are recognised and read."""

    signatures: tuple[str, ...]
    """Entries, separated by spaces; a file with all entries of any one of them fits."""

    entries: Mapping[str, tuple[MappedEntry, ...]]
    """Quantity of `read_mapped` -> where it may be; the first place that exists counts."""

    columns: tuple[int, int] = (0, 1)
    """Columns of `positions` that are the row and the column."""

    frame_steps: tuple[str, ...] = ()
    """Turn a stored frame upright; see `ptycho.io.orientation.FRAME_STEPS`."""

    corner: bool = False
    """True if the zero frequency is at pixel (0, 0)."""

    measurement: Measurement | None = None
    """What a stored value is; None for counts if all are whole, else intensity."""

    gaps: tuple[int, ...] = ()
    """Values that mark gaps of the detector; negative ones and the largest of the type do too."""

    pixel_attribute: str = ""
    """Attribute of the frames that holds the side of a detector pixel, metres."""

    notes: tuple[str, ...] = field(default=())
    """What a user must know about the positions."""

    holds: str = "frames, positions"
    """For the table of formats."""

    extra: str = ""
    """Optional dependency that it usually needs."""


def _at(*paths: str, unit: str = "", scale: float = 1.0) -> tuple[MappedEntry, ...]:
    return tuple(MappedEntry(path=path, unit=unit, scale=scale) for path in paths)


_NANOMAX = ("eiger1m", "eiger4m", "Eiger", "pilatus", "pilatus1m", "merlin")
_CSAXS = ("eiger_4", "eiger_9m", "eiger", "pilatus_1", "pilatus")

PRESETS: dict[str, Preset] = {
    "HXN (NSLS-II)": Preset(
        signatures=("diffamp points", "diffamp points lambda_nm z_m"),
        entries={
            "frames": _at("diffamp"),
            "positions": _at("points", unit="um", scale=-1),
            "wavelength": _at("lambda_nm", unit="nm"),
            "distance": _at("z_m", unit="m"),
            "detector_pixel": _at("ccd_pixel_um", unit="um"),
            "object_pixel": _at("x_pixel_m", unit="m"),
        },
        columns=(1, 0),
        # nsls2ptycho turns frames by -90 degrees and moves the zero frequency to the corner.
        corner=True,
        frame_steps=("rot90",),
        measurement="amplitude",
        notes=("points are (x, y) of the sample in um: negated",),
    ),
    "HXN, MATLAB 7.3": Preset(
        signatures=("det_data pos_xy",),
        entries={
            "frames": _at("det_data"),
            "positions": _at("pos_xy", unit="um"),
            "energy": _at("energy", unit="keV"),
            "distance": _at("det_dist", unit="um"),
        },
        columns=(2, 1),  # 0 is the number of the frame
        notes=("pos_xy are (number, x, y) in um, taken as the probe's; their sign is not known",),
    ),
    "NanoMAX": Preset(
        signatures=tuple(
            f"entry/measurement/{detector} entry/measurement/pseudo/x entry/measurement/pseudo/y"
            for detector in _NANOMAX
        ),
        entries={
            "frames": _at(
                *(
                    f"entry/measurement/{detector}/{name}"
                    for detector in _NANOMAX
                    for name in ("frames", "data")
                )
            ),
            "x": _at("entry/measurement/pseudo/x", unit="um", scale=-1),
            "y": _at("entry/measurement/pseudo/y", unit="um", scale=-1),
            "energy": _at("entry/snapshot/energy", unit="eV"),
        },
        notes=("x, y are the motors of the sample in um: negated, as ptypy does",),
        extra="compressed",
    ),
    "cSAXS": Preset(
        signatures=("entry/data/data entry/instrument/monochromator/energy",),
        entries={
            "frames": _at("entry/data/data"),
            "energy": _at("entry/instrument/monochromator/energy", unit="keV"),
            "distance": _at("entry/instrument/monochromator/distance", unit="mm"),
            "detector_pixel": _at(
                *(f"entry/instrument/{name}/x_pixel_size" for name in _CSAXS), unit="um"
            ),
        },
        holds="frames",
        extra="compressed",
    ),
    "LYNX, LamNI (APS)": Preset(
        signatures=("entry/data/eiger_4",),
        entries={"frames": _at("entry/data/eiger_4")},
        gaps=(4095,),
        pixel_attribute="Pixel_size",
        holds="frames",
        extra="compressed",
    ),
    "EPICS areaDetector": Preset(
        signatures=("entry/data/data entry/instrument/detector",),
        entries={"frames": _at("entry/data/data", "entry/instrument/detector/data")},
        holds="frames",
    ),
}  # fmt: skip
"""Beamlines, by the name of their format."""


def read_preset(name: str, path: Path) -> Recorded:
    """Return the content of a beamline file.

    Args:
        name: of the preset.
        path: the file.

    Raises:
        DataError: If an entry cannot be read, or has an unexpected shape or unit.
    """
    from ptycho.io.hdf5 import Hdf5File
    from ptycho.io.readers.mapped import read_mapped

    preset = PRESETS[name]
    with Hdf5File(path) as file:
        found = {
            quantity: place
            for quantity, places in preset.entries.items()
            if (place := next((p for p in places if file.first(p.path) is not None), None))
        }
        stored, table = found.pop("frames", None), found.pop("positions", None)
        for quantity in ("distance", "energy"):
            if quantity in found and not file.number(found[quantity].path):
                del found[quantity]  # 0 stands for unknown
        recorded = read_mapped(path, found, source=name)
        if table is not None:
            recorded = replace(recorded, positions=_table(file, table, preset.columns))
        if recorded.positions is not None:
            recorded = replace(recorded, notes=preset.notes)
        return recorded if stored is None else _with_frames(file, stored.path, preset, recorded)


def _with_frames(file: "Hdf5File", entry: str, preset: Preset, recorded: Recorded) -> Recorded:
    """Return the content with its frames, and the mask that follows from marks of gaps."""
    from ptycho.io.readers.linked import counts_or_intensity, gap_pixels

    frames = file.frames(entry)
    bad = gap_pixels(frames, preset.gaps)
    gaps = () if bad is None else (f"{int(bad.sum())} pixels hold the mark of a gap: masked",)
    geometry = recorded.geometry
    if preset.pixel_attribute:
        pixel = _number(file.attribute(entry, preset.pixel_attribute))
        geometry = replace(geometry, detector_pixel_m=pixel)
    return replace(
        recorded,
        frames=frames,
        frames_entry=entry,
        frame_steps=preset.frame_steps,
        corner=preset.corner,
        measurement=preset.measurement or counts_or_intensity(frames),
        mask=None if bad is None else ~bad,
        geometry=geometry,
        notes=(*recorded.notes, *gaps),
    )


def _number(value: Any) -> float | None:
    """Return an attribute, an array of one included, as a length above 0."""
    if value is None or np.size(value) != 1 or np.asarray(value).dtype.kind not in "iuf":
        return None
    return abs(float(np.asarray(value).reshape(-1)[0])) or None


def _table(
    file: "Hdf5File", place: MappedEntry, columns: tuple[int, int]
) -> Float[np.ndarray, "position 2"]:
    """Return (row, col) in metres from two columns of a table."""
    from ptycho.io.readers.quantities import table
    from ptycho.io.units import length_factor

    values = table(file, place.path, max(columns) + 1)[:, list(columns)]
    return values * (place.scale * length_factor(place.unit, place.path))
