"""`ptycho simulate`: settings -> object, probe, path, noise -> a scan file with its truth inside.

Way of the data: settings -> [simulation -> RawData -> file].
"""

import dataclasses
import logging
from pathlib import Path
from typing import Any

import numpy as np

from ptycho.config import SimulateConfig, to_dict
from ptycho.io import write_scan
from ptycho.raw_data import RawData
from ptycho.simulation.objects import make_object
from ptycho.simulation.probes import make_probe
from ptycho.simulation.scans import fermat_scan, fly_scan, place_scan, raster_scan
from ptycho.simulation.simulate import simulate_scan
from ptycho.workflows.scan_summary import summarise_scan

log = logging.getLogger(__name__)

_PATHS = {"raster": raster_scan, "fly": fly_scan, "fermat": fermat_scan}


def run(config: SimulateConfig) -> Path:
    """Simulate a scan and write it.

    Returns:
        The scan file.

    Raises:
        PtychoError: If the settings allow no such scan, or the file cannot be written.
    """
    raw = simulate(config)
    path = write_scan(config.output, raw)
    summary, (height, width) = summarise_scan(raw), raw.obj.shape
    log.info(
        "%s: %s frames of %d x %d on an object of %d x %d pixels, %.3g photons per frame "
        "(%.3g through empty space), step %.2f px, probe %.1f px wide, overlap %.0f %%, %.0f MB",
        path, f"{raw.n_frames:,}", raw.frame_size, raw.frame_size, height, width, summary.photons,
        summary.probe_photons, summary.step, summary.fwhm, 100 * summary.overlap,
        path.stat().st_size / 1e6,
    )  # fmt: skip
    return path


def simulate(config: SimulateConfig) -> RawData:
    """Return the scan that the settings describe, with its true object.

    Object, path, counts and position errors draw from separate streams of the seed: another dose
    or position error leaves the object and the path as they are.
    """
    streams = np.random.SeedSequence(config.seed).spawn(4)
    of_object, of_path, of_counts, of_errors = map(np.random.default_rng, streams)
    positions, shape = place_scan(_path(config, of_path), config.N)
    obj = make_object(
        shape,
        config.amplitude_image,
        config.phase_image,
        amplitude_range=(config.min_amplitude, 1.0),
        phase_range=(-config.phase_range / 2, config.phase_range / 2),
        rng=of_object,
    )
    probe = make_probe(
        config.probe,
        config.N,
        fwhm=config.probe_fwhm,
        photons=config.photons,
        aperture=config.aperture,
        n_modes=config.modes,
    )
    raw = simulate_scan(
        obj,
        probe,
        positions,
        rng=of_counts if config.noise else None,
        background=config.background,
        metadata=_metadata(config),
    )
    return misplaced(raw, config.position_error, of_errors) if config.position_error else raw


def _path(config: SimulateConfig, rng: np.random.Generator) -> np.ndarray:
    rows = {} if config.scan == "fermat" else {"row_step": config.row_step}
    return _PATHS[config.scan](
        config.n_frames, step=config.step, jitter=config.jitter, rng=rng, **rows
    )


def misplaced(raw: RawData, error: float, rng: np.random.Generator) -> RawData:
    """Return the same scan with wrong positions, as a stage with this random error would tell them.

    Args:
        raw: the scan with true positions.
        error: standard deviation in each direction, object pixels.
        rng: of the errors.
    """
    told = raw.positions + error * rng.standard_normal(raw.positions.shape)
    return dataclasses.replace(
        raw, xcoords=told[:, 1], ycoords=told[:, 0], xcoords_start=None, ycoords_start=None
    )


def _metadata(config: SimulateConfig) -> dict[str, Any]:
    """Return what made the scan; not where it went, so that equal scans are equal files."""
    silent = {"output", "progress", "verbose", "quiet"}
    settings = {name: value for name, value in to_dict(config).items() if name not in silent}
    return {"nphotons": config.photons, "simulation": settings}
