"""HyperSpy files: .hspy (HDF5), and the description that .zspy (Zarr) shares with it.

Data flow: [file] -> Recorded -> fields -> RawData -> ...

Layout: `Experiments/<name>/data`; groups `axis-0` ... with the attributes `navigate` (True for the
scan), `name`, `scale`, `units`, in the order of the axes of the data; `metadata/
Acquisition_instrument/TEM` with the attributes `beam_energy` (kV) and `convergence_angle` (mrad).
Frames are as the program that read them first left them: those from Merlin .mib files are mirrored
up/down by RosettaSciIO.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ptycho.errors import DataError
from ptycho.experiment import Geometry, electron_wavelength
from ptycho.io.hdf5 import Hdf5File, check_filter, plain_text
from ptycho.io.readers.stacks import Axes, OpenHdf5, frames_of, reciprocal_pixel_m, step_m
from ptycho.io.recorded import Recorded


def read(path: Path) -> Recorded:
    """Return the frames of the largest signal in a .hspy file.

    Raises:
        DataError: If it holds no signal of 3 or 4 axes.
    """
    with Hdf5File(path) as file:
        found = {
            name: data
            for each in file.names("Experiments")
            if isinstance(data := file.get(name := f"Experiments/{each}/data"), h5py.Dataset)
            and data.ndim in (3, 4)
        }
        if not found:
            raise DataError(
                f"{path}: no Experiments/*/data with 3 or 4 axes; expected a stack of frames"
            )
        name = max(found, key=lambda each: found[each].size)
        data, group = found[name], name.removesuffix("/data")
        check_filter(path, data)
        axes = [_attributes(file, f"{group}/axis-{i}") for i in range(data.ndim)]
        beam = _attributes(file, f"{group}/metadata/Acquisition_instrument/TEM")
        return described(path, name, data, OpenHdf5(path, name), axes, beam)


def described(
    path: Path, name: str, data: Any, opened: Any, axes: Sequence[Mapping[str, Any]],
    beam: Mapping[str, Any],
) -> Recorded:  # fmt: skip
    """Return a signal with its calibration.

    Args:
        path: the file or folder.
        name: of the data in it.
        data: array with 3 or 4 axes.
        opened: returns the array in the process that reads.
        axes: the attributes of each axis.
        beam: those of the microscope.

    Raises:
        DataError: If other than two axes belong to the frames.
    """
    signal = [i for i, axis in enumerate(axes) if not bool(axis.get("navigate", i < data.ndim - 2))]
    if len(signal) != 2:
        raise DataError(
            f"{path}: {name} has {len(signal)} signal axes; expected 2, the rows and columns of a "
            "frame"
        )
    order = Axes(
        scan=tuple(i for i in range(data.ndim) if i not in signal), frame=(signal[0], signal[1])
    )
    frames = frames_of(f"{path}: {name}", data, order, opened)
    kilovolts = beam.get("beam_energy")
    known = isinstance(kilovolts, (int, float, np.number)) and 1 <= kilovolts <= 3000
    wavelength = electron_wavelength(1e3 * float(kilovolts)) if known else None  # type: ignore[arg-type]
    detector = axes[signal[0]]
    steps = [
        step_m(float(axes[i].get("scale", 0)), str(axes[i].get("units", ""))) for i in order.scan
    ]
    angle = beam.get("convergence_angle")
    notes = [] if angle is None else [
        f"convergence semi-angle {float(angle):g} mrad in the file; to calibrate by the "
        f"bright-field disc: --semiangle_mrad {float(angle):g}"
    ]  # fmt: skip
    both = len(steps) == 2 and None not in steps
    return Recorded(
        source="HyperSpy",
        frames=frames,
        frames_entry=name,
        raster=order.raster(data.shape),
        raster_step_m=(steps[0], steps[1]) if both else None,  # type: ignore[arg-type]
        geometry=Geometry(wavelength_m=wavelength),
        object_pixel_m=reciprocal_pixel_m(
            float(detector.get("scale", 0)), str(detector.get("units", "")),
            min(frames.shape[1:]), wavelength,
        ),
        notes=notes,
    )  # fmt: skip


def _attributes(file: Hdf5File, name: str) -> dict[str, Any]:
    group = file.get(name)
    if group is None:
        return {}
    return {
        key: plain_text(value) if isinstance(value, (bytes, str)) else value
        for key, value in group.attrs.items()
    }
