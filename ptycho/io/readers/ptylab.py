"""PtyLab scans and reconstructions (.hdf5).

Data flow: [file] -> Recorded -> fields -> RawData -> groups -> ...

| entry | shape | meaning |
|---|---|---|
| `ptychogram` | (M, H, W) | counts or intensity, turned upright by `orientation` |
| `encoder`, `encoder_corrected` | (M, 2), or (2, M) which is centred on its mean | (row, col), m |
| `wavelength`, `zo`, `dxd` | scalar or (1, 1), m | wavelength, distance, detector pixel |
| `orientation` | scalar, 0 to 7 | 4: transpose, then 2: flipud, then 1: fliplr |
| `background` | (H, W) | intensity that does not come from the sample |
| `probe`, `object` | (wavelength, state, mode, slice, N, N) | complex, in reconstructions |

Position (0, 0) is pixel N // 2 of the object. Fourier ptychography files have `zled` or
`magnification` and are refused: their frames are images of the sample.

Source: layout of PtyLab 0.3.7, by reading (academic licence).
"""

from pathlib import Path

import numpy as np
from jaxtyping import Complex, Float, Shaped

from ptycho.errors import DataError
from ptycho.experiment import Geometry
from ptycho.io.hdf5 import Hdf5File
from ptycho.io.orientation import oriented
from ptycho.io.readers.linked import counts_or_intensity
from ptycho.io.readers.products import layers_as_one, modes_of
from ptycho.io.readers.quantities import length_m, numbers, table
from ptycho.io.recorded import Recorded

_FOURIER = ("zled", "magnification")
_STEPS = ((4, "transpose"), (2, "flipud"), (1, "fliplr"))


def read(path: Path) -> Recorded:
    """Return the content of a PtyLab file; a reconstruction has no frames.

    Raises:
        DataError: If the file is damaged, a Fourier ptychography file, or an entry has an
            unexpected shape.
    """
    with Hdf5File(path) as file:
        fourier = [name for name in _FOURIER if name in file]
        if fourier:
            raise DataError(
                f"{path}: a Fourier ptychography file of PtyLab (entry {fourier[0]}); expected "
                "diffraction frames of a scanned probe"
            )
        frames = file.frames("ptychogram") if "ptychogram" in file else None
        steps = _orientation(file)
        positions, start, notes = _positions(file)
        probe = file.array("probe")
        obj, object_notes = layers_as_one(path, _one_state(file.array("object")))
        pixel = length_m(file, "dxo", "dxp")
        return Recorded(
            source="PtyLab" if frames is not None else "PtyLab reconstruction",
            frames=frames,
            frames_entry="ptychogram",
            measurement=None if frames is None else counts_or_intensity(frames),
            positions=positions,
            start=start,
            probe=None if probe is None else modes_of(path, _modes(probe)),
            obj=obj,
            obj_centre=None if obj is None else (obj.shape[0] // 2, obj.shape[1] // 2),
            background=_background(file, steps),
            frame_steps=steps,
            geometry=Geometry(
                wavelength_m=length_m(file, "wavelength"),
                distance_m=length_m(file, "zo"),
                detector_pixel_m=length_m(file, "dxd"),
            ),
            object_pixel_m=pixel,
            notes=(*notes, *object_notes),
        )


def _orientation(file: Hdf5File) -> tuple[str, ...]:
    """Return the steps that turn a stored frame upright."""
    stated = file.number("orientation") or 0.0
    if stated not in range(8):
        raise DataError(f"{file.path}: orientation {stated:g}; expected 0 to 7")
    return tuple(step for digit, step in _STEPS if int(stated) & digit)


def _positions(
    file: Hdf5File,
) -> tuple[
    Float[np.ndarray, "position 2"] | None,
    Float[np.ndarray, "position 2"] | None,
    tuple[str, ...],
]:
    """Return (row, col) in metres, the same before a correction, and notes."""
    if "encoder" not in file:
        return None, None, ()
    shape = file.dataset("encoder").shape
    encoder, notes = table(file, "encoder", 2), []
    if len(shape) == 2 and shape[1] != 2:
        encoder = encoder - encoder.mean(axis=0)
        notes = [f"encoder is {shape}: turned and centred on its mean, as PtyLab does"]
    corrected = file.first("encoder_corrected")
    if corrected is None or corrected.size != encoder.size:
        return encoder, None, tuple(notes)
    return table(file, "encoder_corrected", 2), encoder, tuple(notes)


def _modes(probe: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
    """Return the modes of (wavelength, state, mode, slice, N, N), at the first slice."""
    return probe[0, 0, :, 0] if probe.ndim == 6 else probe


def _one_state(obj: Shaped[np.ndarray, "..."] | None) -> Complex[np.ndarray, "..."] | None:
    """Return the slices of (wavelength, state, mode, slice, N, N), of the first mode."""
    return obj[0, 0, 0] if obj is not None and obj.ndim == 6 else obj


def _background(file: Hdf5File, steps: tuple[str, ...]) -> Shaped[np.ndarray, "row col"] | None:
    """Return the upright background, if there is any."""
    found = numbers(file, "background")
    return oriented(found, steps) if found is not None and found.ndim == 2 and found.any() else None
