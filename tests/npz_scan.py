"""A small scan as a PtychoPINN file and in memory, with any of its entries changed."""

import numpy as np
from scan_shapes import raster

from ptycho.scan.raw_data import RawData

M, N = 12, 8
X, Y = raster(3, 4, step=2.0)
PROBE = np.full((N, N), 1 + 1j, np.complex64)
COUNTS = np.random.default_rng(0).poisson(20, (M, N, N)).astype(np.uint16)
AMPLITUDE = np.sqrt(COUNTS + np.float32(0.3))
FILE = {"diffraction": COUNTS, "xcoords": X, "ycoords": Y, "probeGuess": PROBE}


def written(path, save=np.savez, **changes):
    """Path of the file with some entries changed; None takes one away."""
    entries = {name: value for name, value in (FILE | changes).items() if value is not None}
    save(path, **entries)
    return path


def scan(**changes):
    """The scan, some of its fields changed."""
    fields = {"frames": COUNTS, "measurement": "counts", "xcoords": X, "ycoords": Y, "probe": PROBE}
    return RawData(**(fields | changes))
