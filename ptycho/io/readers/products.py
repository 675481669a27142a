"""Probe, object and geometry of a reconstruction by ptychodus, which it keeps in three containers.

Data flow: [file] -> Recorded -> fields -> RawData -> ...
The centre of an object or window of n pixels is at index (n - 1) / 2, half a pixel before n // 2.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Complex, Shaped

from ptycho.errors import DataError


@dataclass(frozen=True, kw_only=True, eq=False)
class Product:
    """What a reconstruction adds to a scan; None stands for what it does not hold."""

    probe: Complex[np.ndarray, "mode row col"] | None = None
    """Modes of the probe."""

    obj: Complex[np.ndarray, "height width"] | None = None
    """Object, its layers multiplied."""

    obj_centre: tuple[float, float] | None = None
    """(row, col) index in the object of position (0, 0)."""

    object_pixel_m: float | None = None
    """Side of an object pixel, metres."""

    numbers: Shaped[np.ndarray, "..."] | None = None
    """Frame number of each position."""

    notes: tuple[str, ...] = ()
    """What was decided."""


def modes_of(
    path: Path, probe: Shaped[np.ndarray, "..."], name: str = "probe"
) -> Complex[np.ndarray, "mode row col"]:
    """Return the incoherent modes of (N, N), (mode, N, N) or (opr, mode, N, N), the first opr.

    Orthogonal probe relaxation (opr) adds modes that differ from frame to frame; the first is the
    probe they have in common.

    Raises:
        DataError: If it is none of these.
    """
    if probe.ndim < 2 or 0 in probe.shape or probe.dtype.kind not in "fciu":
        raise DataError(
            f"{path}: {name} has shape {probe.shape}, type {probe.dtype}; expected (modes, N, N), "
            "complex"
        )
    while probe.ndim > 3:
        probe = probe[0]
    kind = np.complex128 if probe.dtype.itemsize > 8 else np.complex64
    return np.asarray(probe, kind).reshape(-1, *probe.shape[-2:])


def layers_as_one(
    path: Path, obj: Shaped[np.ndarray, "..."] | None, name: str = "object"
) -> tuple[Complex[np.ndarray, "row col"] | None, tuple[str, ...]]:
    """Return (H, W) or (layer, H, W) as (H, W), the product of its layers, and notes about it.

    Raises:
        DataError: If it is neither.
    """
    if obj is None or obj.size == 0:
        return None, ()
    while obj.ndim > 3 and obj.shape[0] == 1:
        obj = obj[0]
    if obj.ndim not in (2, 3) or obj.dtype.kind not in "fciu":
        raise DataError(
            f"{path}: {name} has shape {obj.shape}, type {obj.dtype}; expected (layers, rows, "
            "columns), complex"
        )
    layers = obj.reshape(-1, *obj.shape[-2:])
    if len(layers) == 1:
        return np.asarray(layers[0], np.complex64), ()
    product = np.asarray(layers, np.complex128).prod(axis=0)
    return product.astype(np.complex64), (f"{name}: {len(layers)} layers multiplied into one",)


def indices_of_centre(
    obj: Shaped[np.ndarray, "..."] | None,
    probe: Shaped[np.ndarray, "..."] | None,
    pixel: float | None,
    row: float | None,
    col: float | None,
) -> tuple[float, float] | None:
    """Return the (row, col) index in an object of position (0, 0).

    Args:
        obj: (H, W); None without one.
        probe: (..., N, N); None without one.
        pixel: side of an object pixel, metres.
        row: where the centre of the object is, metres; None for 0.
        col: the same for columns.
    """
    if obj is None or not pixel:
        return None
    offset = centre_offset(probe)
    first, second = ((n - 1) / 2 + offset for n in obj.shape)
    return first - (row or 0.0) / pixel, second - (col or 0.0) / pixel


def centre_offset(probe: Shaped[np.ndarray, "..."] | None) -> float:
    """Return the centre of a window by our rule, N // 2, minus that by ptychodus, (N - 1) / 2.

    A position is the centre of a window, so it is larger in our files by this number.

    Args:
        probe: (..., N, N), as large as a window; without one, N is taken as even.
    """
    size = 2 if probe is None else probe.shape[-1]
    return size // 2 - (size - 1) / 2
