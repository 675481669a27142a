"""Checks of the parts of a scan, with one line for each fault.

Data flow: file -> [RawData] -> groups -> batches -> ... -> report.
Knows arrays only. Each check returns its array in the type that RawData keeps.
"""

from typing import Any

import numpy as np
from jaxtyping import Bool, Complex64, Float, Float32, Float64, Int, Int64, Shaped
from scipy.ndimage import maximum_filter, median_filter, minimum_filter

from ptycho.errors import DataError
from ptycho.io.measurement import MEASUREMENTS

_FEWEST_FRAMES = 8  # below, chance alone makes pixels look suspicious


def check_measurement(where: str, measurement: str) -> None:
    """Raise DataError unless the tag is one of `MEASUREMENTS`."""
    if measurement not in MEASUREMENTS:
        raise DataError(
            f"{where}: measurement = {measurement!r}; expected one of {', '.join(MEASUREMENTS)}"
        )


def check_pixel_size(where: str, size: float | None) -> None:
    """Raise DataError unless an object pixel is unknown or has a length."""
    if size is not None and not 0 < size < np.inf:
        raise DataError(
            f"{where}: pixel_size_m = {size:g}; expected metres above 0; set it with "
            "--object_pixel_nm"
        )


def check_values(
    where: str,
    frames: Shaped[np.ndarray, "n row col"],
    indices: Int[np.ndarray, " n"],
    mask: Bool[np.ndarray, "row col"] | None = None,
) -> None:
    """Raise DataError for the first frame with a negative or non-finite value on a valid pixel.

    Args:
        where: the scan, for the error.
        frames: some of its frames.
        indices: their numbers.
        mask: True on valid pixels; None if all are.
    """
    if frames.dtype.kind in "ub" or not frames.size:
        return
    values = frames.reshape(len(frames), -1) if mask is None else frames[:, mask]
    low, high = values.min(), values.max()
    if low >= 0 and high < np.inf:
        return
    bad = ~((values >= 0) & (values < np.inf))
    first = int(np.flatnonzero(bad.any(axis=1))[0])
    raise DataError(
        f"{where}: frame {int(indices[first])} holds {values[first][bad[first]][0]} in "
        f"{int(bad[first].sum())} of {bad[first].size} pixels; expected finite values of 0 or "
        "above; exclude the frame (--skip_frames), or the pixels by a mask (--mask FILE, True on "
        "valid ones), or set negative values to 0 (--pedestal 0)"
    )


def checked_mask(where: str, mask: Any, size: int) -> Bool[np.ndarray, "row col"] | None:
    """Return the valid pixels; None if all are."""
    if mask is None:
        return None
    mask = np.asarray(mask)
    if mask.shape != (size, size):
        raise DataError(
            f"{where}: mask of shape {mask.shape}; expected ({size}, {size}), the size of the "
            "frames"
        )
    if mask.dtype.kind not in "biuf" or not np.isin(mask, (0, 1)).all():
        raise DataError(f"{where}: mask of type {mask.dtype}; expected True or False, 1 or 0")
    if not mask.any():
        raise DataError(f"{where}: mask without a valid pixel; expected True on valid ones")
    return None if mask.all() else np.array(mask, bool)


def checked_background(
    where: str, background: Any, size: int
) -> Float32[np.ndarray, "row col"] | None:
    """Return the background of each pixel; None if there is none."""
    if background is None:
        return None
    values = np.asarray(background)
    if values.size != 1 and values.shape != (size, size):
        raise DataError(
            f"{where}: background of shape {values.shape}; expected one number or ({size}, {size}),"
            " the size of the frames"
        )
    if values.dtype.kind not in "iufb" or not ((values >= 0) & (values < np.inf)).all():
        raise DataError(
            f"{where}: background of type {values.dtype}, {str(values)[:40]!r}; expected finite "
            "photons of 0 or above"
        )
    if not values.any():
        return None
    shape = (size, size)
    return np.array(np.broadcast_to(values.reshape(-1) if values.size == 1 else values, shape),
                    np.float32)  # fmt: skip


