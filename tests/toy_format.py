"""A scan format of a test: a line of JSON, then the frames, then the object."""

import json

import numpy as np

from ptycho.errors import DataError
from ptycho.io import Container, Format, LazyFrames, Recorded

MAGIC = b"toy scan 1\n"


def read(path):
    content = path.read_bytes()
    try:
        header = json.loads(content[len(MAGIC) :].partition(b"\n")[0])
        start = content.index(b"\n", len(MAGIC)) + 1
        numbers = {name: np.array(header[name]) for name in ("xcoords", "ycoords", "probe")}
        shape, dtype = tuple(header["shape"]), np.dtype(header["dtype"])
        stored = np.memmap(path, dtype=dtype, mode="r", offset=start, shape=shape)
        obj = np.frombuffer(content[start + stored.nbytes :], np.complex64)
        obj = obj.reshape(header["object"]) if header["object"] else None
    except (ValueError, KeyError, OSError) as problem:
        raise DataError(
            f"{path}: {problem}; expected a whole toy scan".replace("\n", " ")
        ) from None
    return Recorded(
        source="toy",
        frames=LazyFrames(shape, dtype, lambda numbers: np.array(stored[numbers])),
        measurement=header["measurement"],
        positions=np.stack([numbers["ycoords"], numbers["xcoords"]], axis=1),
        positions_unit="px",
        probe=numbers["probe"][0] + 1j * numbers["probe"][1],
        obj=obj,
    )


ROW = Format(container=Container(name="toy", magic=(MAGIC,)), reader=read)
"""All that `FORMATS` needs."""


def write(path, raw):
    header = {
        "measurement": raw.measurement, "shape": raw.frames.shape, "dtype": raw.frames.dtype.str,
        "xcoords": raw.xcoords.tolist(), "ycoords": raw.ycoords.tolist(),
        "probe": [raw.probe.real.tolist(), raw.probe.imag.tolist()],
        "object": None if raw.obj is None else raw.obj.shape,
    }  # fmt: skip
    obj = b"" if raw.obj is None else raw.obj.tobytes()
    frames = np.ascontiguousarray(raw.frames).tobytes()
    path.write_bytes(MAGIC + json.dumps(header).encode() + b"\n" + frames + obj)
