"""NeXus files of the application definition NXcxi_ptycho.

Data flow: Content -> [NeXus file].
Layout: frames in `entry_1/instrument_1/detector_1/data`, linked to `entry_1/data` and
`entry_1/data_1`; positions in metres in `entry_1/sample_1/transformations/{x,y}` and as
`translation`, x along columns; energy of the photons in joules in `beam_1/energy`, never in
`source_1`, which is the storage ring. The definition has no mask: it is written as `pixel_mask`
of NXdetector, 1 on bad pixels, and linked as the `mask` of CXI.

Readers of CXI open these files as well, and take `translation` as the position of the probe. So x
and y have its sign, and their attribute `vector`, [-1 0 0] and [0 -1 0], states that the sample
moves against it.

Source: NXcxi_ptycho.nxdl.xml, NXdetector and NXbeam of the NeXus definitions.
"""

from pathlib import Path

import h5py
import numpy as np

from ptycho.io.readers.nexus import OBJECT_PIXEL
from ptycho.io.writers.content import JOULES_PER_EV, SAME_PIXEL, Content, Writer
from ptycho.io.writers.hdf5 import bad_pixels, write_frames, write_values

_INSTRUMENT = "entry_1/instrument_1"
_DETECTOR = f"{_INSTRUMENT}/detector_1"
_MOTORS = "entry_1/sample_1/transformations"


def write(content: Content, path: Path) -> None:
    """Write a scan; see the module for the layout."""
    with h5py.File(path, "w-") as file:
        file.attrs["default"] = "entry_1"
        file["cxi_version"] = 160
        entry = _group(file, "entry_1", "NXentry")
        entry.attrs["default"] = "data"
        write_values(entry, {"definition": "NXcxi_ptycho", "title": content.title})
        _group(file, _INSTRUMENT, "NXinstrument")
        _write_beam(file, content)
        _write_detector(file, content)
        _write_motors(file, content)
        _write_links(file)


def _group(file: h5py.File, name: str, kind: str) -> h5py.Group:
    group = file.create_group(name)
    group.attrs["NX_class"] = kind
    return group


def _write_beam(file: h5py.File, content: Content) -> None:
    energy, wavelength = content.photon_energy_ev, content.geometry.wavelength_m
    source = _group(file, f"{_INSTRUMENT}/source_1", "NXsource")
    if wavelength is not None:
        write_values(source, {"probe": "electron" if energy is None else "x-ray"})
    beam = _group(file, f"{_INSTRUMENT}/beam_1", "NXbeam")
    joules = None if energy is None else energy * JOULES_PER_EV
    write_values(beam, {"energy": joules}, units="J")
    write_values(beam, {"incident_wavelength": wavelength}, units="m")


def _write_detector(file: h5py.File, content: Content) -> None:
    pixel = content.geometry.detector_pixel_m
    centre = None if pixel is None else pixel * (content.probe.shape[-1] // 2)
    detector = _group(file, _DETECTOR, "NXdetector")
    detector.attrs["signal"] = "data"
    write_frames(detector, "data", content)
    lengths = {
        "distance": content.geometry.distance_m, "x_pixel_size": pixel, "y_pixel_size": pixel,
        "beam_center_x": centre, "beam_center_y": centre,
    }  # fmt: skip
    write_values(detector, lengths, units="m")
    if (bad := bad_pixels(content)) is not None:
        write_values(detector, {"pixel_mask": bad})
        detector["mask"] = h5py.SoftLink(f"/{_DETECTOR}/pixel_mask")


def _write_motors(file: h5py.File, content: Content) -> None:
    sample = _group(file, "entry_1/sample_1", "NXsample")
    write_values(sample, {"name": content.title})
    motors = _group(file, _MOTORS, "NXtransformations")
    pixel = _object_pixel(content)
    ours = _group(file, OBJECT_PIXEL.rpartition("/")[0], "NXcollection")
    write_values(ours, {OBJECT_PIXEL.rpartition("/")[2]: pixel}, units="m")
    row, col = (content.positions * pixel).T
    common = {"units": "m", "transformation_type": "translation"}
    write_values(motors, {"x": col}, **common, vector=np.array([-1, 0, 0]), depends_on="y")
    write_values(motors, {"y": row}, **common, vector=np.array([0, -1, 0]), depends_on=".")
    translation = np.stack([col, row, np.zeros_like(row)], axis=1)
    described = {"axes": "translation:y:x", "interpretation": "image", "units": "m"}
    write_values(file[_DETECTOR], {"translation": translation}, **described)


def _object_pixel(content: Content) -> float:
    """Return the side of an object pixel in metres as the geometry in the file gives it.

    The definition has no object pixel, so other readers divide by that one. One that was set to
    another value on purpose is kept.
    """
    stated = content.pixel_size_m
    assert stated is not None
    implied = content.geometry.object_pixel_m(content.probe.shape[-1])
    close = implied is not None and abs(stated / implied - 1) <= SAME_PIXEL
    return implied if implied is not None and close else stated


def _write_links(file: h5py.File) -> None:
    data = _group(file, "entry_1/data", "NXdata")
    data.attrs["signal"] = "data"
    data.attrs["axes"] = np.array(["x", ".", "."], dtype=h5py.string_dtype())
    data.attrs["x_indices"], data.attrs["y_indices"] = 0, 0
    _group(file, "entry_1/data_1", "NXcollection")
    file.create_group("entry_1/sample_1/geometry_1")
    links = {
        "entry_1/data/data": f"/{_DETECTOR}/data",
        "entry_1/data/x": f"/{_MOTORS}/x",
        "entry_1/data/y": f"/{_MOTORS}/y",
        "entry_1/data_1/data": f"/{_DETECTOR}/data",
        "entry_1/data_1/translation": f"/{_DETECTOR}/translation",
        "entry_1/sample_1/geometry_1/translation": f"/{_DETECTOR}/translation",
    }
    for place, target in links.items():
        file[place] = h5py.SoftLink(target)


NEXUS = Writer(
    endings=(".nxs",),
    holds=frozenset(
        {"frames", "positions", "mask", "pixel size", "wavelength", "distance", "detector pixel"}
    ),
    needs=frozenset({"frames", "pixel size"}),
    write=write,
)
