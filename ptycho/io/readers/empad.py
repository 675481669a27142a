"""EMPAD: .raw frames of 130 rows x 128 columns, float32, with the raster in an .xml or the name.

Data flow: [file] -> Recorded -> fields -> RawData -> ...

Layout: little-endian float32; rows 128 and 129 of each frame hold metadata, no pixels. The .xml
(same name, or naming the file in `raw_file`) states `scan_resolution_x`, `scan_resolution_y`, in
older files `pix_x`, `pix_y`; x is the fast axis, the columns. Else the name:
`scan_x128_y64.raw` has 128 columns. Values are analogue units with an offset, not counts.
"""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from ptycho.errors import DataError
from ptycho.io.readers.stacks import Layout, records
from ptycho.io.recorded import Recorded

FRAME_BYTES = 130 * 128 * 4
_NAME = re.compile(r"x(\d+)_y(\d+)", re.IGNORECASE)
_TAGS = (("scan_resolution_x", "scan_resolution_y"), ("pix_x", "pix_y"))


def suits(path: Path, head: bytes) -> bool:
    """Return whether a file is EMPAD data, or the .xml of such a file."""
    if path.is_dir():
        return False
    if head.lstrip().startswith(b"<"):
        return b"raw_file" in head or b"EMPAD" in head or b"iom_measurements" in head
    if path.suffix.lower() != ".raw":
        return False
    size = path.stat().st_size
    named = _NAME.search(path.name) is not None or _description(path) is not None
    return named and size > 0 and size % FRAME_BYTES == 0


def read(path: Path) -> Recorded:
    """Return the frames of an EMPAD scan.

    Args:
        path: the .raw, or its .xml.

    Raises:
        DataError: If the raster and the frames do not fit.
    """
    data = _data_file(path) if path.suffix.lower() == ".xml" else path
    n, rest = divmod(data.stat().st_size, FRAME_BYTES)
    if rest or not n:
        raise DataError(
            f"{data}: {data.stat().st_size} bytes; expected a multiple of {FRAME_BYTES}, frames of "
            "130 x 128 float32"
        )
    raster, stated = _raster(data)
    if raster is not None and raster[0] * raster[1] != n:
        raise DataError(
            f"{data}: {n} frames for a raster of {raster[0]} rows x {raster[1]} columns "
            f"({stated}); expected their product"
        )
    return Recorded(
        source="EMPAD",
        frames=records(data, Layout(frame=(130, 128), dtype="<f4"), n, _without_metadata),
        raster=raster,
        notes=(
            f"raster by {stated}" if raster else "no raster in an .xml or in the name",
            "EMPAD values are analogue units with an offset: set --gain and --pedestal for counts",
        ),
    )


def _without_metadata(stored: Shaped[np.ndarray, "n h w"]) -> Shaped[np.ndarray, "n row col"]:
    return stored[:, :128]


def _description(path: Path) -> Path | None:
    """Return the .xml of a .raw: of the same name, or one that names it."""
    same = path.with_suffix(".xml")
    if same.is_file():
        return same
    for other in sorted(path.parent.glob("*.xml"))[:20]:
        if f'"{path.name}"' in other.read_text("utf-8", "replace"):
            return other
    return None


def _data_file(path: Path) -> Path:
    """Return the .raw that an .xml describes."""
    named = next(
        (node.get("filename") for node in _tree(path).iter("raw_file") if node.get("filename")),
        None,
    )
    for each in ([path.parent / Path(named).name] if named else []) + [path.with_suffix(".raw")]:
        if each.is_file():
            return each
    raise DataError(f"{path}: description without frames; expected {named or 'a .raw'} next to it")


def _tree(path: Path) -> ET.Element:
    try:
        return ET.fromstring(path.read_text("utf-8", "replace"))
    except (ET.ParseError, OSError) as problem:
        raise DataError(f"{path}: {problem}; expected the XML description of EMPAD") from None


def _raster(path: Path) -> tuple[tuple[int, int] | None, str]:
    """Return (rows, columns) of the scan and where they were found."""
    xml = _description(path)
    if xml is not None:
        tree = _tree(xml)
        acquired = [node for node in tree.iter() if node.get("mode") == "acquire"]
        for place in (*acquired, tree):
            for x, y in _TAGS:
                columns, rows = (_whole(place.find(f".//{tag}")) for tag in (x, y))
                if columns and rows:
                    return (rows, columns), f"{x} and {y} of {xml.name}"
    found = _NAME.search(path.name)
    return ((int(found.group(2)), int(found.group(1))), "the name") if found else (None, "")


def _whole(node: ET.Element | None) -> int:
    text = "" if node is None else (node.text or "").strip()
    return int(text) if text.isdigit() else 0
