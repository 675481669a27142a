"""The historic dictionary of grouped frames that scripts of users read.

Data flow: file -> RawData -> groups -> [grouped arrays].
Knows arrays only. Training and inference read frames batch by batch instead (`scan.dataset`); here
all frames of the groups are in memory at once.
"""

from typing import Any

import numpy as np
from jaxtyping import Complex64, Float, Float32, Int, Shaped

from ptycho.errors import DataError


def grouped_arrays(
    amplitude: Float32[np.ndarray, "pattern row col"],
    groups: Int[np.ndarray, "group member"],
    *,
    coords: Float[np.ndarray, "position 2"],
    coords_start: Float[np.ndarray, "position 2"],
) -> dict[str, Any]:
    """Return frames and coordinates of groups in the historic layout, member last.

    Args:
        amplitude: Frames of all members, group after group.
        groups: Frame numbers.
        coords: (x, y) of every position, pixels.
        coords_start: The same before correction.

    Returns:
        `diffraction` (G, N, N, C) amplitude; `X_full` the same, scaled so that the mean energy of
        a frame is (N/2)^2; `coords_offsets` (G, 1, 2, 1) mean of the members; `coords_relative`
        (G, 1, 2, C) = -(coords - mean); `coords_nn` (G, 1, 2, C); the same three for
        `coords_start`; `nn_indices` (G, C).

    Raises:
        DataError: If all these frames are empty.
    """
    size = amplitude.shape[-1]
    diffraction = np.moveaxis(amplitude.reshape(*groups.shape, size, size), 1, -1)
    energy = np.square(amplitude, dtype=np.float64).sum(axis=(1, 2)).mean()
    if not energy > 0:
        raise DataError("frames: all selected ones are empty; expected photons in at least one")
    arrays = {
        "diffraction": diffraction,
        "X_full": diffraction * np.float32(size / 2 / np.sqrt(energy)),
        "nn_indices": groups,
    }
    for name, values in (("coords", coords), ("coords_start", coords_start)):
        members = np.moveaxis(values[groups], 1, -1)[:, None]
        offsets = members.mean(axis=-1, keepdims=True)
        arrays |= {
            f"{name}_offsets": offsets,
            f"{name}_relative": -(members - offsets),
            f"{name}_nn": members,
        }
    return arrays


def true_windows(
    groups: Int[np.ndarray, "group member"],
    positions: Float[np.ndarray, "position 2"],
    size: int,
    *,
    obj: Complex64[np.ndarray, "height width"] | None,
    patches: Shaped[np.ndarray, "position row col"] | None,
) -> Shaped[np.ndarray, "group row col member"] | None:
    """Return the true object windows of groups, cut from the object or else taken from the patches.

    Args:
        groups: Frame numbers.
        positions: Window centres as (row, col), pixels of `obj`.
        size: Rows and columns of a window.
        obj: Complex transmission, if known.
        patches: True window of each frame, if known.

    Returns:
        The windows, member last; None if neither is known.
    """
    if obj is not None:
        windows = cut_windows(obj, positions[groups.ravel()], size)
    elif patches is not None:
        windows = np.asarray(patches[groups.ravel()])
    else:
        return None
    return np.moveaxis(windows.reshape(*groups.shape, *windows.shape[1:]), 1, -1)


def cut_windows(
    obj: Complex64[np.ndarray, "height width"],
    positions: Float[np.ndarray, "position 2"],
    size: int,
) -> Complex64[np.ndarray, "position row col"]:
    """Return the window of the object at every position, zero outside the object.

    The window at p starts at floor(p + 0.5) - size // 2 in rows and columns; the probe carries the
    sub-pixel remainder.

    Args:
        obj: Complex transmission.
        positions: Window centres as (row, col), pixels of `obj`.
        size: Rows and columns of a window.
    """
    windows = np.zeros((len(positions), size, size), np.complex64)
    corners = np.floor(positions + 0.5).astype(np.int64) - size // 2
    for window, corner in zip(windows, corners, strict=True):
        low = np.clip(corner, 0, obj.shape)
        high = np.clip(corner + size, 0, obj.shape)
        (r0, c0), (r1, c1) = low - corner, high - corner
        window[r0:r1, c0:c1] = obj[low[0] : high[0], low[1] : high[1]]
    return windows
