"""Windows of the object: their places, and how they are cut out and added up.

Data flow: batches -> network + [physics] -> trained model -> patches -> object.
Knows integer windows only. The object grid is never interpolated: the sub-pixel part of a
position is carried by the probe (`probe.shift_probe`), which is exact because the probe is compact,
and which makes cutting and placing an exact adjoint pair. Simulation, training and stitching all
use this one pair.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor


class Canvas(NamedTuple):
    """A grid that contains every window of a set of positions."""

    origin: tuple[int, int]
    """(row, col) of canvas pixel (0, 0) in scan coordinates, object pixels."""

    shape: tuple[int, int]
    """(row, col) size of the canvas in object pixels."""

    def widened(self, margin: int) -> "Canvas":
        """Return a canvas with a margin on all sides.

        Args:
            margin: object pixels.
        """
        (row, col), (height, width) = self
        return Canvas((row - margin, col - margin), (height + 2 * margin, width + 2 * margin))


def window_corners(
    positions: Float[Tensor, "*position 2"], size: int
) -> tuple[Int[Tensor, "*position 2"], Float[Tensor, "*position 2"]]:
    """Split positions into the first pixel of their window and a sub-pixel rest.

    Args:
        positions: probe centres as (row, col), object pixels.
        size: side of the window; pixel size//2 of the window is its centre.

    Returns:
        Corners floor(p + 1/2) - size//2, and rests p - floor(p + 1/2) in [-0.5, 0.5).
    """
    nearest = torch.floor(positions + 0.5)
    return nearest.to(torch.int64) - size // 2, (positions - nearest).to(torch.float32)


def canvas_of(positions: Float[Tensor, "position 2"], size: int) -> Canvas:
    """Return the smallest canvas that holds the windows of all positions.

    Args:
        positions: probe centres as (row, col), object pixels.
        size: side of the windows.

    Returns:
        Its origin in scan coordinates and its shape; corner - origin is a corner on the canvas.
    """
    corners, _ = window_corners(positions, size)
    first, last = corners.amin(dim=0), corners.amax(dim=0)
    height, width = (last - first + size).tolist()
    return Canvas(origin=(int(first[0]), int(first[1])), shape=(height, width))


def _flat_indices(
    corners: Int[Tensor, "*batch position 2"], size: int, width: int
) -> Int[Tensor, "*batch pixel"]:
    """Return the canvas pixel, row-major, that each window pixel falls on."""
    step = torch.arange(size, device=corners.device)
    window = step[:, None] * width + step
    first = corners[..., 0] * width + corners[..., 1]
    return (first[..., None, None] + window).flatten(start_dim=-3)


def check_inside(corners: Tensor, size: int, shape: tuple[int, int]) -> None:
    """Refuse windows that leave the canvas; a flat index would wrap into the next row.

    Only on the CPU: elsewhere the comparison would make the host wait for the device.
    """
    if corners.numel() == 0 or corners.device.type != "cpu":
        return
    first = corners.flatten(0, -2).amin(dim=0).tolist()
    last = corners.flatten(0, -2).amax(dim=0).tolist()
    if min(first) < 0 or last[0] + size > shape[0] or last[1] + size > shape[1]:
        raise ValueError(
            f"corners: windows of {size} from {tuple(first)} to {tuple(last)}; "
            f"expected inside a canvas of {tuple(shape)}"
        )


def cut_patches(
    obj: Shaped[Tensor, "*batch height width"],
    corners: Int[Tensor, "*batch position 2"],
    size: int,
) -> Shaped[Tensor, "*batch position size size"]:
    """Cut one window out of the object at every corner.

    Args:
        obj: the object, or one canvas per group of the batch; real or complex.
        corners: first (row, col) of each window on the canvas.
        size: side of the window.

    Returns:
        The windows, same dtype as obj.

    Raises:
        ValueError: If a window leaves the canvas; checked on the CPU.
    """
    height, width = obj.shape[-2:]
    check_inside(corners, size, (height, width))
    flat = obj.flatten(start_dim=-2)
    picked = torch.gather(flat, -1, _flat_indices(corners, size, width))
    return picked.unflatten(-1, (corners.shape[-2], size, size))


def place_patches(
    patches: Shaped[Tensor, "*batch position size size"],
    corners: Int[Tensor, "*batch position 2"],
    shape: tuple[int, int],
) -> Shaped[Tensor, "*batch height width"]:
    """Add windows up on a canvas: the adjoint of `cut_patches`.

    Args:
        patches: the windows; real or complex.
        corners: first (row, col) of each window on the canvas.
        shape: (row, col) size of the canvas.

    Returns:
        The sum of all windows, zero where none lies.

    Raises:
        ValueError: If a window leaves the canvas; checked on the CPU.
    """
    size = patches.shape[-1]
    check_inside(corners, size, shape)
    canvas = patches.new_zeros((*patches.shape[:-3], shape[0] * shape[1]))
    canvas = canvas.scatter_add(
        -1, _flat_indices(corners, size, shape[1]), patches.flatten(start_dim=-3)
    )
    return canvas.unflatten(-1, shape)
