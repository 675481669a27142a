"""The NPZ of ptycho, which holds everything.

Data flow: Content -> [NPZ].
"""

from pathlib import Path

from ptycho.experiment import Experiment
from ptycho.io.ptychopinn import write as write_fields
from ptycho.io.writers.content import Content, Writer


def write(content: Content, path: Path) -> None:
    """Write a scan as it is."""
    start = content.positions if content.start is None else content.start
    usual = content.experiment == Experiment()
    assert content.frames is not None
    write_fields(
        path,
        {
            "frames": content.frames,
            "measurement": content.measurement,
            "xcoords": content.positions[:, 1],
            "ycoords": content.positions[:, 0],
            "xcoords_start": start[:, 1],
            "ycoords_start": start[:, 0],
            "scan_index": content.scan_index,
            "probe": content.probe,
            "probe_known": content.probe_known,
            "obj": content.obj,
            "patches": content.patches,
            "mask": content.mask,
            "background": content.background,
            "pixel_size_m": content.pixel_size_m,
            "metadata": content.metadata,
            "experiment": None if usual else content.experiment.to_json(),
        },
    )


NPZ = Writer(
    endings=(".npz",),
    holds=frozenset(
        {"frames", "positions", "probe", "object", "mask", "pixel size", "wavelength", "distance",
         "detector pixel", "background", "scan_index", "positions before correction", "patches",
         "experiment", "metadata"}
    ),
    needs=frozenset({"frames"}),
    write=write,
)  # fmt: skip
