"""A small scan with everything in it, to be written in the formats of other programs."""

import dataclasses

import numpy as np
from small_scan import counts_scan

from ptycho.experiment import Experiment, Geometry
from ptycho.io import FORMATS, read_fields
from ptycho.io.fields import LazyFrames
from ptycho.io.writers.writing import write_content

# 1e-10 m * 2 m / (16 px * 75e-6 m)
GEOMETRY = Geometry(wavelength_m=1e-10, distance_m=2.0, detector_pixel_m=75e-6)
PIXEL = 2e-10 / (16 * 75e-6)
BAD = (3, 5)


def scan(**changed):
    """12 frames of 16 x 16 uint16 at rows 20 to 26, columns 30 to 36, object of 50 x 60."""
    mask = np.ones((16, 16), bool)
    mask[BAD] = False
    fields = {"mask": mask, "pixel_size_m": PIXEL, "experiment": Experiment(geometry=GEOMETRY)}
    return counts_scan(**(fields | changed))


def content(**changed):
    """The same as what is written; `changed` are fields of the content."""
    from ptycho.api.conversion import content_of

    return dataclasses.replace(content_of(scan()), **changed)


def written(folder, name, to=None, **changed):
    """Write the scan; return the file."""
    return write_content(content(**changed), folder / name, to=to)[0]


def lazy(frames):
    """The frames as frames in a file; the list holds how many were read at once."""
    calls = []

    def read(numbers):
        calls.append(len(numbers))
        return frames[numbers]

    return LazyFrames(frames.shape, frames.dtype, read), calls


def reads(*words):
    """Whether there is a reader of such a format already."""
    return any(all(word in name for word in words) for name in FORMATS)


def assert_read_back(path, *, parts=("mask", "probe", "obj"), reading=None, kind=np.uint16):
    """The file read again holds the same frames and positions, and these parts."""
    before, after = scan(), read_fields(path, reading)
    np.testing.assert_array_equal(np.asarray(after["frames"][:]), before.frames)
    assert after["frames"].dtype == kind
    np.testing.assert_allclose(after["ycoords"], before.ycoords, rtol=1e-9)
    np.testing.assert_allclose(after["xcoords"], before.xcoords, rtol=1e-9)
    np.testing.assert_allclose(after["pixel_size_m"], PIXEL, rtol=1e-12)
    for part in parts:
        np.testing.assert_array_equal(after[part], getattr(before, part))
