"""What the files of one scan state, before it is turned into object pixels.

Data flow: file -> [Recorded] -> fields -> RawData -> groups -> ...
A reader fills in what its file holds, in SI units and in the file's own orientation, and leaves
the rest empty: frames in one file, positions in another. `ptycho.io.assemble` joins the parts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Shaped

from ptycho.experiment import Geometry
from ptycho.io.fields import FrameStack
from ptycho.io.measurement import Measurement


# Loose shapes: the values of a file are checked by RawData, with errors a user can read.
@dataclass(frozen=True, kw_only=True, eq=False)
class Recorded:
    """The content of one file; None stands for what it does not hold."""

    source: str
    """Format and writer, such as `CXI written by PyNX`."""

    frames: FrameStack | None = None
    """(M, H, W) as stored, still in the file where its container allows it; those of a raster row
    after row."""

    frames_entry: str = "frames"
    """What the frames are called in the file, for messages."""

    frame_numbers: Shaped[np.ndarray, "..."] | None = None
    """Number of each frame, to join frames and positions of two files; None counts from 0."""

    measurement: Measurement | None = None
    """What a stored value is; None leaves it to the values."""

    amplitude_by_convention: bool = False
    """Whether the values of this entry are amplitudes unless they look otherwise."""

    positions: Shaped[np.ndarray, "..."] | None = None
    """(row, col) of the probe relative to the object, in `positions_unit`: rows grow with the
    row index of the object."""

    positions_unit: str = "m"
    """m, or px for object pixels."""

    position_numbers: Shaped[np.ndarray, "..."] | None = None
    """Frame number of each position; None counts from 0."""

    scan_index: Shaped[np.ndarray, "..."] | None = None
    """Scan each position belongs to."""

    probe: Shaped[np.ndarray, "..."] | None = None
    """Modes of the probe, in any scale."""

    obj: Shaped[np.ndarray, "..."] | None = None
    """Object, if the file holds one."""

    obj_centre: tuple[float, float] | None = None
    """(row, col) index in `obj` that position (0, 0) refers to; None means that positions are
    indices of `obj`."""

    mask: Shaped[np.ndarray, "..."] | None = None
    """True on valid pixels."""

    mask_polarity_known: bool = True
    """False if the file may mean the opposite."""

    dark: Shaped[np.ndarray, "..."] | float | None = None
    """To be subtracted from each frame, in the unit of the frames."""

    background: Shaped[np.ndarray, "..."] | float | None = None
    """Intensity that does not come from the sample; part of the model, not subtracted."""

    geometry: Geometry = field(default_factory=Geometry)
    """Wavelength, distance and detector pixel, as far as known."""

    object_pixel_m: float | None = None
    """Object pixel as the file states it; None follows from the geometry."""

    raster: tuple[int, int] | None = None
    """Rows and columns of the scan, where positions follow from a raster."""

    raster_step_m: tuple[float, float] | None = None
    """Step between rows and between columns, metres."""

    raster_rotation: float = 0.0
    """Angle of the raster against the frames, radians, from the row axis towards the columns."""

    frame_steps: tuple[str, ...] = ()
    """Rows of `ptycho.io.orientation.FRAME_STEPS` that turn a stored frame upright, in order."""

    corner: bool = False
    """True if the zero frequency is at pixel (0, 0)."""

    experiment: str | None = None
    """The physics of the scan as JSON text; see `Experiment`."""

    patches: Shaped[np.ndarray, "..."] | None = None
    """True object windows, where the file holds them."""

    start: Shaped[np.ndarray, "..."] | None = None
    """(row, col) before a correction of the positions, in `positions_unit`."""

    probe_known: bool = True
    """False if the probe of the file was estimated from its frames."""

    notes: Sequence[str] = ()
    """What was found and decided while reading, one line each."""

    metadata: dict[str, Any] = field(default_factory=dict)
    """What else the file states, plain values that JSON can hold."""

    @property
    def has_object(self) -> bool:
        """Whether an object is known: a constant one stands for none."""
        obj = self.obj
        return obj is not None and obj.size > 0 and not bool((obj == obj.flat[0]).all())
