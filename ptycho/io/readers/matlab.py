"""MATLAB files, version 5 (read whole) and 7.3 (HDF5, frames stay in the file).

Data flow: [file] -> Recorded -> fields -> RawData -> ...

Frames are the last axes, (H, W, M) or (H, W, rows, columns),
unless only the last two axes are square.

Names: PtychoShelves results `object`, `probe` (row, col, mode[, variable]), `outputs.
probe_positions` (M, 2) as (x, y), centre of the object = ceil((object - N) / 2) - 1 + N//2 as its
indices count; `p.lambda`, `p.dx_spec`, `p.z`, `p.ds` metres, `p.energy` keV. fold_slice `cbed`,
`dp`, `ppX`, `ppY`. PtyLab `ptychogram`, `encoder`, `wavelength`, `zo`, `dxd`. NSLS-II `det_data`,
`pos_xy` (um, columns 1 and 2; 0 is a count). Masks of PtychoShelves are 1 on valid pixels.
"""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ptycho.errors import DataError
from ptycho.experiment import Geometry, photon_wavelength
from ptycho.io.fields import FrameStack
from ptycho.io.hdf5 import Hdf5File
from ptycho.io.readers.matlab_variables import (
    Stored,
    Variables,
    variables_5,
    variables_73,
    whole,
)
from ptycho.io.readers.stacks import Axes, OpenHdf5, frames_of
from ptycho.io.recorded import Recorded

_FRAMES = (
    "dp", "cbed", "ptychogram", "det_data", "data", "diffraction", "patterns", "intensity", "I",
)  # fmt: skip
_NOT_FRAMES = {"object", "probe", "obj", "mask", "valid_mask", "background"}


def read_5(path: Path) -> Recorded:
    """Return what a file of version 5 holds.

    Raises:
        DataError: If it is damaged, or holds nothing of a scan.
    """
    return _recorded(path, variables_5(path), "MATLAB 5")


def read_73(path: Path) -> Recorded:
    """Return what a file of version 7.3 holds, its frames still in it.

    Raises:
        DataError: If it is damaged, or holds nothing of a scan.
    """
    return _recorded(path, variables_73(path), "MATLAB 7.3")


def _recorded(path: Path, found: Variables, source: str) -> Recorded:
    name = _frames_name(path, found)
    frames, raster, numbers = (None, None, None) if name is None else _frames(path, name, found)
    obj, probe = _object(found), _probe(found)
    positions, unit, notes = _positions(path, found, obj, probe)
    mask = found.get("mask", found.get("valid_mask"))
    valid = whole(mask) if mask is not None and np.ndim(whole(mask)) == 2 else None
    if all(each is None for each in (frames, positions, obj, probe, valid)):
        raise DataError(
            f"{path}: variables {', '.join(sorted(found))[:120] or 'none'}; expected frames with "
            "3 or 4 axes (dp, cbed, data), positions (ppX and ppY), an object or a probe"
        )
    if name is not None:
        notes.append(f"frames are {name} {found[name].shape} in MATLAB's order of axes")
    geometry, pixel = _lengths(found)
    return Recorded(
        source=source,
        frames=frames,
        frames_entry=name or "frames",
        frame_numbers=numbers,
        positions=positions,
        positions_unit=unit,
        probe=probe,
        obj=obj,
        mask=None if valid is None else np.asarray(valid) != 0,
        geometry=geometry,
        object_pixel_m=pixel,
        raster=raster,
        frame_steps=_orientation(found),
        notes=notes,
    )


def _orientation(found: Variables) -> tuple[str, ...]:
    """Return the steps of PtyLab's `orientation`: 4 transpose, then 2 flipud, 1 fliplr."""
    code = int(_number(found, "orientation") or 0) if "ptychogram" in found else 0
    steps = ((4, "transpose"), (2, "flipud"), (1, "fliplr"))
    return tuple(step for bit, step in steps if code & bit)


def _frames_name(path: Path, found: Variables) -> str | None:
    """Return the variable that holds frames: by name, else the only one with 3 or 4 axes."""
    stacks = [
        name
        for name, value in found.items()
        if getattr(value, "ndim", 0) in (3, 4)
        and value.dtype.kind in "iuf"
        and name.split(".")[-1] not in _NOT_FRAMES
    ]
    for name in _FRAMES:
        if name in stacks:
            return name
    if len(stacks) > 1:
        raise DataError(
            f"{path}: {', '.join(sorted(stacks))[:120]} may all be frames; expected one variable "
            "with 3 or 4 axes, or one called dp, cbed or data"
        )
    return stacks[0] if stacks else None


