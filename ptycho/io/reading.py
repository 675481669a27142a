"""How the files of a scan are to be read: what they leave open, and what they state wrongly.

The values of the flags in `ptycho.settings.shared.ScanFileSettings`, checked and in SI units.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from ptycho.experiment import Geometry
from ptycho.io.measurement import Measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedEntry:
    """Where one quantity of a scan is in an HDF5 or Zarr file, and how it is stored."""

    path: str
    """Of the data set in the file."""

    unit: str = ""
    """Unit of its values; empty for the unit that the quantity usually has."""

    scale: float = 1.0
    """Factor on its values, -1 for another sign."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """How to read a scan; None and empty values believe the file."""

    measurement: Measurement | None = None
    """What the frames hold."""

    mask: Shaped[np.ndarray, "..."] | None = None
    """(H, W), True on valid pixels of a stored frame, or of the frames after all steps."""

    mask_inverted: bool = False
    """True if the mask of the file is True on bad pixels, against what its format says."""

    dark: Shaped[np.ndarray, "..."] | None = None
    """(H, W), subtracted from every frame."""

    gain: float = 1.0
    """Stored units per photon; frames are divided by it."""

    pedestal: float = 0.0
    """Subtracted from every pixel before the division by the gain."""

    clip: bool = False
    """Whether negative values are set to 0; always after a dark or pedestal."""

    mapped: Mapping[str, MappedEntry] = field(default_factory=dict)
    """Quantity -> where it is, for files in an unknown format."""

    join: tuple[Path, ...] = ()
    """Other files of the same scan."""

    scan_shape: tuple[int, int] | None = None
    """Rows and columns of a raster."""

    step_m: tuple[float, float] | None = None
    """Steps between rows and between columns of a raster, metres."""

    step_px: tuple[float, float] | None = None
    """The same in object pixels."""

    rotation: float = 0.0
    """Angle of the scan against the frames, radians."""

    geometry: Geometry = field(default_factory=Geometry)
    """Overrides that of the file, length by length."""

    semiangle: float | None = None
    """Convergence semi-angle of an electron probe, radians: calibrates the detector by the
    bright-field disc."""

    object_pixel_m: float | None = None
    """Overrides the object pixel of the file."""

    positions_unit: str | None = None
    """Overrides the unit of the positions: m, ..., px."""

    frames: tuple[str, ...] = ()
    """Rows of FRAME_STEPS, applied to the frames from left to right."""

    positions: tuple[str, ...] = ()
    """Rows of POSITION_STEPS, applied to the positions from left to right."""

    crop: int | None = None
    """Side of the window cut from each frame, detector pixels."""

    center: tuple[float, float] | str | None = None
    """(row, col) of the zero frequency in a stored frame after `frames`, or `auto`: the centre of
    mass of the mean frame. None takes pixel H//2, W//2."""

    skip: tuple[int, ...] = ()
    """Numbers of frames to be left out, ascending."""

    probe: tuple[str, ...] = ()
    """Rows of PROBE_STEPS, applied to the probe of the file from left to right."""

    bin: int = 1
    """Side of the squares of detector pixels that are summed."""

    frames_only: bool = False
    """Whether positions that cannot be expressed in object pixels are accepted in their own unit,
    and missing ones replaced by the order of the frames; for an inspection of the frames."""
