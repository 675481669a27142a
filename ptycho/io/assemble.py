"""From what files state to the fields of a scan: joined, upright, in object pixels.

Data flow: file -> Recorded -> [fields] -> RawData -> groups -> ...
Every step that changes something is logged and kept in the metadata of the scan, entry `reading`.
"""

import logging
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped

from ptycho.errors import DataError
from ptycho.experiment import Experiment, Geometry
from ptycho.io.detector import FrameSteps, oriented_shape, processed, valid_pixels
from ptycho.io.fields import FrameStack, ScanFields
from ptycho.io.joining import without
from ptycho.io.mean_frame import mean_frame
from ptycho.io.measurement import Measurement, infer_measurement
from ptycho.io.numbering import joined_by_number
from ptycho.io.orientation import PROBE_STEPS, oriented
from ptycho.io.placing import geometry_of, in_pixels, object_pixel, position_words, positions_of
from ptycho.io.reading import Reading
from ptycho.io.recorded import Recorded
from ptycho.io.start_probe import estimated_probe
from ptycho.spread import spread

logger = logging.getLogger(__name__)

_SAMPLED_FRAMES = 16
_FEW_FRAMES = 3


def assemble(where: str, recorded: Recorded, reading: Reading) -> ScanFields:
    """Return the fields of a scan, its frames still in their file where that is possible.

    Args:
        where: the file, for errors.
        recorded: its content.
        reading: what the user says about it.

    Raises:
        DataError: If frames or positions are missing, or their parts do not fit.
        ConfigError: If a setting does not fit the file.
    """
    whole_scan = joined_by_number(where, recorded)
    recorded = without(where, whole_scan, reading.skip)
    stored = recorded.frames
    if stored is None:
        raise DataError(
            f"{where}: no frames in this {recorded.source} file; expected the file with the frames "
            "as well: --join FILE"
        )
    if stored.ndim != 3 or 0 in stored.shape:
        raise DataError(
            f"{where}: diffraction frames of shape {stored.shape}; expected (frames, rows, "
            "columns), at least one"
        )
    notes = [*recorded.notes]
    measurement = _measurement(where, recorded, reading)
    steps = _steps(where, recorded, reading, measurement)
    frames = processed(stored, steps, measurement)
    notes += steps.words(oriented_shape(stored.shape[1:], steps.orientation))
    valid = _valid(where, recorded, reading, steps)
    geometry = geometry_of(recorded, reading, steps.bin)
    size = frames.shape[-1]
    pixel = object_pixel(where, recorded, reading, geometry, frames, measurement)
    shrink = size * steps.bin / min(oriented_shape(stored.shape[1:], steps.orientation))
    # Steps on the positions refer to the order of the whole scan, so frames are skipped after them.
    positions = positions_of(where, whole_scan, reading, pixel, shrink)
    positions = _without_skipped(positions, whole_scan, reading)
    _check_numbers(where, len(frames), len(positions))
    notes += position_words(recorded, reading, pixel)
    probe, known = _probe(recorded, reading, steps, frames, valid, measurement)
    if not known and recorded.probe is None:
        notes.append("probe: none in the file; estimated from the mean frame")
    whole = steps.crop is None and steps.bin == 1
    for note in notes:
        logger.info("%s: %s", where, note)
    start = whole_scan.start
    if start is not None:
        start = in_pixels(where, start, whole_scan, reading, pixel, shrink)
        start = _without_skipped(start, whole_scan, reading)
    steps_taken: dict[str, Any] = {}
    if notes:
        steps_taken["reading"] = {"source": recorded.source, "steps": notes}
    if reading.skip:
        steps_taken["reading"]["skipped"] = list(reading.skip)
    return {
        "frames": frames,
        "measurement": measurement,
        "xcoords": positions[:, 1],
        "ycoords": positions[:, 0],
        "xcoords_start": None if start is None else start[:, 1],
        "ycoords_start": None if start is None else start[:, 0],
        "scan_index": recorded.scan_index,
        "probe": probe,
        "probe_known": known,
        "obj": recorded.obj if shrink == 1 and recorded.has_object else None,
        "patches": recorded.patches if whole else None,
        "mask": valid,
        "background": recorded.background,
        "pixel_size_m": pixel,
        "metadata": {**recorded.metadata, **steps_taken},
        "experiment": _experiment(where, recorded, geometry),
    }


def _without_skipped(
    positions: Float[np.ndarray, "position 2"], whole: Recorded, reading: Reading
) -> Float[np.ndarray, "kept 2"]:
    """Return the positions of the frames that stay; all if there is not one per frame."""
    assert whole.frames is not None
    one_each = len(positions) == len(whole.frames)
    return np.delete(positions, reading.skip, axis=0) if one_each else positions


def _check_numbers(where: str, n_frames: int, n_positions: int) -> None:
    """Raise DataError unless there is one position per frame."""
    if n_frames == n_positions:
        return
    extra, remedy = n_frames - n_positions, ""
    if 0 < extra <= _FEW_FRAMES:
        first, last = f"0-{extra - 1}", f"{n_positions}-{n_frames - 1}"
        if extra == 1:
            first, last = "0", f"{n_frames - 1}"
        remedy = f"; leave out the first by --skip_frames {first}, or the last by {last}"
    raise DataError(
        f"{where}: {n_positions} positions for {n_frames} diffraction frames; expected one "
        f"position per frame{remedy}"
    )


