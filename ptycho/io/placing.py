"""From places in metres to object pixels: geometry, the size of an object pixel, rasters.

Data flow: Recorded -> [positions in object pixels] -> fields -> RawData -> ...
"""

import dataclasses
import logging
import math

import numpy as np
from jaxtyping import Float, Shaped

from ptycho.errors import ConfigError, DataError
from ptycho.experiment import Geometry
from ptycho.io.fields import FrameStack
from ptycho.io.mean_frame import mean_frame
from ptycho.io.measurement import Measurement
from ptycho.io.orientation import placed, turned
from ptycho.io.reading import Reading
from ptycho.io.recorded import Recorded
from ptycho.io.units import length_factor

logger = logging.getLogger(__name__)


class UnplacedError(DataError):
    """Frames whose positions in object pixels are unknown; the frames themselves can be read.

    Args:
        where: the file.
        found: what it states and lacks.
        remedy: the flags that state the rest.
        unit: unit of the positions as far as they are known: a length, steps of
            a raster, or frames where nothing but their order is known.
    """

    def __init__(self, where: str, found: str, remedy: str, unit: str) -> None:
        super().__init__(f"{where}: {found}; expected {remedy}")
        self.found, self.remedy, self.unit = found, remedy, unit


def geometry_of(recorded: Recorded, reading: Reading, binned: int) -> Geometry:
    """Return the lengths that the user states, else those of the file.

    Args:
        recorded: what the file states.
        reading: what the user states.
        binned: detector pixels summed to one, along an axis.
    """
    lengths = {
        f.name: getattr(reading.geometry, f.name) or getattr(recorded.geometry, f.name)
        for f in dataclasses.fields(Geometry)
    }
    if lengths["detector_pixel_m"] is not None:
        lengths["detector_pixel_m"] *= binned
    return Geometry(**lengths)


def object_pixel(
    where: str, recorded: Recorded, reading: Reading, geometry: Geometry,
    frames: FrameStack, measurement: Measurement,
) -> float | None:  # fmt: skip
    """Return the side of an object pixel, metres: the user's, by geometry, or the file's."""
    if reading.object_pixel_m is not None:
        return reading.object_pixel_m
    if reading.semiangle is not None:
        return _by_bright_field(where, reading.semiangle, geometry, mean_frame(frames, measurement))
    known = geometry.object_pixel_m(frames.shape[-1])
    stated = recorded.object_pixel_m
    if stated is not None and recorded.frames is not None:
        whole = min(recorded.frames.shape[1:])
        stated = stated * whole / (frames.shape[-1] * reading.bin)
    if known is not None and stated is not None and not math.isclose(known, stated, rel_tol=0.01):
        logger.warning(
            "%s: object pixel %.4g nm in the file, %.4g nm by its geometry; the file's is used; "
            "set it with --object_pixel_nm", where, 1e9 * stated, 1e9 * known,
        )  # fmt: skip
    return known if stated is None else stated


def _by_bright_field(
    where: str, semiangle: float, geometry: Geometry, mean: Float[np.ndarray, "row col"]
) -> float:
    """Return the object pixel from the radius of the bright-field disc.

    Its edge is at the convergence semi-angle, so a detector pixel is semiangle / radius, and an
    object pixel wavelength / (N x that).
    """
    if geometry.wavelength_m is None:
        raise ConfigError("semiangle_mrad: without a wavelength; set --voltage_kv as well")
    if not mean.any():
        raise DataError(f"{where}: frames without photons; expected a bright-field disc")
    plateau = np.median(mean[mean > 0.5 * np.percentile(mean, 99)])
    radius = math.sqrt((mean > 0.5 * plateau).sum() / math.pi)
    pixel = geometry.wavelength_m * radius / (semiangle * len(mean))
    logger.info(
        "%s: bright-field disc of radius %.1f px taken as %.4g mrad: object pixel %.4g pm",
        where, radius, 1e3 * semiangle, 1e12 * pixel,
    )  # fmt: skip
    return pixel


