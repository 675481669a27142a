"""What may be wrong with a scan, and with what a file says of it.

Each spoiling changes a pair of scans: the one with everything known, and the one that a user has.
Effects of the experiment change the frames of both and are known to the first only. Spoilings of
one group exclude each other: together they could cancel.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ptycho.experiment import Experiment
from ptycho.io.orientation import oriented as turned_frames
from ptycho.io.orientation import placed, turned
from ptycho.io.start_probe import estimated_probe
from ptycho.scan.raw_data import RawData
from ptycho.simulation.probes import make_probe


class Pair(NamedTuple):
    """A scan with everything known, and the same as a user has it."""

    right: RawData
    spoiled: RawData
    refine: tuple[str, ...]
    """What cannot be given to the right scan, so that it is refined."""
    row: int | None
    """Frames in a line of the scan; None for a spiral."""
    width: float
    """Diameter of the probe, object pixels."""

    def told(self, **changed: object) -> "Pair":
        """Return the pair with other values in the spoiled scan."""
        return self._replace(spoiled=replace(self.spoiled, **changed))

    def at(self, positions: np.ndarray) -> "Pair":
        """Return the pair with other positions in the spoiled scan, about the same middle."""
        middle = self.spoiled.positions.mean(axis=0) - positions.mean(axis=0)
        rows, cols = (positions + middle).T
        return self.told(ycoords=rows, xcoords=cols, ycoords_start=None, xcoords_start=None)

    def counted(self, frames: np.ndarray, **known: object) -> "Pair":
        """Return the pair with other frames in both scans, and what is known of them."""
        return self._replace(right=replace(self.right, frames=frames, **known)).told(frames=frames)


Apply = Callable[[Pair, np.random.Generator], Pair]


class Spoiling(NamedTuple):
    """One thing that is wrong."""

    group: str
    apply: Apply


def _beam(pair: Pair, rng: np.random.Generator) -> Pair:
    """Let the beam vary by 5 %: every photon arrives by chance."""
    beam = 1 + 0.05 * rng.standard_normal(pair.right.n_frames)
    counts = rng.binomial(pair.right.frames, (beam / beam.max())[:, None, None])
    return pair.counted(counts.astype(np.uint32))._replace(refine=(*pair.refine, "intensity"))


def _blur(pair: Pair, rng: np.random.Generator) -> Pair:
    """Move every photon by chance, with a standard deviation of 1 pixel in each direction."""
    away = np.arange(-4, 5)
    chance = np.exp(-0.5 * away**2)
    chance /= chance.sum()
    counts = np.asarray(pair.right.frames).astype(np.int64)
    for axis in (-2, -1):
        left, moved, rest = counts, np.zeros_like(counts), 1.0
        for step, share in zip(away, chance, strict=True):
            going = rng.binomial(left, min(1.0, share / rest))
            moved += np.roll(going, step, axis)
            left, rest = left - going, rest - share
        counts = moved + left
    return pair.counted(counts.astype(np.uint32), experiment=Experiment(blur=1.0))


def _background(pair: Pair, rng: np.random.Generator) -> Pair:
    """Add 10 % of the photons, the same on every pixel."""
    mean = 0.1 * float(np.mean(pair.right.frames))
    counts = pair.right.frames + rng.poisson(mean, pair.right.frames.shape)
    return pair.counted(counts.astype(np.uint32), background=mean)


def _blank(pair: Pair, rng: np.random.Generator) -> Pair:
    """Lose the beam for 20 frames."""
    first = int(rng.integers(5, pair.right.n_frames - 25))
    frames = np.array(pair.right.frames)
    frames[first : first + 20] = 0
    kept = np.delete(np.arange(len(frames)), slice(first, first + 20))
    return pair._replace(right=pair.right.subset(kept)).told(frames=frames)


def _bright(pair: Pair, rng: np.random.Generator) -> Pair:
    frames = np.array(pair.spoiled.frames)
    frames[rng.choice(len(frames), 3, replace=False)] *= 8
    return pair.told(frames=frames)


def _hot(pair: Pair, rng: np.random.Generator) -> Pair:
    """Let five pixels read 20 times the brightest in six frames."""
    frames = np.array(pair.spoiled.frames)
    pixels = rng.choice(frames[0].size, 5, replace=False)
    which = rng.choice(len(frames), 6, replace=False)
    frames.reshape(len(frames), -1)[which[:, None], pixels] = 20 * frames.max()
    return pair.told(frames=frames)


def _gap(pair: Pair, rng: np.random.Generator) -> Pair:
    """Let three columns near the middle read 0."""
    size = pair.right.frame_size
    first = size // 2 + int(rng.choice([-1, 1]) * rng.integers(4, size // 6))
    mask = np.ones((size, size), bool)
    mask[:, first : first + 3] = False
    right = replace(pair.right, frames=pair.right.frames * mask, mask=mask)
    return pair._replace(right=right).told(frames=pair.spoiled.frames * mask)


def _pedestal(pair: Pair, rng: np.random.Generator) -> Pair:
    """Add the same number to every pixel, 30 % of the mean and at least 1."""
    level = max(1, round(0.3 * float(np.mean(pair.spoiled.frames))))
    return pair.told(frames=pair.spoiled.frames + np.uint32(level))


def _off_centre(pair: Pair, rng: np.random.Generator) -> Pair:
    by = rng.integers(1, 4, size=2) * rng.choice([-1, 1], size=2)
    return pair.told(frames=np.roll(pair.spoiled.frames, tuple(by), axis=(-2, -1)))


def _frames(*steps: str) -> Apply:
    def apply(pair: Pair, rng: np.random.Generator) -> Pair:
        return pair.told(frames=np.ascontiguousarray(turned_frames(pair.spoiled.frames, steps)))

    return apply


def _positions(*steps: str) -> Apply:
    return lambda pair, rng: pair.at(placed(pair.spoiled.positions, steps))


def _negate_one(pair: Pair, rng: np.random.Generator) -> Pair:
    axis = str(rng.choice(["negate_rows", "negate_cols"]))
    return pair.at(placed(pair.spoiled.positions, (axis,)))


def _snake(pair: Pair, rng: np.random.Generator) -> Pair:
    """Give every other line of a scan back and forth the positions of a raster."""
    if pair.row is None:
        return pair.at(placed(pair.spoiled.positions, ("snake",)))
    n_frames = pair.spoiled.n_frames
    lines = np.split(np.arange(n_frames), np.arange(pair.row, n_frames, pair.row))
    order = [line[::-1] if i % 2 else line for i, line in enumerate(lines)]
    return pair.at(pair.spoiled.positions[np.concatenate(order)])


def _rotated(degrees: float) -> Apply:
    return lambda pair, rng: pair.at(
        turned(pair.spoiled.positions, float(rng.choice([-1, 1])) * np.deg2rad(degrees))
    )


def _scaled(factor: float) -> Apply:
    return lambda pair, rng: pair.at(factor * pair.spoiled.positions)


def _shear(pair: Pair, rng: np.random.Generator) -> Pair:
    return pair.at(pair.spoiled.positions @ np.array([[1.0, 0.03 * rng.choice([-1, 1])], [0, 1]]))


def _drift(pair: Pair, rng: np.random.Generator) -> Pair:
    """Add a slow drift and jitter, together a third of the probe's width (RMS over both axes)."""
    time = np.linspace(-1, 1, pair.spoiled.n_frames)
    drift = np.stack([time, time**2, np.sin(np.pi * time)], axis=1) @ rng.standard_normal((3, 2))
    drift -= drift.mean(axis=0)
    jitter = rng.standard_normal(drift.shape)
    off = 0.9 * drift / _rms(drift) + 0.4 * jitter / _rms(jitter)
    return pair.at(pair.spoiled.positions + pair.width / 3 * off / _rms(off))


