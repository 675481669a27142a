"""The fields of a scan, by the names and in the units of RawData.

Data flow: file -> Recorded -> [fields] -> RawData -> groups -> batches -> ... -> report.
Whether the fields form a valid scan is checked by RawData, for all formats alike.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NotRequired, Protocol, TypedDict, runtime_checkable

import numpy as np
from jaxtyping import Int, Shaped

from ptycho.errors import DataError

_BLOCK_BYTES = 2**25


@runtime_checkable
class FrameStack(Protocol):
    """Frames (M, N, N) that may stay in their file: an array, a memory map or `LazyFrames`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(M, N, N)."""

    @property
    def ndim(self) -> int:
        """3."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a stored value."""

    def __len__(self) -> int:
        """M."""

    def __getitem__(self, indices: Any, /) -> Any:
        """Return some frames as an array; indices as NumPy takes them."""


class ScanFields(TypedDict):
    """The fields of a scan; zero frequency at N//2, positions in object pixels.

    Units and meaning of each field are those of `RawData`.
    """

    frames: FrameStack
    measurement: str
    xcoords: np.ndarray
    ycoords: np.ndarray
    probe: np.ndarray
    probe_known: NotRequired[bool]
    xcoords_start: NotRequired[np.ndarray | None]
    ycoords_start: NotRequired[np.ndarray | None]
    obj: NotRequired[np.ndarray | None]
    patches: NotRequired[np.ndarray | None]
    mask: NotRequired[np.ndarray | None]
    background: NotRequired[np.ndarray | float | None]
    scan_index: NotRequired[np.ndarray | None]
    pixel_size_m: NotRequired[float | None]
    metadata: NotRequired[dict[str, Any]]
    experiment: NotRequired[str | None]
    path: NotRequired[Path | None]
    joined: NotRequired[tuple[Path, ...]]
    skipped: NotRequired[tuple[int, ...]]


class LazyFrames:
    """Frames that are read when they are indexed, and look like an array until then.

    Args:
        shape: (M, N, N).
        dtype: Type of a stored value.
        read: Called with ascending frame numbers, none twice; returns these frames (n, N, N).
    """

    ndim = 3

    def __init__(
        self,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any] | str,
        read: Callable[[Int[np.ndarray, " n"]], Shaped[np.ndarray, "n row col"]],
    ):
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self._read = read

    def __len__(self) -> int:
        """Return M."""
        return self.shape[0]

    def __getitem__(self, indices: Any) -> Shaped[np.ndarray, "..."]:
        """Return frames, or windows of frames, for any index that NumPy accepts."""
        which, window = (indices[0], indices[1:]) if isinstance(indices, tuple) else (indices, ())
        numbers = np.arange(len(self))[which]
        ascending, places = np.unique(numbers, return_inverse=True)
        frames = self._read(ascending)
        if not np.array_equal(numbers, ascending):
            frames = frames[places.reshape(np.shape(numbers))]
        return np.asarray(frames[(slice(None),) * np.ndim(numbers) + window])

    def __array__(
        self, dtype: np.dtype[Any] | None = None, copy: bool | None = None
    ) -> Shaped[np.ndarray, "frame row col"]:
        """Return all frames."""
        return self[:].astype(dtype or self.dtype, copy=False)


def blocks(frames: FrameStack) -> Iterator[Shaped[np.ndarray, "n row col"]]:
    """Yield all frames in order, some at a time, of a stack that may not fit into memory."""
    frame_bytes = int(np.prod(frames.shape[1:])) * frames.dtype.itemsize
    step = max(1, _BLOCK_BYTES // max(frame_bytes, 1))
    for first in range(0, len(frames), step):
        yield np.asarray(frames[first : first + step])


def check_frames(where: str, frames: FrameStack) -> None:
    """Raise DataError unless the frames are a stack (M, N, N) of real numbers."""
    if frames.ndim != 3 or frames.shape[1] != frames.shape[2] or 0 in frames.shape:
        raise DataError(
            f"{where}: diffraction frames of shape {frames.shape}; expected (frames, N, N), "
            "square and at least one"
        )
    if frames.dtype.kind not in "iufb":
        raise DataError(
            f"{where}: diffraction frames of type {frames.dtype}; expected real numbers"
        )