def positions_of(
    where: str, recorded: Recorded, reading: Reading, pixel: float | None, shrink: float
) -> Float[np.ndarray, "position 2"]:
    """Return (row, col) of each frame in object pixels, of all frames of the file."""
    frames = recorded.frames
    assert frames is not None
    if reading.scan_shape is not None or recorded.positions is None:
        return _raster(where, recorded, reading, pixel, len(frames))
    return in_pixels(where, recorded.positions, recorded, reading, pixel, shrink)


def in_pixels(
    where: str, stated: Shaped[np.ndarray, "..."], recorded: Recorded, reading: Reading,
    pixel: float | None, shrink: float,
) -> Float[np.ndarray, "position 2"]:  # fmt: skip
    """Return positions of the file in object pixels of the processed frames.

    Args:
        where: the file, for errors.
        stated: (row, col) as the file states them.
        recorded: its content.
        reading: what the user says about it.
        pixel: the object pixel, metres; None if unknown.
        shrink: object pixel of the stored frames / that of the processed ones.
    """
    positions = np.asarray(stated, np.float64)
    unit = reading.positions_unit or recorded.positions_unit
    if unit == "px":
        positions = positions * shrink
    elif pixel is not None or not reading.frames_only:
        metres = positions * length_factor(unit, "positions_unit")
        positions = metres / _known_pixel(where, unit, pixel)
        if recorded.has_object and recorded.obj_centre is not None:
            positions = positions + np.array(recorded.obj_centre)
    if reading.rotation:
        middle = positions.mean(axis=0)
        positions = turned(positions - middle, reading.rotation) + middle
    return placed(positions, reading.positions)


def _raster(
    where: str, recorded: Recorded, reading: Reading, pixel: float | None, n_frames: int
) -> Float[np.ndarray, "position 2"]:
    shape = reading.scan_shape or recorded.raster
    if shape is None:
        if reading.frames_only:
            return np.arange(n_frames)[:, None] * np.array([0.0, 1.0])
        raise UnplacedError(
            where, f"no positions in this {recorded.source} file", "them in another file "
            "(--join FILE), or a raster (--scan_shape ROWS COLUMNS --step_nm STEP)", "frames",
        )  # fmt: skip
    if shape[0] * shape[1] != n_frames:
        raise ConfigError(
            f"{where}: scan_shape {shape[0]} x {shape[1]} for {n_frames} frames; expected a "
            "product that equals their number"
        )
    step_m = reading.step_m or recorded.raster_step_m
    if reading.step_px is not None:
        step = reading.step_px
    elif step_m is not None:
        known = 1.0 if pixel is None and reading.frames_only else _known_pixel(where, "m", pixel)
        step = (step_m[0] / known, step_m[1] / known)
    elif reading.frames_only:
        step = (1.0, 1.0)
    else:
        raise UnplacedError(
            where, f"raster of {shape[0]} x {shape[1]} without a step", "it in the file, or "
            "--step_nm, or --step_px", "steps",
        )  # fmt: skip
    row, col = np.divmod(np.arange(n_frames), shape[1])
    grid = np.stack([row * step[0], col * step[1]], axis=1).astype(np.float64)
    return placed(turned(grid, recorded.raster_rotation + reading.rotation), reading.positions)


def _known_pixel(where: str, unit: str, pixel: float | None) -> float:
    if pixel is None:
        raise UnplacedError(
            where, f"positions in {unit}, but the size of an object pixel is unknown",
            "wavelength, distance and detector pixel: --energy_kev, --distance_m and "
            "--detector_pixel_um, or --object_pixel_nm, or --voltage_kv and --semiangle_mrad",
            unit,
        )  # fmt: skip
    return pixel


def position_words(recorded: Recorded, reading: Reading, pixel: float | None) -> list[str]:
    """Return what is done to the positions, one line per step; `pixel` is that of the object."""
    done = []
    if pixel is not None and recorded.positions_unit != "px":
        done.append(f"positions in {recorded.positions_unit} / object pixel {1e9 * pixel:.4g} nm")
    if reading.rotation:
        done.append(f"positions rotated by {math.degrees(reading.rotation):.4g} degrees")
    if reading.positions:
        done.append(f"positions: {', '.join(reading.positions)}")
    return done