def _frames(
    path: Path, name: str, found: Variables
) -> tuple[FrameStack, tuple[int, int] | None, np.ndarray | None]:
    """Return frames, their raster, and the place of each in MATLAB's order of the scan."""
    value = found[name]
    shape, ndim = value.shape, value.ndim
    first, last = shape[0] == shape[1], shape[-2] == shape[-1]
    frames_last = first or not last
    axes = Axes(scan=tuple(range(2, ndim)), frame=(0, 1)) if frames_last else Axes.leading(ndim)
    raster = axes.raster(shape)
    numbers = None
    if raster is not None and frames_last:
        numbers = np.arange(raster[0] * raster[1]).reshape(raster, order="F").reshape(-1)
    if not isinstance(value, Stored):
        ordered = np.transpose(value, (*axes.scan, *axes.frame))
        return ordered.reshape(-1, *ordered.shape[-2:]), raster, numbers
    reversed_axes = Axes(
        scan=tuple(ndim - 1 - axis for axis in axes.scan),
        frame=(ndim - 1 - axes.frame[0], ndim - 1 - axes.frame[1]),
    )
    with Hdf5File(path) as file:
        data = file.dataset(value.name)
        opened = OpenHdf5(path, value.name)
        return frames_of(f"{path}: {name}", data, reversed_axes, opened), raster, numbers


def _object(found: Variables) -> np.ndarray | None:
    """Return the first layer of an object."""
    value = whole(found.get("object", found.get("obj")))
    if getattr(value, "ndim", 0) not in (2, 3) or value.dtype.kind not in "fc":
        return None
    return value if value.ndim == 2 else value[..., 0]


def _probe(found: Variables) -> np.ndarray | None:
    """Return the modes of a probe (mode, row, col), the first of its variable modes."""
    value = whole(found.get("probe"))
    if getattr(value, "ndim", 0) not in (2, 3, 4) or value.dtype.kind not in "fc":
        return None
    if value.ndim == 4:
        value = value[..., 0]
    return value[None] if value.ndim == 2 else np.moveaxis(value, -1, 0)


def _positions(
    path: Path, found: Variables, obj: np.ndarray | None, probe: np.ndarray | None
) -> tuple[Float[np.ndarray, "position 2"] | None, str, list[str]]:
    """Return (row, col), their unit, and what was decided."""
    xy = _table(found.get("outputs.probe_positions"), 2)
    if xy is not None:
        if obj is None or probe is None:
            return xy[:, ::-1], "px", ["outputs.probe_positions as (x, y), about their centre"]
        n, sides = probe.shape[-1], np.array(obj.shape)
        centre = np.ceil((sides - n) / 2) - 1 + n // 2
        return xy[:, ::-1] + centre, "px", ["outputs.probe_positions as (x, y), indices from 1"]
    if "ppX" in found and "ppY" in found:
        x, y = (np.asarray(whole(found[name]), np.float64).reshape(-1) for name in ("ppX", "ppY"))
        if len(x) != len(y):
            raise DataError(f"{path}: {len(x)} of ppX and {len(y)} of ppY; expected as many")
        return np.stack([y, x], axis=1), "A" if _in_angstrom(found) else "m", []
    encoder = _table(found.get("encoder"), 2)
    if encoder is not None:
        return encoder, "m", ["encoder as (row, col)"]
    counted = _table(found.get("pos_xy"), 3)
    if counted is not None:
        return counted[:, [2, 1]], "um", ["pos_xy as (count, x, y)"]
    plain = _table(found.get("positions", found.get("pos")), 2)
    if plain is None:
        return None, "m", []
    unit = "px" if np.abs(plain).max(initial=0) > 0.01 else "m"
    return plain, unit, [f"positions as (row, col) in {unit}; else set --positions_unit"]


def _table(value: Any, columns: int) -> Float[np.ndarray, "position column"] | None:
    """Return a table with so many columns, also if it is stored the other way round."""
    table = whole(value)
    if getattr(table, "ndim", 0) != 2 or table.dtype.kind not in "iuf":
        return None
    if table.shape[1] != columns and table.shape[0] == columns:
        table = table.T
    return np.asarray(table, np.float64) if table.shape[1] == columns else None


def _lengths(found: Variables) -> tuple[Geometry, float | None]:
    """Return the geometry and the object pixel, metres."""
    factor = 1e-10 if _in_angstrom(found) else 1.0
    wave = _number(found, "p.lambda", "lambda", "wavelength")
    energy = _number(found, "p.energy", "energy")
    if wave is not None:
        wave *= factor
    elif energy is not None and 0.01 <= energy <= 200:
        wave = photon_wavelength(1e3 * energy)
    distance, pixel = _number(found, "p.z", "zo", "z"), _number(found, "p.ds", "dxd", "ds")
    if distance is None and (um := _number(found, "det_dist")) is not None:
        distance = 1e-6 * um
    stated = _number(found, "p.dx_spec", "dx_spec", "dx", "dxp", "dxo")
    return (
        Geometry(wavelength_m=wave, distance_m=distance, detector_pixel_m=pixel),
        None if stated is None else stated * factor,
    )


def _in_angstrom(found: Variables) -> bool:
    """Return whether lengths are in angstroms, as in the electron examples of fold_slice."""
    wave = _number(found, "p.lambda", "lambda")
    return wave is not None and wave > 1e-6


def _number(found: Variables, *names: str) -> float | None:
    """Return the first of some entries that is a number above 0, the first of two."""
    for name in names:
        value = found.get(name)
        if isinstance(value, (int, float, np.generic, np.ndarray)) and np.size(value) in (1, 2):
            array = np.asarray(value)
            if array.dtype.kind in "iuf" and np.isfinite(array).all() and array.flat[0] > 0:
                return float(array.flat[0])
    return None
