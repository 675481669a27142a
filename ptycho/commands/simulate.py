"""`ptycho simulate`: settings -> object, probe, path, noise -> a scan file with its truth inside.

Way of the data: settings -> [simulation -> RawData -> file].
"""

import dataclasses
import logging
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Complex64, Float

from ptycho.api.forecast import Forecast, forecast, memory_words, peak_memory
from ptycho.durations import duration
from ptycho.progress import tracked
from ptycho.scan.raw_data import RawData
from ptycho.scan.summary import nearest_step, summarise_scan
from ptycho.settings.config import to_dict
from ptycho.settings.scans import SimulateConfig
from ptycho.simulation.objects import make_object
from ptycho.simulation.probes import make_probe
from ptycho.simulation.scans import fermat_scan, fly_scan, place_scan, raster_scan
from ptycho.simulation.simulate import simulate_scan

log = logging.getLogger(__name__)

_TRIED = 256  # frames simulated to tell how long all would take
_PATHS = {"raster": raster_scan, "fly": fly_scan, "fermat": fermat_scan}


def run(config: SimulateConfig) -> Path | Forecast:
    """Simulate a scan and write it.

    Returns:
        The scan file; with dry_run what it would be.

    Raises:
        PtychoError: If the settings allow no such scan, or the file cannot be written.
    """
    if config.dry_run:
        return _forecast(config)
    raw = simulate(config)
    path = config.output
    raw.save(path)
    summary, (height, width) = summarise_scan(raw), raw.obj.shape
    log.info(
        "%s: %s frames of %d x %d on an object of %d x %d pixels, %.3g photons per frame "
        "(%.3g through empty space), step %.2f px, probe %.1f px wide, overlap %.0f %%, %.0f MB",
        path, f"{raw.n_frames:,}", raw.frame_size, raw.frame_size, height, width, summary.photons,
        summary.probe_photons, summary.step, summary.fwhm, 100 * summary.overlap,
        path.stat().st_size / 1e6,
    )  # fmt: skip
    return path


class _Scene(NamedTuple):
    """What is scanned, by which light, where; and the randomness that is left."""

    obj: Complex64[np.ndarray, "height width"]
    probe: Complex64[np.ndarray, "mode row col"]
    positions: Float[np.ndarray, "position 2"]
    of_counts: np.random.Generator
    of_errors: np.random.Generator


def simulate(config: SimulateConfig) -> RawData:
    """Return the scan that the settings describe, with its true object.

    Object, path, counts and position errors draw from separate streams of the seed: another dose
    or position error leaves the object and the path as they are.
    """
    return _scanned(config, _scene(config))


def _scene(config: SimulateConfig) -> _Scene:
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
    return _Scene(obj, probe, positions, of_counts, of_errors)


def _scanned(config: SimulateConfig, scene: _Scene) -> RawData:
    raw = simulate_scan(
        scene.obj,
        scene.probe,
        scene.positions,
        rng=scene.of_counts if config.noise else None,
        background=config.background,
        metadata=_metadata(config),
        track=tracked("simulating", "batches", enabled=config.progress),
    )
    return misplaced(raw, config.position_error, scene.of_errors) if config.position_error else raw


def _forecast(config: SimulateConfig) -> Forecast:
    """Tell of the scan from its object, probe and path, and a few of its frames."""
    scene = _scene(config)
    n_frames = len(scene.positions)
    spread = np.linspace(0, n_frames - 1, min(_TRIED, n_frames)).astype(int)
    started = time.perf_counter()
    part = _scanned(config, scene._replace(positions=scene.positions[spread]))
    each = (time.perf_counter() - started) / len(spread)
    summary, n_bytes = summarise_scan(part), n_frames * part.frames[0].nbytes
    step, (height, width) = nearest_step(scene.positions), scene.obj.shape
    return forecast(
        config,
        {
            "frames": f"{n_frames:,} of {config.N} x {config.N} ({summary.dtype}, "
            f"{summary.measurement}), {summary.photons:.3g} photons per frame, "
            f"{summary.probe_photons:.3g} through empty space",
            "scan": f"object of {height} x {width} pixels, step {step:.2f} px, probe "
            f"{summary.fwhm:.1f} px wide, overlap {1 - step / summary.fwhm:.0%}",
            "memory": f"{memory_words(n_bytes + peak_memory())} at the highest",
            "time": f"{duration(each * n_frames)}, measured with {len(spread)} of the frames",
            "output": f"{config.output}, {memory_words(n_bytes)}"
            f"{', in place of the file that is there' if config.output.exists() else ''}",
        },
    )


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
    silent = {"output", "progress", "verbose", "quiet", "json_log", "dry_run"}
    settings = {name: value for name, value in to_dict(config).items() if name not in silent}
    return {"nphotons": config.photons, "simulation": settings}
