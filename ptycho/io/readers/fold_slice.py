"""fold_slice and PtychoShelves input: `*_dp.hdf5` with frames, `*_para.hdf5` with positions.

Data flow: [file] -> Recorded -> fields -> RawData -> ...

Layout: `/dp` (M, N, N); `/ppX`, `/ppY` metres, `/lambda`, `/dx` (object pixel), `/angle` of
tomography. The files belong together by their names only; either may be given. fold_slice negates
ppX and ppY twice, so that row = +ppY and column = +ppX (`hdf5_pos.m`, `ptycho_adjust_positions.m`).
`dp` written by Python is upright; `dp` written by MATLAB is transposed, which the file does not
show: --frames transpose.
"""

from pathlib import Path

import h5py
import numpy as np

from ptycho.errors import DataError
from ptycho.experiment import Geometry
from ptycho.io.hdf5 import Hdf5File
from ptycho.io.recorded import Recorded

_LONGEST_WAVE_M = 1e-6  # larger numbers are angstroms, which the electron examples use
_ANGSTROM = 1e-10


def read(path: Path) -> Recorded:
    """Return frames and positions of a pair of files, or of the one that is there.

    Args:
        path: either of them.

    Raises:
        DataError: If an entry is missing or damaged.
    """
    other = _partner(path)
    files = [path] if other is None else [path, other]
    frames, frames_file = None, path
    parameters = None
    for each in files:
        with Hdf5File(each) as file:
            if isinstance(file.get("dp"), h5py.Dataset) and frames is None:
                frames, frames_file = file.frames("dp"), each
            if "ppX" in file and parameters is None:
                parameters = _parameters(file)
    positions, unit, geometry, pixel = parameters or (None, "m", Geometry(), None)
    notes = []
    if other is not None:
        notes.append(f"{other.name} read with it")
    if unit != "m":
        notes.append("lambda is no wavelength in metres: lengths taken as angstroms")
    if frames is not None:
        notes.append(
            f"{frames_file.name}: dp taken as upright, as Python writes it; written by MATLAB it "
            "is transposed: --frames transpose"
        )
    return Recorded(
        source="fold_slice",
        frames=frames,
        frames_entry="dp",
        positions=positions,
        positions_unit=unit,
        geometry=geometry,
        object_pixel_m=pixel,
        notes=notes,
    )


def _partner(path: Path) -> Path | None:
    """Return the other file of a pair, by its name; None if it is not there."""
    for here, there in (("_dp", "_para"), ("_para", "_dp")):
        if path.stem.endswith(here):
            other = path.with_name(path.stem.removesuffix(here) + there + path.suffix)
            return other if other.is_file() else None
    return None


def _parameters(file: Hdf5File) -> tuple[np.ndarray, str, Geometry, float | None]:
    """Return positions (row, col), their unit, the wavelength and the object pixel (metres)."""
    columns = []
    for name in ("ppY", "ppX"):
        values = np.asarray(file.dataset(name)[()])
        if values.dtype.kind not in "iuf" or values.size != max(values.shape, default=0):
            raise DataError(
                f"{file.path}: {name} has shape {values.shape}, {values.dtype}; expected one "
                "number per frame"
            )
        columns.append(values.reshape(-1).astype(np.float64))
    if len(columns[0]) != len(columns[1]):
        raise DataError(
            f"{file.path}: ppX holds {len(columns[1])} positions and ppY {len(columns[0])}; "
            "expected one of each per frame"
        )
    wave, pixel = file.number("lambda"), file.number("dx")
    in_angstrom = wave is not None and wave > _LONGEST_WAVE_M
    factor = _ANGSTROM if in_angstrom else 1.0
    return (
        np.stack(columns, axis=1),
        "A" if in_angstrom else "m",
        Geometry(wavelength_m=wave * factor if wave and wave > 0 else None),
        pixel * factor if pixel and pixel > 0 else None,
    )
