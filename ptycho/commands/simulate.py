"""`ptycho simulate`: write a simulated scan file with its true object.

Data flow: settings -> [simulation -> RawData -> file].
"""

import logging
import time
from dataclasses import replace
from pathlib import Path

from ptycho.api.forecast import Forecast, forecast, memory_words, peak_memory
from ptycho.api.simulation import make_scene, scanned, simulated
from ptycho.commands.outputs import check_output
from ptycho.durations import duration
from ptycho.scan.summary import nearest_step, summarise_scan
from ptycho.settings.simulate import SimulateConfig
from ptycho.spread import spread

log = logging.getLogger(__name__)

_TRIED = 256  # frames simulated to estimate the time of all


def run(config: SimulateConfig) -> Path | Forecast:
    """Simulate a scan and write it.

    Returns:
        The scan file; with dry_run what it would be.

    Raises:
        PtychoError: If the settings allow no such scan, or the file cannot be written.
    """
    if config.dry_run:
        return _forecast(config)
    check_output(config.output, overwrite=config.overwrite)
    raw = simulated(config)
    raw.save(config.output)
    path, summary = config.output, summarise_scan(raw)
    log.info("%s: %s, %.0f MB", path, summary.frames_sentence(), path.stat().st_size / 1e6)
    log.info("%s", summary.scan_sentence())
    return path


def _forecast(config: SimulateConfig) -> Forecast:
    """Return the scan's properties and an estimate of the time, from a few of its frames."""
    scene = make_scene(config)
    n_frames = len(scene.positions)
    chosen = spread(n_frames, _TRIED)
    started = time.perf_counter()
    part = scanned(config, replace(scene, positions=scene.positions[chosen]))
    each = (time.perf_counter() - started) / len(chosen)
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
            "memory": f"peak {memory_words(n_bytes + peak_memory())}",
            "time": f"{duration(each * n_frames)}, measured with {len(chosen)} of the frames",
            "output": f"{config.output}, {memory_words(n_bytes)}"
            f"{', replaces the existing file' if config.output.exists() else ''}",
        },
    )
