"""Amplitude and phase of an object as TIFF for ImageJ, or OME-TIFF.

Data flow: Content -> [TIFF file].
Two float32 images, amplitude and phase in radians, row 0 on top. The pixel size stands in the
resolution tags: pixels per micrometre for ImageJ, pixels per centimetre and `PhysicalSizeX` in
micrometres for OME.

Source: tifffile documentation; ImageJ TIFF; OME-TIFF specification 6.
"""

from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from ptycho.io.writers.content import Content, Writer

_CHANNELS = ["amplitude", "phase"]


def write(content: Content, path: Path) -> None:
    """Write the object; OME-TIFF if the name of the file, before `.part`, says so."""
    assert content.obj is not None
    obj = np.asarray(content.obj, np.complex64)
    stack = np.stack([np.abs(obj), np.angle(obj)]).astype(np.float32)
    ome = ".ome.tif" in path.name.lower()
    options = _ome(content.pixel_size_m) if ome else _imagej(content.pixel_size_m)
    tifffile.imwrite(path, stack, photometric="minisblack", **options)


def _imagej(pixel: float | None) -> dict[str, Any]:
    metadata = {"axes": "CYX", "mode": "grayscale", "Labels": _CHANNELS}
    if pixel is None:
        return {"imagej": True, "metadata": metadata}
    resolution = (1e-6 / pixel, 1e-6 / pixel)
    return {"imagej": True, "resolution": resolution, "metadata": {**metadata, "unit": "um"}}


def _ome(pixel: float | None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"axes": "CYX", "Channel": {"Name": _CHANNELS}}
    if pixel is None:
        return {"ome": True, "metadata": metadata}
    for axis in "XY":
        metadata |= {f"PhysicalSize{axis}": 1e6 * pixel, f"PhysicalSize{axis}Unit": "µm"}
    resolution = (1e-2 / pixel, 1e-2 / pixel)
    return {
        "ome": True, "resolution": resolution, "resolutionunit": "CENTIMETER",
        "metadata": metadata,
    }  # fmt: skip


TIFF = Writer(
    endings=(".tif", ".tiff"),
    holds=frozenset({"object", "pixel size"}),
    needs=frozenset({"object"}),
    write=write,
)
