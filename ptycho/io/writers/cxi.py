"""CXI 1.6 as cdtools and ptychodus read it.

Data flow: Content -> [CXI file].
Layout: frames in `entry_1/instrument_1/detector_1/data`, positions (M, 3) as x, y, z in metres in
`entry_1/sample_1/geometry_1/translation` (x along columns, y along rows, both growing with the
index), from the centre of the object to that of the window of a frame; probe (1, mode, N, N) in
`image_1/data`, object (1, H, W) in `image_2/data`, with its pixel size in `entry_1/ptychodus`.
Counts are signed integers: PyTorch, and so cdtools, cannot multiply unsigned ones of 16 bits and
more by a mask. Mask: 1 on bad pixels. Energy in joules.

Source: CXI file format 1.6 (cxidb.org); readers of cdtools 0.3.2 and ptychodus 1.7.0.
"""

from pathlib import Path

import h5py
import numpy as np

from ptycho.io.writers.content import JOULES_PER_EV, Content, Writer
from ptycho.io.writers.hdf5 import bad_pixels, write_frames, write_values

_DETECTOR = "entry_1/instrument_1/detector_1"
_SOURCE = "entry_1/instrument_1/source_1"
_TRANSLATION = "entry_1/sample_1/geometry_1/translation"


def write(content: Content, path: Path) -> None:
    """Write a scan or a reconstruction; see the module for the layout."""
    with h5py.File(path, "w-") as file:
        write_values(file, {"cxi_version": 160, "number_of_entries": 1})
        write_values(file.create_group("entry_1"), {"title": content.title})
        write_values(file.create_group("entry_1/process_1"), {"program": "ptycho"})
        file.create_group("entry_1/data_1")
        _write_instrument(file, content)
        _write_positions(file, content)
        _write_images(file, content)


def _write_instrument(file: h5py.File, content: Content) -> None:
    geometry, energy = content.geometry, content.photon_energy_ev
    source, detector = file.create_group(_SOURCE), file.create_group(_DETECTOR)
    joules = None if energy is None else energy * JOULES_PER_EV
    write_values(source, {"energy": joules, "wavelength": geometry.wavelength_m})
    pixel = geometry.detector_pixel_m
    # Columns of the detector run against x, rows against y; the translation of cdtools does too.
    basis = None if pixel is None else np.array([[0, -pixel], [-pixel, 0], [0, 0]], float)
    write_values(
        detector,
        {
            "distance": geometry.distance_m,
            "x_pixel_size": pixel,
            "y_pixel_size": pixel,
            "basis_vectors": basis,
            "mask": bad_pixels(content),
        },
    )
    if content.frames is not None:
        write_frames(detector, "data", content, signed=True)
        file["entry_1/data_1/data"] = h5py.SoftLink(f"/{_DETECTOR}/data")


def _write_positions(file: h5py.File, content: Content) -> None:
    assert content.pixel_size_m is not None
    _, about, _ = content.placed_about(_centre)
    translation = np.zeros((len(about), 3))
    translation[:, :2] = about[:, ::-1] * content.pixel_size_m
    file.create_dataset(_TRANSLATION, data=translation)
    for place in ("entry_1/data_1", _DETECTOR):
        file[f"{place}/translation"] = h5py.SoftLink(f"/{_TRANSLATION}")


def _write_images(file: h5py.File, content: Content) -> None:
    pixel, extra = content.pixel_size_m, file.create_group("entry_1/ptychodus")
    assert pixel is not None
    names = [f"{what}_pixel_{side}_m" for what in ("object", "probe") for side in _SIDES]
    write_values(extra, dict.fromkeys(names, pixel))
    # Frames of one file are numbered from 0; those of another one by their place in it.
    numbers = content.numbers if content.frames is None else np.arange(len(content.positions))
    photons = float(np.sum(np.abs(content.probe) ** 2, dtype=np.float64))
    write_values(extra, {"probe_position_indexes": numbers, "probe_photon_count": photons})
    _write_image(file, "image_1", content.probe[None], "coherent:incoherent:y:x", content)
    file[f"{_SOURCE}/illumination"] = h5py.SoftLink("/entry_1/image_1/data")
    obj, _, (row, col) = content.placed_about(_centre)  # ptychodus reads nothing without an object
    _write_image(file, "image_2", obj[None], "layer:y:x", content)
    write_values(extra, {"object_center_x_m": col * pixel, "object_center_y_m": row * pixel})
    write_values(extra, {"object_layer_spacing_m": np.zeros(0)})


def _write_image(
    file: h5py.File, name: str, values: np.ndarray, axes: str, content: Content
) -> None:
    assert content.pixel_size_m is not None
    image = file.create_group(f"entry_1/{name}")
    image.create_dataset("data", data=values, compression="gzip").attrs["axes"] = axes
    height, width = values.shape[-2:]
    size = np.array([width, height, 0]) * content.pixel_size_m
    write_values(image, {"data_space": "real", "data_type": "amplitude", "image_size": size})
    image["detector_1"] = h5py.SoftLink(f"/{_DETECTOR}")
    image["source_1"] = h5py.SoftLink(f"/{_SOURCE}")


def _centre(n: int) -> float:
    """Return the index of the centre as ptychodus has it, between two pixels of an even number."""
    return (n - 1) / 2


_SIDES = ("height", "width")

CXI = Writer(
    endings=(".cxi",),
    holds=frozenset(
        {"frames", "positions", "probe", "object", "mask", "pixel size", "wavelength", "distance",
         "detector pixel"}
    ),
    needs=frozenset({"pixel size"}),
    write=write,
)  # fmt: skip
