"""A scan of 12 small frames of counts, as RawData and as the entries of a counts file."""

import numpy as np

from ptycho.scan.raw_data import RawData
from ptycho.simulation.probes import make_probe


def counts_entries(n_frames=12, size=16, seed=0):
    rng = np.random.default_rng(seed)
    row, col = np.divmod(np.arange(n_frames), 4)
    return {
        "counts": rng.poisson(30.0, (n_frames, size, size)).astype(np.uint16),
        "position_row": 20.0 + 3.0 * row,
        "position_col": 30.0 + 2.0 * col,
        "probe": make_probe("gaussian", size, fwhm=5.0, photons=1.0)[0],
        "scan_row": row.astype(np.int16),
        "scan_col": col.astype(np.int16),
    }


def counts_scan(**changed):
    entry = counts_entries()
    fields = {
        "frames": entry["counts"],
        "measurement": "counts",
        "xcoords": entry["position_col"],
        "ycoords": entry["position_row"],
        "probe": make_probe("gaussian", 16, fwhm=5.0, photons=7e3, n_modes=2),
        "obj": np.exp(1j * np.linspace(0, 1, 50 * 60)).reshape(50, 60).astype(np.complex64),
        "pixel_size_m": 9.3e-10,
        "metadata": {"nphotons": 7e3, "note": "made by hand"},
    }
    return RawData(**{**fields, **changed})
