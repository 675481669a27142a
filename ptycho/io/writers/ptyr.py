"""Object, probe and positions in the layout in which ptypy saves a reconstruction (.ptyr).

Data flow: Content -> [.ptyr file].
Layout: `content/obj/<id>` and `content/probe/<id>` with `data` (layer, H, W), `_psize` (row, col)
in metres, `_origin` (row, col) of the first pixel in metres and `_energy` in keV;
`content/positions/<id>` (M, 2) as (row, col) in metres about the centre n // 2 of the object.
Attributes `type` are those by which ptypy restores Python values; nothing is pickled.
"""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Complex

from ptycho.io.writers.content import Content, Writer

_ID = "SscanMFG00"


def write(content: Content, path: Path) -> None:
    """Write a reconstruction, or what a scan holds of one; see the module for the layout."""
    pixel = content.pixel_size_m
    assert pixel is not None
    about = content.positions if content.obj is None else content.positions_about(lambda n: n // 2)
    with h5py.File(path, "w-") as file:
        file.attrs["h5rw_version"] = "0.1"
        _put(file, "header/description", "Ptypy .h5 compatible storage format")
        _put(file, "header/kind", "minimal")
        _put_storage(file, "probe", content.probe, content)
        if content.obj is not None:
            _put_storage(file, "obj", content.obj[None], content)
        _put(file, f"content/positions/{_ID}", about * pixel)
        for name in ("header", "content", *(f"content/{each}" for each in file["content"])):
            file[name].attrs["type"] = "dict"


def _put_storage(
    file: h5py.File, kind: str, data: Complex[np.ndarray, "layer row col"], content: Content
) -> None:
    assert content.pixel_size_m is not None
    place, pixel = f"content/{kind}/{_ID}", content.pixel_size_m
    energy = content.energy_ev
    _put(file, f"{place}/ID", _ID)
    _put(file, f"{place}/data", data)
    _put(file, f"{place}/shape", np.array(data.shape))
    _put(file, f"{place}/_psize", np.array([pixel, pixel]))
    _put(file, f"{place}/_origin", -pixel * (np.array(data.shape[1:]) // 2))
    if energy is not None:
        _put(file, f"{place}/_energy", energy / 1e3)
    file[place].attrs["type"] = "dict"


def _put(file: h5py.File, name: str, value: Any) -> None:
    kind = {str: "string", float: "scalar"}.get(type(value), "array")
    data = np.bytes_(value.encode()) if isinstance(value, str) else value
    file.create_dataset(name, data=data).attrs["type"] = kind


PTYR = Writer(
    endings=(".ptyr",),
    holds=frozenset({"positions", "probe", "object", "pixel size", "wavelength"}),
    needs=frozenset({"pixel size"}),
    write=write,
)
