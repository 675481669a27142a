"""What the writers of HDF5 formats share: frames in chunks of one frame, values with units.

Data flow: Content -> [HDF5 file].
"""

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from ptycho.io.fields import blocks
from ptycho.io.writers.content import Content

_LEVEL = 1  # of gzip: higher ones cost much time and save a few percent of sparse counts


def write_frames(
    group: h5py.Group, name: str, content: Content, *, signed: bool = False
) -> h5py.Dataset:
    """Write the frames as counts or intensities, some at a time; return the data set.

    Chunks hold one frame, compressed by gzip after byte shuffling, which every HDF5 reads.

    Args:
        group: where to write.
        name: of the data set.
        content: what holds the frames.
        signed: unsigned integers of more than 8 bits become the next larger signed ones.
    """
    frames = content.intensities
    assert frames is not None
    kind = frames.dtype
    if signed and kind.kind == "u" and kind.itemsize > 1:
        kind = np.promote_types(kind, np.int16) if kind.itemsize < 8 else np.dtype(np.int64)
    data = group.create_dataset(
        name, shape=frames.shape, dtype=kind, chunks=(1, *frames.shape[1:]),
        compression="gzip", compression_opts=_LEVEL, shuffle=True,
    )  # fmt: skip
    first = 0
    for block in blocks(frames):
        data[first : first + len(block)] = block
        first += len(block)
    return data


def write_values(group: h5py.Group, values: Mapping[str, Any], **attributes: Any) -> None:
    """Write the values that are not None, each with the same attributes, such as `units`."""
    for name, value in values.items():
        if value is not None:
            data = group.create_dataset(name, data=value)
            for key, attribute in attributes.items():
                data.attrs[key] = attribute


def bad_pixels(content: Content) -> np.ndarray | None:
    """Return the mask as most formats have it: 1 on bad pixels, 0 on valid ones."""
    return None if content.mask is None else (~np.asarray(content.mask, bool)).astype(np.uint32)
