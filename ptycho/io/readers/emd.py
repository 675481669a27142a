"""EMD files: HDF5 in the dialects of py4DSTEM, emdfile, HyperSpy, Velox and Prismatic.

Data flow: [file] -> Recorded -> fields -> RawData -> ...

Layouts:
    EMD 1.0 (py4DSTEM, emdfile): `<root>/.../<array>/data` (Rx, Ry, Qx, Qy) with `dim0` ... next to
        it, each two values (or all) and the attributes `name` and `units`; calibration in
        `<root>/metadatabundle/calibration`. There x is the ROW axis and y the column axis.
    Legacy py4DSTEM: `4DSTEM_experiment/data/datacubes/<name>/data`, `dim1` ...
    EMD 0.2 (rosettasciio): `signals/<name>/data` axes reversed, `dim1` (kx) ... `dim4` (y); there
        y is the row axis.
    Velox: `Data/Image/<id>/Data` (H, W, n), frames last; JSON text as bytes in `Metadata`.
    Prismatic: `4DSTEM_simulation/data/datacubes/CBED_array_depth0000/datacube`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ptycho.errors import DataError
from ptycho.experiment import Geometry, electron_wavelength
from ptycho.io.hdf5 import Hdf5File, check_filter, check_sources, entries, plain_text
from ptycho.io.readers.stacks import Axes, OpenHdf5, frames_of, reciprocal_pixel_m, step_m
from ptycho.io.recorded import Recorded

_NAMES = ("data", "datacube")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dim:
    """One axis of a stored array."""

    name: str = ""
    units: str = ""
    step: float = 0.0


def read(path: Path) -> Recorded:
    """Return the largest stack of frames in an EMD file.

    Raises:
        DataError: If it holds none, or it is damaged.
    """
    with Hdf5File(path) as file:
        if isinstance(file.get("Data/Image"), h5py.Group):
            return _velox(path, file)
        name = _largest(path, file)
        data = file.dataset(name)
        check_sources(path, data)
        check_filter(path, data)
        dims = [_dim(file, name, axis, data.ndim) for axis in range(data.ndim)]
        axes = _axes(dims)
        return _recorded(path, file, name, dims, axes)


def _largest(path: Path, file: Hdf5File) -> str:
    """Return the data set `data` with 3 or 4 axes that has the most values."""
    found = {}
    for name in sorted(entries(path)):
        if name.rsplit("/", 1)[-1] in _NAMES:
            data = file.get(name)
            if isinstance(data, h5py.Dataset) and data.ndim in (3, 4) and data.dtype.kind in "iuf":
                found[name] = (data.ndim, data.size)
    if not found:
        raise DataError(
            f"{path}: no data set named data or datacube with 3 or 4 axes; expected an EMD file "
            "with a stack of frames"
        )
    return max(found, key=lambda name: found[name])


def _dim(file: Hdf5File, name: str, axis: int, ndim: int) -> _Dim:
    """Return an axis as the `dim` next to the data describes it; its count begins at 0 or 1."""
    group = name.rsplit("/", 1)[0]
    first = 0 if f"{group}/dim0" in file else 1
    place = f"{group}/dim{axis + first}"
    values = file.get(place)
    if not isinstance(values, h5py.Dataset) or values.dtype.kind not in "iuf" or axis >= ndim:
        return _Dim()
    numbers = np.asarray(values[()], np.float64).reshape(-1)
    step = float(numbers[1] - numbers[0]) if len(numbers) > 1 else 0.0
    said = [file.attribute(place, key) for key in ("name", "units")]
    return _Dim(name=str(said[0] or ""), units=str(said[1] or ""), step=step)


def _axes(dims: list[_Dim]) -> Axes:
    """Return which axes are the scan and which the frame, by names and units.

    Reciprocal axes are those of the frame. Names that are plain x, y, kx, ky follow images, y down
    the rows; Rx, Ry, Qx, Qy are the rows and columns in this order. Without names the scan leads.
    """
    reciprocal = [i for i, dim in enumerate(dims) if _is_reciprocal(dim)]
    if len(reciprocal) != 2:
        return Axes.leading(len(dims))
    scan = [i for i in range(len(dims)) if i not in reciprocal]
    row, col = _rows_first(dims, reciprocal)
    return Axes(scan=_rows_first(dims, scan), frame=(row, col))


def _is_reciprocal(dim: _Dim) -> bool:
    word = dim.units.replace("_", "")
    return dim.name.lower().startswith(("k", "q")) or any(
        mark in word for mark in ("1/", "^-1", "mrad", "⁻¹")
    )


def _rows_first(dims: list[_Dim], axes: list[int]) -> tuple[int, ...]:
    """Return axes with the rows before the columns."""
    names = [dims[axis].name.lower() for axis in axes]
    image_like = names in (["x", "y"], ["kx", "ky"])
    return tuple(reversed(axes)) if image_like else tuple(axes)


def _recorded(path: Path, file: Hdf5File, name: str, dims: list[_Dim], axes: Axes) -> Recorded:
    data = file.dataset(name)
    where = f"{path}: {name}"
    frames = frames_of(where, data, axes, OpenHdf5(path, name))
    known = _calibration(file, name)
    wavelength = _beam(file)
    size = min(frames.shape[1:])
    pixel = reciprocal_pixel_m(
        known.get("Q_pixel_size", dims[axes.frame[0]].step),
        known.get("Q_pixel_units", dims[axes.frame[0]].units), size, wavelength,
    )  # fmt: skip
    steps = [
        step_m(
            known.get("R_pixel_size", dims[axis].step), known.get("R_pixel_units", dims[axis].units)
        )
        for axis in axes.scan
    ]
    notes = [f"axes {', '.join(dim.name or '?' for dim in dims)} of {name}"]
    if known.get("QR_flip"):
        notes.append("QR_flip is set: the scan is transposed; add --positions swap")
    rotation = float(known.get("QR_rotation", 0.0))
    if rotation:
        notes.append(
            f"QR_rotation is {rotation:g} rad, not applied; set --rotation_deg where it matters"
        )
    both = len(steps) == 2 and None not in steps
    return Recorded(
        source="EMD",
        frames=frames,
        frames_entry=name,
        raster=axes.raster(data.shape),
        raster_step_m=(steps[0], steps[1]) if both else None,  # type: ignore[arg-type]
        geometry=Geometry(wavelength_m=wavelength),
        object_pixel_m=pixel,
        notes=notes,
    )


def _calibration(file: Hdf5File, name: str) -> dict[str, Any]:
    """Return the calibration that py4DSTEM keeps at the root of its tree."""
    root = name.split("/")[0]
    for group in (f"{root}/metadatabundle/calibration", f"{root}/metadata/calibration"):
        found = file.get(group)
        if isinstance(found, h5py.Group):
            return {key: _plain(found[key]) for key in found if _plain(found[key]) is not None}
    return {}


def _plain(entry: Any) -> Any:
    """Return a number or text of the calibration; None for anything else."""
    if not isinstance(entry, h5py.Dataset) or entry.size != 1:
        return None
    value = np.asarray(entry[()]).reshape(-1)[0]
    if isinstance(value, (bytes, str, np.bytes_, np.str_)):
        text = plain_text(value)
        return None if text in ("_None", "None", "") else text
    return value.item() if isinstance(value, np.generic) else None


def _beam(file: Hdf5File) -> float | None:
    """Return the wavelength of electrons that the file names a voltage for, metres."""
    for name in ("microscope", "4DSTEM_experiment/metadata/microscope", "/"):
        for key, factor in (("accelerating_voltage", 1.0), ("beam_energy", 1e3), ("voltage", 1.0)):
            value = file.attribute(name, key)
            if isinstance(value, (int, float, np.number)) and 1e3 <= value * factor <= 3e6:
                return electron_wavelength(float(value) * factor)
    return None


def _velox(path: Path, file: Hdf5File) -> Recorded:
    """Return the frames of a Velox file; the last axis counts them."""
    found = {
        name: data
        for image in file.names("Data/Image")
        if isinstance(data := file.get(name := f"Data/Image/{image}/Data"), h5py.Dataset)
        and data.ndim == 3
    }
    if not found:
        raise DataError(f"{path}: no Data/Image/*/Data with 3 axes; expected a stack of frames")
    name = max(found, key=lambda each: (found[each].shape[2], found[each].size))
    data = found[name]
    check_filter(path, data)
    frames = frames_of(f"{path}: {name}", data, Axes(scan=(2,), frame=(0, 1)), OpenHdf5(path, name))
    volts = _velox_volts(file, name.removesuffix("Data") + "Metadata")
    return Recorded(
        source="Velox EMD",
        frames=frames,
        frames_entry=name,
        geometry=Geometry(wavelength_m=electron_wavelength(volts) if volts else None),
        notes=(f"frames are on the last axis of {name}, {data.shape[2]} of them",),
    )


def _velox_volts(file: Hdf5File, name: str) -> float | None:
    """Return the accelerating voltage in the JSON text of an image, a column of bytes."""
    stored = file.array(name)
    if stored is None or stored.dtype != np.uint8 or stored.size == 0:
        return None
    column = stored.reshape(len(stored), -1)[:, 0]
    try:
        stated = json.loads(column.tobytes().split(b"\0", 1)[0].decode("utf-8", "replace"))
        volts = float(stated["Optics"]["AccelerationVoltage"])
    except (ValueError, KeyError, TypeError):
        return None
    return volts if 1e3 <= volts <= 3e6 else None