def _rms(off: np.ndarray) -> float:
    return float(np.sqrt((off**2).sum(axis=1).mean()))


def _off(pixels: float) -> Apply:
    """Return a spoiling of the positions by so many pixels RMS along each axis."""
    return lambda pair, rng: pair.at(
        pair.spoiled.positions + pixels * rng.standard_normal((pair.spoiled.n_frames, 2))
    )


def _reads_amplitude(pair: Pair, rng: np.random.Generator) -> Pair:
    return pair.told(measurement="amplitude")


def _reads_intensity(pair: Pair, rng: np.random.Generator) -> Pair:
    frames = np.sqrt(pair.spoiled.frames).astype(np.float32)
    return pair.told(frames=frames, measurement="intensity")


def _no_probe(pair: Pair, rng: np.random.Generator) -> Pair:
    spoiled = pair.spoiled
    start = estimated_probe(spoiled.frames, spoiled.mask, spoiled.measurement)
    return pair.told(probe=start, probe_known=False)


def _gaussian_probe(pair: Pair, rng: np.random.Generator) -> Pair:
    photons = float((np.abs(pair.spoiled.probe) ** 2).sum())
    width = min(pair.width, pair.right.frame_size / 2)
    return pair.told(
        probe=make_probe("gaussian", pair.right.frame_size, fwhm=width, photons=photons)
    )


