"""`ptycho refine`: continue a reconstruction with an engine of pty-chi.

Data flow: settings -> [reconstruction.npz, file -> RawData] -> engine -> [folder of the run].
Writes the same files as a reconstruction.
"""

import logging
import time
from dataclasses import replace
from pathlib import Path

from ptycho.api.forecast import Forecast, forecast, memory_words, output_row, peak_memory
from ptycho.api.loading import load
from ptycho.api.refinement import Prepared, engine_run, prepare
from ptycho.api.refinement import run as refine
from ptycho.api.saving import save_result
from ptycho.durations import duration
from ptycho.engines.ptychi import MOST_EPOCHS
from ptycho.physics.device import choose_device
from ptycho.scan.summary import summarise_scan
from ptycho.settings.base import part_of, to_dict
from ptycho.settings.refine import RefineConfig, RefineSettings

log = logging.getLogger(__name__)

_TRIED = 128  # frames refined to estimate the time of all


def run(config: RefineConfig) -> Path | Forecast:
    """Continue a reconstruction.

    Returns:
        The output folder: reconstruction.npz, pictures, metrics.json; with dry_run what it would
        take to get there.

    Raises:
        PtychoError: If pty-chi is not installed, or reconstruction and scan do not fit together.
    """
    raw = load(config.test_data, measurement=config.measurement, scan=config.scan)
    prepared = prepare(raw, config.reconstruction, part_of(config, RefineSettings))
    if config.dry_run:
        return _forecast(config, prepared)
    save_result(
        refine(prepared), config.output_dir, settings=to_dict(config), data=config.test_data,
        comparison_plot=config.comparison_plot, report=config.report,
    )  # fmt: skip
    log.info("results in %s", config.output_dir)
    return config.output_dir


def _forecast(config: RefineConfig, prepared: Prepared) -> Forecast:
    """Return an estimate of time and memory, from a few iterations over a part of the frames."""
    estimate, n_frames, some = prepared.estimate, len(prepared.frames), slice(0, _TRIED)
    part = replace(
        prepared, frames=prepared.frames[some],
        estimate=estimate._replace(positions=estimate.positions[some]),
    )  # fmt: skip
    seconds = []
    for epochs in (1, 1, 5):  # the first one loads and plans what all need once
        began = time.perf_counter()
        settings = replace(prepared.settings, epochs=epochs, progress=False)
        engine_run(replace(part, settings=settings))
        seconds.append(time.perf_counter() - began)
    epoch = max(0.0, seconds[2] - seconds[1]) / 4 * n_frames / len(part.frames)
    most = config.epochs or MOST_EPOCHS
    summary = summarise_scan(prepared.raw)
    memory = memory_words(peak_memory(choose_device(config.device)))
    return forecast(
        config,
        {
            "frames": summary.frames_sentence(),
            "scan": summary.scan_sentence(),
            "engine": f"{config.engine} of pty-chi on {n_frames:,} frames, "
            f"{prepared.batch_size} per batch",
            "memory": f"peak {memory} for the measured part",
            "time": f"{'' if config.epochs else 'at most '}{duration(most * epoch)}: {most} epochs "
            f"of {duration(epoch)}, measured with {len(part.frames)} frames",
        }
        | output_row(config.output_dir),
    )
