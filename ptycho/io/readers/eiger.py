"""Master files of Dectris detectors (Eiger and its relatives): frames in linked files.

Data flow: [file] -> Recorded -> fields -> RawData -> groups -> ...

| entry | meaning |
|---|---|
| `entry/data/data_000001`, ... | links to files of frames (n, H, W) or (n, channel, H, W) |
| `entry/data/data` | the same frames as one virtual data set, in newer files |
| `entry/instrument/detector/detectorSpecific/pixel_mask` | 0 on good pixels |
| `.../detectorSpecific/{nimages, ntrigger}` | frames are nimages * ntrigger |
| `entry/instrument/beam/incident_wavelength` | Angstrom |
| `.../detectorSpecific/photon_energy` | eV; the energy of the electrons in electron microscopes |
| `entry/instrument/detector/{detector_distance, x_pixel_size}` | m; distance 0 is unknown |

Masters hold more links than there are files as a rule: links at the end that lead nowhere are
ignored. Masked pixels hold the largest number of the type. Positions are in another file: those of
Velociprobe, LamNI and others of the APS in text files.

Source: NXmx as Dectris writes it (SIMPLON filewriter); published masters of Eiger and Arina.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int, Shaped

from ptycho.errors import DataError
from ptycho.experiment import Geometry, electron_wavelength, photon_wavelength
from ptycho.io.fields import FrameStack, LazyFrames
from ptycho.io.hdf5 import Hdf5File
from ptycho.io.readers.linked import counts_or_intensity, gap_pixels, stacked
from ptycho.io.readers.quantities import first_number, length_m, numbers
from ptycho.io.recorded import Recorded

_DATA = "entry/data"
_DETECTOR = "entry/instrument/detector"
_SPECIFIC = f"{_DETECTOR}/detectorSpecific"
_ELECTRON_DETECTORS = ("arina", "quadro", "singla", "ela", "electron")
_LARGEST_PHOTON_EV = 100e3  # the detectors see nothing above; electrons have 30 to 300 keV


def read(path: Path) -> Recorded:
    """Return the frames, mask and geometry that a master file leads to.

    Raises:
        DataError: If no linked file exists, one in the middle is missing, or frames differ.
    """
    with Hdf5File(path) as file:
        frames, notes = _frames(file)
        bad = gap_pixels(frames)
        wavelength, beam_notes = _wavelength(file)
        return Recorded(
            source="Dectris master file",
            frames=frames,
            frames_entry=_DATA,
            measurement=counts_or_intensity(frames),
            mask=_mask(file, frames, bad),
            geometry=Geometry(
                wavelength_m=wavelength,
                distance_m=length_m(
                    file, f"{_DETECTOR}/detector_distance", f"{_DETECTOR}/distance"
                ),
                detector_pixel_m=length_m(
                    file, f"{_DETECTOR}/x_pixel_size", f"{_DETECTOR}/y_pixel_size"
                ),
            ),
            notes=(*notes, *beam_notes),
        )


def _frames(file: Hdf5File) -> tuple[FrameStack, tuple[str, ...]]:
    """Return all frames as one stack, and notes about missing files."""
    names = sorted(n for n in file.names(_DATA) if n.startswith("data_") and n[5:].isdigit())
    if not names:
        return _one_channel(file, f"{_DATA}/data")
    present = [name for name in names if file.get(f"{_DATA}/{name}") is not None]
    if not present:
        file.dataset(f"{_DATA}/{names[0]}")  # raises, and names the file
    absent = [name for name in names[: names.index(present[-1])] if name not in present]
    if absent:
        file.dataset(f"{_DATA}/{absent[0]}")
    parts, notes = zip(*(_one_channel(file, f"{_DATA}/{name}") for name in present), strict=True)
    frames = stacked(str(file.path), parts)
    expected = (file.number(f"{_SPECIFIC}/nimages") or 0) * (
        file.number(f"{_SPECIFIC}/ntrigger") or 0
    )
    if len(frames) < expected:
        short = f"{len(frames)} of {expected:.0f} frames found in {len(present)} linked files"
        return frames, (*notes[0], f"{short}; {len(names) - len(present)} files are missing")
    return frames, notes[0]


def _one_channel(file: Hdf5File, name: str) -> tuple[FrameStack, tuple[str, ...]]:
    """Return the frames of a data set, of its first channel (threshold) if it has several."""
    shape = file.dataset(name).shape
    frames = file.frames(name)
    channels = shape[1] if len(shape) == 4 else 1
    if channels == 1:
        return frames, ()

    def read_first(numbers: Int[np.ndarray, " n"]) -> Shaped[np.ndarray, "n row col"]:
        return frames[numbers * channels]

    first = LazyFrames((shape[0], shape[2], shape[3]), frames.dtype, read_first)
    return first, (f"{channels} channels (thresholds) a frame: the first one is read",)


def _mask(
    file: Hdf5File, frames: FrameStack, gaps: Bool[np.ndarray, "row col"] | None
) -> Bool[np.ndarray, "row col"] | None:
    """Return the valid pixels: 0 in `pixel_mask`, and no mark of a gap."""
    stored = numbers(file, f"{_SPECIFIC}/pixel_mask", f"{_DETECTOR}/pixel_mask")
    if stored is None:
        return None if gaps is None else ~gaps
    bad = np.asarray(stored if stored.ndim == 2 else stored.reshape(-1, *stored.shape[-2:])[0]) != 0
    if bad.shape != tuple(frames.shape[1:]):
        raise DataError(
            f"{file.path}: pixel_mask of shape {stored.shape}; expected {tuple(frames.shape[1:])}, "
            "the size of the frames"
        )
    return ~bad if gaps is None else ~(bad | gaps)


def _wavelength(file: Hdf5File) -> tuple[float | None, tuple[str, ...]]:
    """Return the wavelength of photons or electrons, metres, and notes."""
    energy = None
    for name in ("photon_energy", "incident_energy"):
        for place in (_SPECIFIC, "entry/instrument/beam"):
            energy = energy or first_number(file, f"{place}/{name}")
    detector = file.text(f"{_DETECTOR}/description").lower()
    if energy and (
        energy > _LARGEST_PHOTON_EV or any(w in detector.split() for w in _ELECTRON_DETECTORS)
    ):
        words = f"photon_energy = {energy:g} eV is taken as the energy of electrons"
        return electron_wavelength(energy), (words,)
    stated = length_m(file, "entry/instrument/beam/incident_wavelength", unit="A")
    if stated is not None:
        return stated, ()
    return (photon_wavelength(energy) if energy and energy > 10 else None), ()