SPOILINGS = {
    "beam": Spoiling("experiment", _beam),
    "blur": Spoiling("experiment", _blur),
    "background": Spoiling("experiment", _background),
    "blank": Spoiling("some frames", _blank),
    "bright": Spoiling("some frames", _bright),
    "hot": Spoiling("some frames", _hot),
    "gap": Spoiling("detector", _gap),
    "pedestal": Spoiling("detector", _pedestal),
    "off-centre": Spoiling("centre", _off_centre),
    "corner-frames": Spoiling("centre", _frames("fftshift")),
    "transpose": Spoiling("orientation", _frames("transpose")),
    "flip": Spoiling("orientation", _frames("flipud")),
    "swap": Spoiling("orientation", _positions("swap")),
    "negate-one": Spoiling("orientation", _negate_one),
    "negate-both": Spoiling("orientation", _positions("negate_rows", "negate_cols")),
    "reverse": Spoiling("orientation", _positions("reverse")),
    "snake": Spoiling("orientation", _snake),
    "late": Spoiling("orientation", _positions("late")),
    "rotate-90": Spoiling("orientation", _rotated(90)),
    "conjugate-probe": Spoiling(
        "orientation", lambda pair, rng: pair.told(probe=np.conj(pair.spoiled.probe))
    ),
    "rotate-3": Spoiling("affine", _rotated(3)),
    "rotate-30": Spoiling("affine", _rotated(30)),
    "scale-0.5": Spoiling("affine", _scaled(0.5)),
    "scale-1.03": Spoiling("affine", _scaled(1.03)),
    "scale-1.1": Spoiling("affine", _scaled(1.1)),
    "scale-2": Spoiling("affine", _scaled(2.0)),
    "shear": Spoiling("affine", _shear),
    "drift": Spoiling("displacement", _drift),
    "off-3": Spoiling("displacement", _off(3)),
    "off-6": Spoiling("displacement", _off(6)),
    "as-amplitude": Spoiling("reading", _reads_amplitude),
    "as-intensity": Spoiling("reading", _reads_intensity),
    "no-probe": Spoiling("probe", _no_probe),
    "gaussian-probe": Spoiling("probe", _gaussian_probe),
    "corner-probe": Spoiling(
        "probe",
        lambda pair, rng: pair.told(probe=np.fft.ifftshift(pair.spoiled.probe, axes=(-2, -1))),
    ),
}
"""Spoilings by name, in the order in which they are applied."""
