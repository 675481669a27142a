"""CXI 1.4 to 1.6 as cdtools, ptychodus, PyNX and others write it, and products of ptychodus.

Data flow: [file] -> Recorded -> fields -> RawData -> groups -> ...
Everything is below `/entry_1`:

| entry | shape, unit | meaning |
|---|---|---|
| `data_1/data`, `instrument_1/detector_1/data` | (M, H, W) | counts, zero frequency at H//2, W//2 |
| `data_1/translation`, `sample_1/geometry_1/translation` | (M, 3); PyNX (3, M); m | of the sample |
| `instrument_1/detector_1/basis_vectors` | (2, 3) or (3, 2), m | steps to the next row, column |
| `.../detector_1/{distance, x_pixel_size, y_pixel_size}` | m | one pixel size may be missing |
| `.../detector_1/mask` | (H, W) bits | good if 0 or only 0x1000, "signal above background" |
| `.../detector_1/data_dark`; PyNX `dark` | (H, W) or (n, H, W) | mean of it is subtracted |
| `instrument_1/source_1/{energy, wavelength}` | J, m | of the photons |
| `image_1/data`, `image_2/data`, `ptychodus/*` | | probe, object and positions of ptychodus |

The probe moves against the sample, so positions are the translations, negated, in the basis of
the detector. The default basis is negative itself: then row = +y, column = +x.

Source: CXI file format 1.6 (Maia, Nature Methods 9, 854 (2012)); files and sources of cdtools
0.3.2, ptychodus 1.7.0 and PyNX.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Shaped

from ptycho.errors import DataError
from ptycho.experiment import Geometry
from ptycho.io.hdf5 import Hdf5File, read_whole
from ptycho.io.readers.linked import counts_or_intensity
from ptycho.io.readers.products import Product, indices_of_centre, layers_as_one, modes_of
from ptycho.io.readers.quantities import first_number, length_m, numbers, wavelength_m
from ptycho.io.recorded import Recorded

_DETECTOR = "entry_1/instrument_1/detector_1"
_SOURCE = "entry_1/instrument_1/source_1"
_FRAMES = ("entry_1/data_1/data", f"{_DETECTOR}/data")
_TRANSLATIONS = (
    "entry_1/data_1/translation",
    "entry_1/sample_1/geometry_1/translation",
    "entry_1/sample_1/geometry/translation",
    f"{_DETECTOR}/translation",
)
_HAS_SIGNAL = 0x1000
_DEFAULT_BASIS = np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0]])
_LARGEST_RING_ENERGY = 50.0  # GeV, if source_1/energy is that of a storage ring


def read(path: Path) -> Recorded:
    """Return the content of a CXI file; frames, positions or both.

    Raises:
        DataError: If the file is damaged, or an entry has an unexpected shape or unit.
    """
    with Hdf5File(path) as file:
        entry = next((name for name in _FRAMES if file.first(name) is not None), None)
        frames = None if entry is None else file.frames(entry)
        table = _translations(file, None if frames is None else len(frames))
        writer = _writer(file, transposed=table is not None and table[1])
        directions, mirrored = _directions(file)
        wavelength, notes = _wavelength(file)
        pixel, pixel_notes = _detector_pixel(file)
        product = _product(file) if writer == "ptychodus" else Product()
        illumination = file.array(f"{_SOURCE}/illumination") if product.probe is None else None
        return Recorded(
            source=f"CXI written by {writer}" if writer else "CXI",
            frames=frames,
            frames_entry=entry or "frames",
            measurement=None if frames is None else counts_or_intensity(frames),
            positions=None if table is None else _probe_positions(table[0], directions),
            position_numbers=product.numbers,
            probe=product.probe if illumination is None else modes_of(path, illumination),
            obj=product.obj,
            obj_centre=product.obj_centre,
            object_pixel_m=product.object_pixel_m,
            mask=_mask(file),
            dark=_dark(file),
            geometry=Geometry(
                wavelength_m=wavelength,
                distance_m=length_m(file, f"{_DETECTOR}/distance"),
                detector_pixel_m=pixel,
            ),
            notes=(
                *_table_words(table),
                *mirrored, *notes, *pixel_notes, *product.notes,
            ),
        )  # fmt: skip


def _writer(file: Hdf5File, *, transposed: bool) -> str:
    """Return the program that wrote the file; empty where it is not known."""
    stated = (
        str(file.attribute("/", "creator") or ""),
        file.text("entry_1/program_name"),
        file.text("entry_1/process_1/program"),
        file.text("entry_1/data_1/process_1/program"),
    )
    for name in ("PyNX", "ptychodus"):
        if any(name.lower() in text.lower() for text in stated):
            return name
    if transposed:
        return "PyNX"
    return "ptychodus" if "entry_1/ptychodus" in file else ""


def _translations(
    file: Hdf5File, n_frames: int | None
) -> tuple[Float[np.ndarray, "position 3"], bool] | None:
    """Return (x, y, z) of the sample in metres, and whether they are stored as (3, M)."""
    for name in _TRANSLATIONS:
        found = file.first(name)
        if found is None or found.ndim != 2 or found.dtype.kind not in "iuf":
            continue  # (3,) is the place of the detector, or of a sample that stands still
        values = np.asarray(read_whole(file.path, found), np.float64)
        fits = (None, values.shape[0]), (None, values.shape[1])
        as_rows = values.shape[1] == 3 and n_frames in fits[0]
        as_columns = values.shape[0] == 3 and n_frames in fits[1]
        if not as_rows and not as_columns:
            as_rows, as_columns = values.shape[1] == 3, values.shape[0] == 3
        if as_rows:
            return values, False
        if as_columns:
            return values.T, True
        raise DataError(
            f"{file.path}: {name} has shape {values.shape}; expected (positions, 3) as in CXI, or "
            "(3, positions) as PyNX writes it"
        )
    return None


def _table_words(table: tuple[Float[np.ndarray, "position 3"], bool] | None) -> tuple[str, ...]:
    if table is None or not table[1]:
        return ()
    return (f"translation is (3, {len(table[0])}): as PyNX writes it",)


def _directions(file: Hdf5File) -> tuple[Float[np.ndarray, "2 3"], tuple[str, ...]]:
    """Return unit vectors along the rows and columns of the detector, and notes about them."""
    name = f"{_DETECTOR}/basis_vectors"
    found = numbers(file, name)
    if found is None:
        return _DEFAULT_BASIS, ()
    basis = np.atleast_1d(np.asarray(found, np.float64))
    if basis.shape == (3, 2):
        basis = basis.T
    lengths = np.linalg.norm(basis, axis=-1, keepdims=True)
    if basis.shape != (2, 3) or np.linalg.matrix_rank(basis / np.where(lengths, lengths, 1)) < 2:
        raise DataError(
            f"{file.path}: {name} of shape {found.shape} spans no detector; expected two vectors "
            "(x, y, z), to the next row and to the next column"
        )
    basis = basis / lengths
    if np.allclose(basis, _DEFAULT_BASIS, atol=1e-3):
        return basis, ()
    words = np.array2string(basis.round(4) + 0.0, separator=", ").replace("\n", "")
    return basis, (f"basis_vectors along {words}, not the default: positions follow them",)


def _probe_positions(
    translations: Float[np.ndarray, "position 3"], directions: Float[np.ndarray, "2 3"]
) -> Float[np.ndarray, "position 2"]:
    """Return (row, col) of the probe in metres: minus the sample, in the basis of the detector."""
    return -translations @ np.linalg.pinv(directions)


def _wavelength(file: Hdf5File) -> tuple[float | None, tuple[str, ...]]:
    stated = length_m(file, f"{_SOURCE}/wavelength")
    if stated is not None:
        return stated, ()
    name = f"{_SOURCE}/energy"
    value = first_number(file, name)
    if value is None:
        return wavelength_m(file, "entry_1/instrument_1/beam_1/energy")
    if not file.attribute(name, "units") and 1e-3 < abs(value) < _LARGEST_RING_ENERGY:
        # Neither J nor eV of a photon; NeXus keeps the ring energy, GeV, in an entry of this name.
        return None, (f"{name} = {value:g} is not a photon energy in J: ignored",)
    return wavelength_m(file, name)


def _detector_pixel(file: Hdf5File) -> tuple[float | None, tuple[str, ...]]:
    sizes = [length_m(file, f"{_DETECTOR}/{axis}_pixel_size") for axis in "xy"]
    known = [size for size in sizes if size is not None]
    if len(known) == 2 and abs(known[0] / known[1] - 1) > 0.01:
        words = " x ".join(f"{1e6 * size:.4g}" for size in known)
        return known[0], (
            f"detector pixels of {words} um (x, y) are taken as square, as wide as x",
        )
    return (known[0] if known else None), ()


def _mask(file: Hdf5File) -> Bool[np.ndarray, "row col"] | None:
    """Return the valid pixels; those of a mask for each frame are valid in all frames."""
    bits = file.array(f"{_DETECTOR}/mask")
    if bits is None:
        return None
    if bits.dtype.kind not in "iub" or bits.ndim not in (2, 3):
        raise DataError(
            f"{file.path}: {_DETECTOR}/mask has shape {bits.shape}, type {bits.dtype}; expected "
            "(rows, columns) of whole numbers, 0 on good pixels"
        )
    good = (bits == 0) | (bits == _HAS_SIGNAL)
    return np.asarray(good if good.ndim == 2 else good.all(axis=0))


def _dark(file: Hdf5File) -> Shaped[np.ndarray, "row col"] | None:
    dark = numbers(file, f"{_DETECTOR}/data_dark", f"{_DETECTOR}/dark")
    if dark is None or dark.ndim < 2:
        return None
    return np.asarray(dark if dark.ndim == 2 else dark.mean(axis=tuple(range(dark.ndim - 2))))


def _product(file: Hdf5File) -> Product:
    """Return probe, object and frame numbers of a product of ptychodus."""
    own = "entry_1/ptychodus"
    probe, obj = file.array("entry_1/image_1/data"), file.array("entry_1/image_2/data")
    pixel = file.number(f"{own}/object_pixel_width_m")
    centre = {axis: file.number(f"{own}/object_center_{axis}_m") for axis in "xy"}
    layer, notes = layers_as_one(file.path, obj)
    return Product(
        probe=None if probe is None else modes_of(file.path, probe),
        obj=layer,
        obj_centre=indices_of_centre(layer, probe, pixel, centre["y"], centre["x"]),
        object_pixel_m=pixel or None,
        numbers=file.array(f"{own}/probe_position_indexes"),
        notes=notes,
    )
