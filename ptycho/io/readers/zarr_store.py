"""Zarr folders: an array of frames, a group with frames and positions, or HyperSpy's .zspy.

Data flow: [file] -> Recorded -> fields -> RawData -> ...

Layout: Zarr 2 or 3, by the `zarr` library. A group holds one array with 3 or 4 axes, or one called
frames, data, patterns or dp; `positions` (M, 2) as (row, col), in metres if none exceeds 0.01, else
in object pixels, unless its attribute `units` says otherwise; `mask` (True on valid pixels) or
`bad_pixels`; `probe`, `object`. Attributes of the group: `energy_eV`, `distance_m`,
`detector_pixel_m`, `object_pixel_m`.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ptycho.errors import DataError
from ptycho.experiment import Geometry, photon_wavelength
from ptycho.io.readers.hyperspy import described
from ptycho.io.readers.stacks import Axes, frames_of
from ptycho.io.recorded import Recorded
from ptycho.io.units import METRES, metres_per

_FRAMES = ("frames", "data", "patterns", "dp", "diffraction")
_LARGEST_M = 0.01  # larger values without a unit are no metres
_FAULTS = (OSError, ValueError, KeyError, TypeError, RuntimeError)


def read(path: Path) -> Recorded:
    """Return what a Zarr folder holds, its frames still in it.

    Raises:
        DataError: If `zarr` is missing, the folder is damaged, or holds no frames or positions.
    """
    try:
        import zarr
    except ImportError:
        raise DataError(
            f"{path}: Zarr folder, but zarr is not installed; expected: pip install 'ptycho[zarr]'"
        ) from None
    try:
        root = zarr.open(str(path), mode="r")
        if isinstance(root, zarr.Array):
            return Recorded(source="Zarr", **_stack(path, "", root))
        found = dict(_arrays(root))
        signal = next((n for n in sorted(found) if _is_signal(n, found[n])), None)
        if signal is not None:
            return _hyperspy(path, root, signal, found[signal])
        return _group(path, dict(root.attrs), found)
    except _FAULTS as problem:
        text = " ".join(str(problem).split())[:200]
        raise DataError(f"{path}: {text}; expected a complete Zarr folder") from None


class _Opened:
    """Opens one array of a folder."""

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name

    def __call__(self) -> Any:
        """Return the array."""
        import zarr

        root: Any = zarr.open(str(self._path), mode="r")
        return root[self._name] if self._name else root


def _arrays(group: Any, place: str = "") -> list[tuple[str, Any]]:
    """Return the arrays of a group and the groups in it."""
    found = [(f"{place}{name}", array) for name, array in group.arrays()]
    for name, inner in group.groups():
        found += _arrays(inner, f"{place}{name}/")
    return found


def _is_signal(name: str, array: Any) -> bool:
    """Return whether an array is a signal of HyperSpy."""
    parts = name.split("/")
    return len(parts) == 3 and parts[0] == "Experiments" and parts[2] == "data" and array.ndim > 2


def _stack(path: Path, name: str, array: Any) -> dict[str, Any]:
    """Return frames and raster, as arguments of Recorded."""
    where = f"{path}: {name}" if name else str(path)
    if array.ndim not in (3, 4):
        raise DataError(
            f"{where}: array of shape {array.shape}; expected (frames, rows, columns) or a raster "
            "of frames with 4 axes"
        )
    axes = Axes.leading(array.ndim)
    return {
        "frames": frames_of(where, array, axes, _Opened(path, name)),
        "frames_entry": name or "frames",
        "raster": axes.raster(array.shape),
    }


def _hyperspy(path: Path, root: Any, name: str, array: Any) -> Recorded:
    group = name.removesuffix("/data")
    axes = [_attributes(root, f"{group}/axis-{i}") for i in range(array.ndim)]
    beam = _attributes(root, f"{group}/metadata/Acquisition_instrument/TEM")
    return described(path, name, array, _Opened(path, name), axes, beam)


def _attributes(root: Any, name: str) -> dict[str, Any]:
    return dict(root[name].attrs) if name in root else {}


def _group(path: Path, attributes: dict[str, Any], found: dict[str, Any]) -> Recorded:
    stacks = [
        name
        for name, array in found.items()
        if array.ndim in (3, 4) and np.dtype(array.dtype).kind in "iuf" and name != "probe"
    ]
    named = [name for name in _FRAMES if name in stacks] or sorted(stacks)
    if len(named) > 1 and named[0] not in _FRAMES:
        raise DataError(
            f"{path}: {', '.join(named)[:120]} may all be frames; expected one array with 3 or 4 "
            "axes, or one called frames"
        )
    positions, unit = _positions(path, found)
    if not named and positions is None:
        raise DataError(
            f"{path}: arrays {', '.join(sorted(found))[:120] or 'none'}; expected frames with 3 or "
            "4 axes, or positions (frames, 2)"
        )
    stack = _stack(path, named[0], found[named[0]]) if named else {}
    bad = found.get("bad_pixels")
    valid = np.asarray(found["mask"][:]) != 0 if "mask" in found else None
    probe = np.asarray(found["probe"][:]) if "probe" in found else None
    return Recorded(
        source="Zarr",
        **stack,
        positions=positions,
        positions_unit=unit,
        mask=valid if bad is None else np.asarray(bad[:]) == 0,
        probe=None if probe is None else probe.reshape(-1, *probe.shape[-2:]),
        obj=np.asarray(found["object"][:]) if "object" in found else None,
        geometry=_geometry(attributes),
        object_pixel_m=_number(attributes, "object_pixel_m"),
        notes=() if positions is None else (f"positions as (row, col) in {unit}",),
    )


def _positions(path: Path, found: dict[str, Any]) -> tuple[np.ndarray | None, str]:
    """Return (row, col) and their unit."""
    if "positions" not in found:
        return None, "m"
    array = found["positions"]
    if array.ndim != 2 or array.shape[1] != 2:
        raise DataError(f"{path}: positions of shape {array.shape}; expected (frames, 2)")
    values = np.asarray(array[:], np.float64)
    small = np.abs(values).max(initial=0) <= _LARGEST_M
    factor = metres_per(str(array.attrs.get("units", "m" if small else "px")))
    unit = next((name for name, length in METRES.items() if length == factor), "px")
    return values, unit


def _geometry(attributes: dict[str, Any]) -> Geometry:
    energy = _number(attributes, "energy_eV")
    return Geometry(
        wavelength_m=photon_wavelength(energy) if energy else _number(attributes, "wavelength_m"),
        distance_m=_number(attributes, "distance_m"),
        detector_pixel_m=_number(attributes, "detector_pixel_m"),
    )


def _number(attributes: dict[str, Any], name: str) -> float | None:
    value = attributes.get(name)
    return float(value) if isinstance(value, (int, float)) and value > 0 else None