def _measurement(where: str, recorded: Recorded, reading: Reading) -> Measurement:
    stated = reading.measurement or recorded.measurement
    if stated is not None:
        return stated
    frames = recorded.frames
    assert frames is not None
    if reading.gain != 1 or reading.pedestal or reading.dark is not None:
        return "intensity"
    sample = np.asarray(frames[spread(len(frames), _SAMPLED_FRAMES)])
    found = infer_measurement(sample, amplitude_by_convention=recorded.amplitude_by_convention)
    if found is None:
        raise DataError(
            f"{where}: {recorded.frames_entry} of type {frames.dtype} may hold intensity or "
            "amplitude; expected a file that states which; set it with --measurement"
        )
    logger.info("%s: %s read as %s (%s)", where, recorded.frames_entry, *found)
    return found[0]


def _steps(
    where: str, recorded: Recorded, reading: Reading, measurement: Measurement
) -> FrameSteps:
    """Return the steps of the frames: those of the format first, then the user's."""
    frames = recorded.frames
    assert frames is not None
    shift = ("fftshift",) if recorded.corner else ()
    darks = [a for a in (recorded.dark, reading.dark) if a is not None and np.any(a)]
    for dark in darks:
        if np.ndim(dark) and np.shape(dark) != frames.shape[1:]:
            raise DataError(
                f"{where}: dark of shape {np.shape(dark)}; expected {tuple(frames.shape[1:])}, the "
                "size of the frames"
            )
    dark = sum(np.broadcast_to(np.asarray(a, np.float32), frames.shape[1:]) for a in darks)
    steps = FrameSteps(
        orientation=(*shift, *recorded.frame_steps, *reading.frames),
        dark=np.asarray(dark) if darks else None,
        pedestal=reading.pedestal,
        gain=reading.gain,
        clip=reading.clip or bool(darks) or reading.pedestal != 0,
        crop=reading.crop,
        bin=reading.bin,
    )
    if reading.center is None:
        return steps
    upright = replace(steps, crop=None, bin=1)
    center = (
        _centre_of_mass(where, frames, upright, measurement)
        if isinstance(reading.center, str)
        else reading.center
    )
    return replace(steps, center=(round(center[0]), round(center[1])))


def _centre_of_mass(
    where: str, frames: FrameStack, steps: FrameSteps, measurement: Measurement
) -> tuple[float, float]:
    """Return (row, col) of the centre of mass of the mean oriented frame."""
    mean = oriented(mean_frame(frames, measurement), steps.orientation)
    if not mean.any():
        raise DataError(f"{where}: frames without photons; expected some to find their centre")
    mean = np.where(mean > 0.02 * mean.max(), mean, 0)  # not pulled by a flat background
    row, col = (mean.sum(axis=axis) @ np.arange(mean.shape[1 - axis]) for axis in (1, 0))
    return float(row / mean.sum()), float(col / mean.sum())


def _valid(
    where: str, recorded: Recorded, reading: Reading, steps: FrameSteps
) -> Bool[np.ndarray, "row col"] | None:
    """Return the valid pixels of the processed frames; None if all are."""
    frames = recorded.frames
    assert frames is not None
    stored = (frames.shape[1], frames.shape[2])
    mask = recorded.mask
    if mask is not None and reading.mask_inverted:
        mask = ~np.asarray(mask, bool)
    given = None if reading.mask is None else np.asarray(reading.mask)
    if given is None and mask is None:
        return valid_pixels(None, stored, steps)
    if given is not None and given.shape != stored:
        return given  # of the frames after all steps; checked by RawData
    chosen = mask if given is None else given
    assert chosen is not None
    if np.shape(chosen) != stored:
        raise DataError(
            f"{where}: mask of shape {np.shape(chosen)}; expected {stored}, the size of the frames"
        )
    if not np.isin(chosen, (0, 1)).all():
        raise DataError(f"{where}: mask of type {chosen.dtype}; expected True or False, 1 or 0")
    if not chosen.any():
        raise DataError(f"{where}: mask without a valid pixel; expected True on valid ones")
    return valid_pixels(chosen, stored, steps)


def _probe(
    recorded: Recorded, reading: Reading, steps: FrameSteps, frames: FrameStack,
    valid: Bool[np.ndarray, "row col"] | None, measurement: Measurement,
) -> tuple[Shaped[np.ndarray, "..."], bool]:  # fmt: skip
    """Return the probe on the grid of the processed frames, and whether it is known."""
    size = frames.shape[-1]
    probe = recorded.probe
    if probe is None:
        return estimated_probe(frames, valid, measurement), False
    for step in reading.probe:
        probe = PROBE_STEPS[step](probe)
    whole = min(np.shape(recorded.frames)[1:]) if recorded.frames is not None else size
    sides = probe.shape[-2:]
    if sides != (whole, whole) or (size == whole and steps.bin == 1):
        return probe, recorded.probe_known  # of another size: RawData refuses it
    spectrum = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(probe, axes=(-2, -1))), axes=(-2, -1))
    first = whole // 2 - size * steps.bin // 2
    last = first + size * steps.bin
    cut = spectrum[..., first:last, first:last] if first >= 0 else spectrum
    back = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(cut, axes=(-2, -1))), axes=(-2, -1))
    begin = back.shape[-1] // 2 - size // 2
    return back[..., begin : begin + size, begin : begin + size], recorded.probe_known


def _experiment(where: str, recorded: Recorded, geometry: Geometry) -> str | None:
    """Return the physics as JSON text, with the geometry that is known by now."""
    if recorded.experiment is not None:
        known = Experiment.from_json(recorded.experiment, where)
        if geometry == Geometry() or known.geometry == geometry:
            return recorded.experiment
        return replace(known, geometry=geometry).to_json()
    if geometry == Geometry():
        return None
    return Experiment(geometry=geometry).to_json()
