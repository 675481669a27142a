"""Quantum Detectors Merlin: .mib with its optional .hdr, one header before every frame.

Data flow: [file] -> Recorded -> fields -> RawData -> ...

Layout: an ASCII header of 384 bytes (one chip) or 768 (quad) before each frame,
`MQ1,<number>,<bytes of the header>,<chips>,<width>,<height>,<U08|U16|U32|R64>,<chips in x by y>,
...,MQ1A,<time>,<exposure>,<bits>`; values are big-endian. The .hdr states `Frames per Trigger
(Number)`, the columns of a raster. Frames are as stored: RosettaSciIO mirrors them up/down,
LiberTEM and py4DSTEM do not.

R64 is the raw order of the chips:
    Groups of 64 bits whose pixels run backwards.
    24 bits: two frames of 12 bits, the higher bits first; the stated width is that of both.
    Four chips (2x2): each row holds one of the chips bottom right, bottom left, top right and top
        left; those at the bottom are turned by 180 degrees.

Source: LiberTEM (MIT), as its decoders read such files.
"""

import functools
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from ptycho.errors import DataError
from ptycho.io.fields import LazyFrames
from ptycho.io.readers.stacks import Decoder, Layout, records
from ptycho.io.recorded import Recorded

_TYPES = {"U08": ">u1", "U16": ">u2", "U32": ">u4", "U64": ">u8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    """What the first frame states."""

    n_bytes: int
    chips: int
    width: int
    height: int
    kind: str
    layout: str
    bits: int


def read(path: Path) -> Recorded:
    """Return the frames of a .mib file, and the raster of the .hdr next to it.

    Args:
        path: the .mib, or the .hdr next to it.

    Raises:
        DataError: If it is damaged, or in a raw mode that is not read.
    """
    data = _data_file(path)
    header = _header(data)
    frames = _frames(data, header)
    number, companion = len(frames), data.with_suffix(".hdr")
    raster, notes = _raster(companion, number)
    return Recorded(
        source="Merlin",
        frames=frames,
        raster=raster,
        notes=("frames as stored; RosettaSciIO mirrors them up/down: --frames flipud", *notes),
    )


def _data_file(path: Path) -> Path:
    """Return the .mib of a .hdr; any other file itself."""
    with path.open("rb") as file:
        if not file.read(4).startswith(b"HDR"):
            return path
    data = path.with_suffix(".mib")
    if not data.is_file():
        raise DataError(f"{path}: header without frames; expected {data.name} next to it")
    return data


def _header(path: Path) -> _Header:
    with path.open("rb") as file:
        text = file.read(1024).decode("latin-1")
    fields = text.split(",")
    try:
        n_bytes = int(fields[2])
        fields = text[:n_bytes].rstrip("\0 \n").split(",")
        extension = fields.index("MQ1A") if "MQ1A" in fields else None
        bits = int(fields[extension + 3]) if extension is not None else int(fields[-1] or 0)
        return _Header(
            n_bytes=n_bytes,
            chips=int(fields[3]),
            width=int(fields[4]),
            height=int(fields[5]),
            kind=fields[6].strip().upper(),
            layout=fields[7].strip().removesuffix("G"),
            bits=bits,
        )
    except (ValueError, IndexError):
        if len(fields) > 6 and fields[6].strip().upper() in _TYPES:
            return _Header(
                n_bytes=int(fields[2]), chips=int(fields[3]), width=int(fields[4]),
                height=int(fields[5]), kind=fields[6].strip().upper(), layout="", bits=0,
            )  # fmt: skip
        raise DataError(
            f"{path}: header {text[:60]!r}; expected MQ1, number, bytes, chips, width, height, type"
        ) from None


def _frames(path: Path, header: _Header) -> LazyFrames:
    if header.kind in _TYPES:
        layout = Layout(
            frame=(header.height, header.width), dtype=_TYPES[header.kind], header=header.n_bytes
        )
        return records(path, layout, _count(path, layout))
    decoded = _RAW.get(header.bits) if header.kind == "R64" else None
    quad = (header.chips, header.layout) == (4, "2x2")
    if decoded is None or not (header.chips == 1 or (quad and header.bits < 24)):
        raise DataError(
            f"{path}: {header.kind} with {header.bits} bits from {header.chips} chips; expected "
            "U08, U16 or U32, or R64 of 1, 6, 12 or 24 bits from one chip, of 1, 6 or 12 bits from "
            "2 x 2; save it in a processed mode"
        )
    width, dtype, decode = decoded
    if quad:
        decode = functools.partial(_decode_quad, decode_chips=decode)
    layout = Layout(
        frame=(header.height, header.width // width), dtype=dtype, header=header.n_bytes
    )
    return records(path, layout, _count(path, layout), decode)


def _count(path: Path, layout: Layout) -> int:
    """Return the number of whole frames.

    Raises:
        DataError: If a part of a frame is left over.
    """
    n, rest = divmod(path.stat().st_size, layout.record().itemsize)
    if rest:
        raise DataError(
            f"{path}: {n} frames of {layout.record().itemsize} bytes and {rest} bytes more; "
            "expected whole frames; the file is cut short"
        )
    return n


def _decode_1(stored: Shaped[np.ndarray, "n h w"]) -> Shaped[np.ndarray, "n row col"]:
    """Return one bit per pixel; the pixels of 8 bytes run backwards, from the lowest bit."""
    words = stored.reshape(*stored.shape[:-1], -1, 8)[..., ::-1]
    bits = np.unpackbits(np.ascontiguousarray(words), axis=-1, bitorder="little")
    return bits.reshape(*stored.shape[:-1], -1)


def _decode_6(stored: Shaped[np.ndarray, "n h w"]) -> Shaped[np.ndarray, "n row col"]:
    """Return one byte per pixel, 8 of them backwards in 64 bits."""
    return stored.reshape(*stored.shape[:-1], -1, 8)[..., ::-1].reshape(stored.shape)


def _decode_12(stored: Shaped[np.ndarray, "n *h w"]) -> Shaped[np.ndarray, "n *h w"]:
    """Return two bytes per pixel, 4 pixels backwards in 64 bits."""
    return stored.reshape(*stored.shape[:-1], -1, 4)[..., ::-1].reshape(stored.shape)


def _decode_24(stored: Shaped[np.ndarray, "n h w"]) -> Shaped[np.ndarray, "n row col"]:
    """Return two frames of 12 bits as one, the higher bits first."""
    n, height, width = stored.shape
    halves = _decode_12(stored.reshape(n, 2, height, width // 2)).astype(np.uint32)
    return (halves[:, 0] << 12) | halves[:, 1]


def _decode_quad(
    stored: Shaped[np.ndarray, "n h w"], decode_chips: Decoder
) -> Shaped[np.ndarray, "n row col"]:
    """Return the four chips whose rows are next to each other as a square of 2 x 2."""
    rows = decode_chips(stored)
    bottom_right, bottom_left, top_right, top_left = np.split(rows, 4, axis=-1)
    top = np.concatenate([top_left, top_right], axis=-1)
    turned = [chip[..., ::-1, ::-1] for chip in (bottom_left, bottom_right)]
    return np.concatenate([top, np.concatenate(turned, axis=-1)], axis=-2)


_RAW: dict[int, tuple[int, str, Decoder]] = {
    1: (8, ">u1", _decode_1),
    6: (1, ">u1", _decode_6),
    12: (1, ">u2", _decode_12),
    24: (1, ">u2", _decode_24),
}
"""Bits of the counter -> pixels in a stored value, its type, and the function to pixels."""


def _raster(header: Path, n_frames: int) -> tuple[tuple[int, int] | None, list[str]]:
    """Return rows and columns by the .hdr, and what was found there."""
    if not header.is_file():
        return None, []
    text = header.read_text("latin-1")
    found = re.search(r"Frames per Trigger \(Number\):\s*(\d+)", text)
    columns = int(found.group(1)) if found else 1
    if columns < 2 or columns == n_frames:
        return None, []
    if n_frames % columns:
        return None, [f"{header.name}: {columns} frames per trigger do not divide {n_frames}"]
    rows = n_frames // columns
    return (rows, columns), [f"raster {rows} x {columns} by the frames per trigger"]
