"""HDF5 files of ptychodus: the product, and the diffraction file with the frames.

Data flow: Content -> [product NAME.h5 + frames NAME_diffraction.h5].
Product: `probe_position_x_m`, `_y_m` in metres from the centre of the object to that of the
window of a frame, both at index (n - 1) / 2, `probe_position_indexes`, `probe` (1, mode, N, N),
`object` (1, H, W) with their pixel sizes as attributes; energy in eV and distance in metres as
attributes of the file, 0 where unknown.
Diffraction file: `patterns` (M, N, N) as counts, `indexes`, `bad_pixels` True on bad pixels.

Source: writers of ptychodus 1.7.0, whose reader asks for every entry of a product.
"""

from pathlib import Path

import h5py
import numpy as np

from ptycho.io.writers.content import Companion, Content, Writer
from ptycho.io.writers.hdf5 import write_frames, write_values


def write_product(content: Content, path: Path) -> None:
    """Write positions, probe and object; see the module for the layout."""
    pixel = content.pixel_size_m
    assert pixel is not None
    obj, about, (row, col) = content.placed_about(_centre)  # a product needs an object
    photons = float(np.sum(np.abs(content.probe) ** 2, dtype=np.float64))
    with h5py.File(path, "w-") as file:
        file.attrs.update(
            {
                "name": content.title, "comments": "written by ptycho",
                "photon_energy_eV": content.energy_ev or 0.0,
                "detector_object_distance_m": content.geometry.distance_m or 0.0,
                "far_field": content.experiment.propagation == "far",
                "probe_photon_count": photons, "exposure_time_s": 0.0,
                "focus_object_distance_m": 0.0, "mass_attenuation_m2_per_kg": 0.0,
                "tilt_angle_deg": 0.0, "tomography_angle_deg": 0.0,
            }
        )  # fmt: skip
        write_values(
            file,
            {
                "probe_position_indexes": content.numbers.astype(np.int64),
                "probe_position_x_m": about[:, 1] * pixel,
                "probe_position_y_m": about[:, 0] * pixel,
                "object_layer_spacing_m": np.zeros(0),
                "loss_epochs": np.zeros(0, np.int64),
                "loss_values": np.zeros(0),
            },
        )
        sides = {"pixel_width_m": pixel, "pixel_height_m": pixel}
        write_values(file, {"probe": content.probe[None]}, **sides)
        placed = {"center_x_m": col * pixel, "center_y_m": row * pixel}
        write_values(file, {"object": obj[None]}, **sides, **placed)


def write_diffraction(content: Content, path: Path) -> None:
    """Write frames and mask; see the module for the layout."""
    valid = content.mask
    bad = np.zeros(content.probe.shape[-2:], bool) if valid is None else ~np.asarray(valid, bool)
    with h5py.File(path, "w-") as file:
        patterns = write_frames(file, "patterns", content)
        pixel = content.geometry.detector_pixel_m
        if pixel is not None:
            patterns.attrs["detector_pixel_width_m"] = pixel
            patterns.attrs["detector_pixel_height_m"] = pixel
        numbers = content.numbers.astype(np.int64)
        write_values(file, {"indexes": numbers, "bad_pixels": bad})


def _centre(n: int) -> float:
    """Return the index of the centre, between two pixels of an even number."""
    return (n - 1) / 2


PTYCHODUS = Writer(
    endings=(".h5", ".hdf5"),
    holds=frozenset(
        {"frames", "positions", "probe", "object", "mask", "pixel size", "wavelength", "distance",
         "detector pixel", "frame numbers"}
    ),
    needs=frozenset({"pixel size"}),
    write=write_product,
    companion=Companion(suffix="_diffraction", part="frames", write=write_diffraction),
)  # fmt: skip
