"""What is written into the file of another program, and what a writer states about its format.

Data flow: RawData or reconstruction -> [Content] -> file of another program.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Complex, Float, Int, Shaped

from ptycho.experiment import Experiment, Geometry, photon_wavelength
from ptycho.io.fields import FrameStack, LazyFrames

_ONE_EV_WAVELENGTH_M = photon_wavelength(1.0)
_PHOTONS_EV = (10.0, 200e3)
JOULES_PER_EV = 1.602176634e-19
SAME_PIXEL = 0.01
"""Relative difference up to which two sizes of an object pixel are the same one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Content:
    """A scan or a reconstruction to be written; None stands for what there is not."""

    source: str
    """What it is called in messages: the file it comes from."""

    title: str = ""
    """Name of the sample or scan."""

    frames: FrameStack | None = None
    """(M, N, N) as stored, zero frequency at N//2."""

    measurement: str = "counts"
    """What a stored value is: counts, intensity or amplitude."""

    positions: Float[np.ndarray, "position 2"]
    """(row, col) of the probe centres, object pixels, in scan coordinates."""

    start: Float[np.ndarray, "position 2"] | None = None
    """Positions before a correction, where they differ."""

    frame_numbers: Shaped[np.ndarray, " position"] | None = None
    """Number of the frame of each position in its scan; None counts from 0."""

    scan_index: Shaped[np.ndarray, " position"] | None = None
    """Scan of each position, where there are several."""

    probe: Complex[np.ndarray, "mode n n"]
    """Illumination, sqrt(photons) per object pixel."""

    probe_known: bool = True
    """False if the probe was estimated from the frames."""

    obj: Complex[np.ndarray, "row col"] | None = None
    """Transmission of the sample."""

    origin: tuple[float, float] = (0.0, 0.0)
    """(row, col) of the first pixel of `obj` in scan coordinates."""

    mask: Shaped[np.ndarray, "n n"] | None = None
    """True on valid pixels."""

    background: Shaped[np.ndarray, "..."] | None = None
    """Intensity per pixel that does not come from the sample."""

    patches: Shaped[np.ndarray, "..."] | None = None
    """True object windows."""

    pixel_size_m: float | None = None
    """Side of an object pixel, metres."""

    experiment: Experiment = field(default_factory=Experiment)
    """Physics and geometry of the measurement."""

    metadata: dict[str, Any] = field(default_factory=dict)
    """What else is known."""

    lost: tuple[str, ...] = ()
    """Further parts of the source that no format here holds."""

    @property
    def geometry(self) -> Geometry:
        """Wavelength, distance and detector pixel, as far as known."""
        return self.experiment.geometry

    @property
    def numbers(self) -> Shaped[np.ndarray, " position"]:
        """Frame number of each position."""
        known = self.frame_numbers
        return np.arange(len(self.positions)) if known is None else np.asarray(known)

    @property
    def energy_ev(self) -> float | None:
        """Energy of a photon of this wavelength, eV."""
        wavelength = self.geometry.wavelength_m
        return None if wavelength is None else _ONE_EV_WAVELENGTH_M / wavelength

    @property
    def photon_energy_ev(self) -> float | None:
        """The same; None outside of 10 eV to 200 keV, where the wavelength is one of electrons."""
        energy = self.energy_ev
        return energy if energy is not None and _PHOTONS_EV[0] <= energy <= _PHOTONS_EV[1] else None

    def parts(self) -> list[str]:
        """Return the names of the parts there are, as `Writer.holds` names them."""
        found = {
            "frames": self.frames, "positions": self.positions, "probe": self.probe,
            "object": self.obj, "mask": self.mask, "pixel size": self.pixel_size_m,
            "wavelength": self.geometry.wavelength_m, "distance": self.geometry.distance_m,
            "detector pixel": self.geometry.detector_pixel_m, "background": self.background,
            "scan_index": self.scan_index, "positions before correction": self.start,
            "patches": self.patches, "frame numbers": self.frame_numbers,
            "experiment": None if _is_usual(self.experiment) else self.experiment,
            "metadata": set(self.metadata) - {"reading", "source_file"} or None,
        }  # fmt: skip
        return [name for name, value in found.items() if value is not None] + list(self.lost)

    def canvas(self) -> tuple[tuple[float, float], tuple[int, int]]:
        """Return origin (row, col) and shape of the object, or of one that all windows fit in."""
        if self.obj is not None:
            return self.origin, (self.obj.shape[0], self.obj.shape[1])
        size = self.probe.shape[-1]
        first = np.floor(self.positions.min(axis=0)) - size // 2
        last = np.ceil(self.positions.max(axis=0)) + size - size // 2
        rows, cols = (int(n) for n in last - first)
        return (float(first[0]), float(first[1])), (rows, cols)

    def positions_about(
        self, centre: Callable[[int], float], window: Callable[[int], float] | None = None
    ) -> Float[np.ndarray, "position 2"]:
        """Return positions (row, col) about the centre of the object or canvas, object pixels.

        A position is the centre of a window of the object; programs differ in where that is.

        Args:
            centre: number of pixels along an axis of the object -> index of its centre.
            window: the same for a window; None where it is the same rule.
        """
        origin, shape = self.canvas()
        positions = self.positions + self.centre_offset(window or centre)
        return positions - origin - [centre(n) for n in shape]

    def placed_about(
        self, centre: Callable[[int], float]
    ) -> tuple[
        Complex[np.ndarray, "row col"], Float[np.ndarray, "position 2"], tuple[float, float]
    ]:
        """Return an object, and where its centre and the positions are (row, col), object pixels.

        Without an object, ones stand for vacuum: the positions stay as they are, and the object is
        placed around them. Otherwise its centre is at (0, 0).

        Args:
            centre: number of pixels along an axis -> index of its centre, for object and windows.
        """
        if self.obj is not None:
            return self.obj, self.positions_about(centre), (0.0, 0.0)
        origin, shape = self.canvas()
        row, col = (
            first + centre(n) - self.centre_offset(centre)
            for first, n in zip(origin, shape, strict=True)
        )
        return np.ones(shape, np.complex64), self.positions, (row, col)

    def centre_offset(self, centre: Callable[[int], float]) -> float:
        """Return the centre of a window by a rule of another program minus ours, N // 2."""
        size = self.probe.shape[-1]
        return centre(size) - size // 2

    @property
    def intensities(self) -> FrameStack | None:
        """Frames as counts or intensities; amplitudes are squared when they are indexed.

        Values other than amplitudes keep their stored type.
        """
        frames = self.frames
        if frames is None or self.measurement != "amplitude":
            return frames

        def read(numbers: Int[np.ndarray, " n"]) -> Shaped[np.ndarray, "n row col"]:
            return np.square(np.asarray(frames[numbers], np.float64)).astype(np.float32)

        n, height, width = frames.shape
        return LazyFrames((n, height, width), "float32", read)


@dataclass(frozen=True, slots=True, kw_only=True)
class Companion:
    """A second file of a format."""

    suffix: str
    """Added to the stem of the first one's name."""

    part: str
    """Without this part it is not written."""

    write: Callable[[Content, Path], None]
    """As that of `Writer`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """How one format is written."""

    endings: tuple[str, ...]
    """Of the names of its files, lower case; the first is that of new names."""

    by_ending: bool = True
    """Whether a file with one of these endings is in this format unless stated otherwise."""

    holds: frozenset[str]
    """Names of the parts that its files keep, see `Content.parts`."""

    needs: frozenset[str] = frozenset()
    """Parts without which there is nothing to write; `pixel size` where positions are in metres."""

    write: Callable[[Content, Path], None]
    """Called with the content and a path at which there is no file."""

    companion: Companion | None = None
    """The second file, where the format has two."""


def _is_usual(experiment: Experiment) -> bool:
    return experiment == Experiment(geometry=experiment.geometry)
