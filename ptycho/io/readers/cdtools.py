"""Results of cdtools (.h5): positions, probe, object; the frames are in the CXI file.

Data flow: [file] -> Recorded -> fields -> RawData -> groups -> ...

| entry | shape | meaning |
|---|---|---|
| `translations`, `original_translations` | (M, 3) | of the probe after and before refinement, m |
| `obj_basis` | (3, 2) | steps (x, y, z) to the next row and column of the object, m |
| `obj`, `probe` | (H, W); (mode, N, N) | complex |
| `wavelength`, `state_dict/det_distance` | | m |
| `state_dict/{det_basis, mask}` | (3, 2); (N, N) | m; True on good pixels |
| `state_dict/min_translation` | (2,) | object pixels: position of the corner of the object |

Positions in pixels are pinv(obj_basis) . translation. The probe at position t covers the object
from index t - min_translation, so its centre is N // 2 further.

Source: files of cdtools 0.3.2 (MIT).
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from ptycho.errors import DataError
from ptycho.experiment import Geometry
from ptycho.io.hdf5 import Hdf5File
from ptycho.io.readers.products import layers_as_one, modes_of
from ptycho.io.readers.quantities import length_m, numbers, table
from ptycho.io.recorded import Recorded


def read(path: Path) -> Recorded:
    """Return the content of a result file.

    Raises:
        DataError: If the file is damaged, or an entry has an unexpected shape.
    """
    with Hdf5File(path) as file:
        basis = _basis(file, "obj_basis")
        pixel = float(np.linalg.norm(basis[0]))
        stored = file.array("probe")
        probe = None if stored is None else modes_of(path, stored)
        obj, notes = layers_as_one(path, file.array("obj"))
        corner = numbers(file, "state_dict/min_translation")
        centre = None
        if obj is not None and probe is not None and corner is not None and corner.size == 2:
            half = probe.shape[-1] // 2
            centre = (half - float(corner.reshape(-1)[0]), half - float(corner.reshape(-1)[1]))
        mask = numbers(file, "state_dict/mask")
        detector = None
        if "state_dict/det_basis" in file:
            detector = float(np.linalg.norm(_basis(file, "state_dict/det_basis")[0]))
        return Recorded(
            source="cdtools result",
            positions=_positions(file, "translations", basis),
            start=_positions(file, "original_translations", basis)
            if "original_translations" in file
            else None,
            probe=probe,
            obj=None if centre is None else obj,
            obj_centre=centre,
            mask=None if mask is None else mask != 0,
            geometry=Geometry(
                wavelength_m=length_m(file, "wavelength"),
                distance_m=length_m(file, "state_dict/det_distance"),
                detector_pixel_m=detector,
            ),
            object_pixel_m=pixel,
            notes=notes,
        )


def _basis(file: Hdf5File, name: str) -> Float[np.ndarray, "2 3"]:
    """Return the steps to the next row and column, metres."""
    file.dataset(name)  # raises if it is missing
    basis = np.asarray(numbers(file, name), np.float64)
    if basis.shape != (3, 2) or np.linalg.matrix_rank(basis) < 2:
        raise DataError(
            f"{file.path}: {name} of shape {basis.shape} spans no plane; expected (3, 2), the "
            "steps to the next row and column"
        )
    return basis.T


def _positions(
    file: Hdf5File, name: str, basis: Float[np.ndarray, "2 3"]
) -> Float[np.ndarray, "position 2"]:
    """Return (row, col) of the probe in metres along the rows and columns of the object."""
    lengths = np.linalg.norm(basis, axis=1)
    return table(file, name, 3) @ np.linalg.pinv(basis) * lengths
