"""The NPZ of ptycho, which holds everything.

Data flow: Content -> [NPZ].
Frames that are not in memory are copied to a file next to the archive first and mapped from there,
so that no more than a block of them is in memory.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from ptycho.experiment import Experiment
from ptycho.io.ptychopinn import write as write_fields
from ptycho.io.writers.content import Content, Writer, blocks


def write(content: Content, path: Path) -> None:
    """Write a scan as it is."""
    start = content.positions if content.start is None else content.start
    usual = content.experiment == Experiment()
    with on_disk(content, path, as_stored=True) as frames:
        assert frames is not None
        write_fields(
            path,
            {
                "frames": frames,
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


@contextlib.contextmanager
def on_disk(
    content: Content, path: Path, *, as_stored: bool = False
) -> Iterator[Shaped[np.ndarray, "frame row col"] | None]:
    """Yield the frames as an array or memory map; None if there are none.

    Args:
        content: what is written.
        path: of the archive; the map is a temporary file next to it.
        as_stored: whether amplitudes stay amplitudes; else their squares are yielded.
    """
    frames = content.frames
    squared = content.measurement == "amplitude" and not as_stored
    if frames is None or (isinstance(frames, np.ndarray) and not squared):
        yield frames
        return
    kind = np.dtype(frames.dtype) if as_stored else content.intensity_type
    temporary = path.with_name(f"{path.name}.frames")
    try:
        mapped = np.memmap(temporary, kind, "w+", shape=tuple(frames.shape))
        for first, block in blocks(frames) if as_stored else content.intensity_blocks():
            mapped[first : first + len(block)] = block
        yield mapped
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


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