def checked_coordinates(
    where: str, name: str, values: Any, n_frames: int
) -> Float64[np.ndarray, " frame"]:
    """Return one finite coordinate per frame."""
    values = np.asarray(values)
    if values.shape != (n_frames,):
        found = f"{len(values)} positions" if values.ndim == 1 else f"shape {values.shape}"
        raise DataError(
            f"{where}: {name} holds {found} for {n_frames} diffraction frames; "
            "expected one position per frame"
        )
    if values.dtype.kind not in "iufb":
        raise DataError(f"{where}: {name} of type {values.dtype}; expected real numbers")
    values = np.array(values, np.float64)  # a copy: never a read-only map of the file
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise DataError(
            f"{where}: {name} holds {bad.size} values of {values.size} that are NaN or infinite, "
            f"the first at index {bad[0]}; expected finite pixels; exclude these frames"
        )
    return values


def checked_scan_index(where: str, values: Any, n_frames: int) -> Int64[np.ndarray, " frame"]:
    """Return one whole scan number per frame; 0 for all if absent."""
    if values is None:
        return np.zeros(n_frames, np.int64)
    values = np.asarray(values)
    if values.shape != (n_frames,):
        raise DataError(
            f"{where}: scan_index has shape {values.shape} for {n_frames} diffraction frames; "
            "expected one number per frame"
        )
    if values.dtype.kind not in "iufb" or not np.array_equal(values, np.floor(values)):
        raise DataError(f"{where}: scan_index of type {values.dtype}; expected whole numbers")
    return values.astype(np.int64)


def checked_probe(where: str, probe: Any, size: int) -> Complex64[np.ndarray, "mode row col"]:
    """Return the probe as modes of the frames' size."""
    probe = np.asarray(probe)
    modes = probe[None] if probe.ndim == 2 else probe
    if modes.ndim != 3 or modes.shape[1:] != (size, size) or not len(modes):
        raise DataError(
            f"{where}: probe of shape {probe.shape}; expected ({size}, {size}) or "
            f"(modes, {size}, {size}), the size of the frames"
        )
    return _finite_complex(where, "probe", modes)


def checked_object(where: str, obj: Any) -> Complex64[np.ndarray, "height width"]:
    """Return the object as complex64; NaN stands for unknown pixels."""
    obj = np.asarray(obj)
    if obj.ndim != 2 or not obj.size:
        raise DataError(f"{where}: object of shape {obj.shape}; expected (rows, columns)")
    if obj.dtype.kind not in "iufc":
        raise DataError(f"{where}: object of type {obj.dtype}; expected complex numbers")
    return np.array(obj, np.complex64, order="C")  # a copy: never a read-only map of the file


def suspicious_pixels(
    intensity: Float[np.ndarray, "frame row col"], mask: Bool[np.ndarray, "row col"] | None
) -> Bool[np.ndarray, "row col"]:
    """Return pixels whose values do not agree with those of their neighbours: a hint, no mask.

    Dead: zero in all frames, amid and next to pixels of more than 50 photons in the sum. Hot: in
    every frame above ten times the largest value of all neighbours, or always the same value
    above 10.

    Args:
        intensity: photons per pixel of frames spread over the scan.
        mask: True on valid pixels, the only ones examined; None if all are.
    """
    if len(intensity) < _FEWEST_FRAMES:
        return np.zeros(intensity.shape[1:], bool)
    total, low, high = (f(intensity, axis=0) for f in (np.sum, np.min, np.max))
    around = np.ones((5, 5), bool)
    around[2, 2] = False
    next_to = np.ones((3, 3), bool)
    next_to[1, 1] = False
    dead = (
        (total == 0)
        & (median_filter(total, footprint=around, mode="nearest") > 50)
        & (minimum_filter(total, footprint=next_to, mode="nearest") > 50)
    )
    hot = low > 10 * maximum_filter(high, footprint=around, mode="nearest").clip(1)
    stuck = (low == high) & (low > 10)
    suspicious: np.ndarray = dead | hot | stuck
    return suspicious if mask is None else suspicious & mask


def _finite_complex(
    where: str, name: str, values: Shaped[np.ndarray, "..."]
) -> Complex64[np.ndarray, "..."]:
    if values.dtype.kind not in "iufc":
        raise DataError(f"{where}: {name} of type {values.dtype}; expected complex numbers")
    bad = int((~np.isfinite(values)).sum())
    if bad or not values.any():
        found = f"{bad} of {values.size} values NaN or infinite" if bad else "only zeros"
        raise DataError(f"{where}: {name} holds {found}; expected finite values, not all zero")
    return np.array(values, np.complex64, order="C")  # a copy: never a read-only map of the file
