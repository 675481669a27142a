"""The experiment carried out: every frame of a scan, from the forward model that training uses.

Way of the data: objects + probes + scans -> [simulate] -> RawData -> groups -> ...
Knows arrays and a random generator; which object, probe and path they are was decided before.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Complex, Complex64, Float

from ptycho.errors import DataError
from ptycho.physics.forward import detector_intensity, exit_waves
from ptycho.physics.patches import cut_patches, window_corners
from ptycho.physics.probe import shift_probe
from ptycho.progress import Track, untracked
from ptycho.scan.raw_data import RawData
from ptycho.simulation.noise import count_photons


def simulate_scan(
    obj: Complex64[np.ndarray, "height width"],
    probe: Complex64[np.ndarray, "mode row col"],
    positions: Float[np.ndarray, "position 2"],
    *,
    rng: np.random.Generator | None,
    background: float = 0.0,
    metadata: dict[str, Any] | None = None,
    track: Track = untracked,
) -> RawData:
    """Scan an object with a probe and count the photons of every frame.

    Args:
        obj: complex transmission; 1 is empty space.
        probe: modes in sqrt(photons) per object pixel: the dose is sum |probe|^2 per frame.
        positions: probe centres as (row, col), pixels of `obj`.
        rng: of the counts; None leaves out the shot noise and gives expected intensities.
        background: further expected photons per detector pixel.
        metadata: settings to keep with the scan, plain numbers and words.
        track: wraps the batches of frames, given their number, to show progress.

    Returns:
        The scan with `obj` as its truth; frames are "counts" with noise, "intensity" without.

    Raises:
        DataError: If a window leaves the object.
    """
    size = probe.shape[-1]
    frames = np.empty((len(positions), size, size), np.float32 if rng is None else np.uint16)
    first = 0
    for expected in expected_frames(obj, probe, positions, track=track):
        if rng is None:
            batch = expected + np.float32(background)
        else:
            batch = count_photons(expected, background=background, rng=rng)
            if batch.dtype.itemsize > frames.dtype.itemsize:
                frames = frames.astype(batch.dtype)
        frames[first : first + len(batch)] = batch
        first += len(batch)
    return RawData(
        frames=frames,
        measurement="intensity" if rng is None else "counts",
        xcoords=positions[:, 1],
        ycoords=positions[:, 0],
        probe=probe,
        obj=obj,
        metadata=metadata or {},
    )


def expected_frames(
    obj: Complex[np.ndarray, "height width"],
    probe: Complex[np.ndarray, "mode row col"],
    positions: Float[np.ndarray, "position 2"],
    *,
    batch_size: int | None = None,
    track: Track = untracked,
) -> Iterator[Float[np.ndarray, "frame row col"]]:
    """Yield the expected photons per detector pixel of all frames, some at a time.

        I = sum_modes | F [ P(r - fraction) O(r + corner) ] |^2

    Args:
        obj: complex transmission.
        probe: modes in sqrt(photons) per object pixel.
        positions: probe centres as (row, col), pixels of `obj`.
        batch_size: frames computed at a time; None bounds the memory to about 100 MB.
        track: wraps the numbers of the first frames of the batches, given how many there are.

    Raises:
        DataError: If a window leaves the object.
    """
    size = probe.shape[-1]
    corners, fractions = window_corners(torch.from_numpy(np.ascontiguousarray(positions)), size)
    _check_windows(corners, size, obj.shape)
    sample, modes = torch.from_numpy(obj), torch.from_numpy(probe)
    batch_size = batch_size or max(1, 2**20 // probe.size)
    firsts = range(0, len(positions), batch_size)
    for first in track(firsts, len(firsts)):
        chosen = slice(first, first + batch_size)
        patches = cut_patches(sample, corners[chosen], size)
        waves = exit_waves(patches, shift_probe(modes, fractions[chosen]))
        yield detector_intensity(waves).numpy()


def _check_windows(corners: torch.Tensor, size: int, shape: tuple[int, ...]) -> None:
    outside = (corners < 0) | (corners + size > torch.tensor(shape))
    outside = outside.any(dim=1)
    if outside.any():
        which = int(outside.nonzero()[0])
        row, col = corners[which].tolist()
        raise DataError(
            f"positions: {int(outside.sum())} of {len(corners)} windows leave the object, frame "
            f"{which} first (rows {row} to {row + size}, columns {col} to {col + size}); expected "
            f"inside {shape[0]} x {shape[1]}"
        )
