"""Simulated frames of a scan, from the forward model that training uses.

Data flow: objects + probes + scans -> [simulate] -> RawData -> groups -> ...
Knows arrays and a random generator; object, probe and path are chosen elsewhere.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Complex, Complex64, Float

from ptycho.errors import DataError
from ptycho.experiment import Experiment
from ptycho.physics.forward import forward_model
from ptycho.physics.patches import cut_patches, window_corners
from ptycho.physics.probe import shift_probe
from ptycho.progress import Track, untracked
from ptycho.scan.raw_data import RawData
from ptycho.simulation.noise import count_photons

_FAR_FIELD = Experiment()


def simulate_scan(
    obj: Complex64[np.ndarray, "height width"],
    probe: Complex64[np.ndarray, "mode row col"],
    positions: Float[np.ndarray, "position 2"],
    *,
    rng: np.random.Generator | None,
    background: float = 0.0,
    experiment: Experiment = _FAR_FIELD,
    metadata: dict[str, Any] | None = None,
    track: Track = untracked,
) -> RawData:
    """Scan an object with a probe and count the photons of every frame.

    Args:
        obj: complex transmission; 1 is empty space.
        probe: modes in sqrt(photons) per object pixel: the dose is sum |probe|^2 per frame.
        positions: probe centres as (row, col), pixels of `obj`.
        rng: of the counts; None gives expected intensities without shot noise.
        background: further expected photons per detector pixel.
        experiment: the physics between object and frames; kept with the scan.
        metadata: settings to keep with the scan, plain numbers and words.
        track: wraps the batches of frames, given their number, to show progress.

    Returns:
        The scan with `obj` as its truth; frames are "counts" with noise, "intensity" without.

    Raises:
        DataError: If a window leaves the object.
        ConfigError: If the experiment does not suit the frames.
    """
    size = probe.shape[-1]
    frames = np.empty((len(positions), size, size), np.float32 if rng is None else np.uint16)
    first = 0
    for expected in expected_frames(obj, probe, positions, experiment=experiment, track=track):
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
        experiment=experiment,
        metadata=metadata or {},
    )


def expected_frames(
    obj: Complex[np.ndarray, "height width"],
    probe: Complex[np.ndarray, "mode row col"],
    positions: Float[np.ndarray, "position 2"],
    *,
    experiment: Experiment = _FAR_FIELD,
    batch_size: int | None = None,
    track: Track = untracked,
) -> Iterator[Float[np.ndarray, "frame row col"]]:
    """Yield the expected photons per detector pixel of all frames, some at a time.

        I = sum_modes | F [ P(r - fraction) O(r + corner) ] |^2

    Args:
        obj: complex transmission.
        probe: modes in sqrt(photons) per object pixel.
        positions: probe centres as (row, col), pixels of `obj`.
        experiment: the physics between object and frames.
        batch_size: frames computed at a time; None bounds the memory to about 100 MB.
        track: wraps the numbers of the first frames of the batches, given how many there are.

    Raises:
        DataError: If a window leaves the object.
    """
    size = probe.shape[-1]
    corners, fractions = window_corners(torch.from_numpy(np.ascontiguousarray(positions)), size)
    _check_windows(corners, size, obj.shape)
    sample, modes = torch.from_numpy(obj), torch.from_numpy(probe)
    model = forward_model(experiment, size)
    batch_size = batch_size or max(1, 2**20 // probe.size)
    firsts = range(0, len(positions), batch_size)
    for first in track(firsts, len(firsts)):
        chosen = slice(first, first + batch_size)
        patches = cut_patches(sample, corners[chosen], size)
        yield model.intensity(patches, shift_probe(modes, fractions[chosen])).numpy()


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
