"""`ptycho refine`: continue a reconstruction with another engine.

Data flow: settings -> [reconstruction.npz, file -> RawData] -> engine -> [folder of the run].
Writes the same files as a reconstruction.
"""

import logging
import time
from dataclasses import replace
from pathlib import Path

from ptycho.api.forecast import Forecast, forecast, memory_words, output_row, peak_memory
from ptycho.api.page import record_scan
from ptycho.api.reconstruction_file import file_of
from ptycho.api.refinement import Prepared, continued, network_for, prepare
from ptycho.api.refinement import run as refine
from ptycho.api.saving import write_result
from ptycho.api.scan_of_run import uncalibrated_scan_of_run
from ptycho.commands.running import begun, check_strict
from ptycho.durations import duration
from ptycho.physics.device import choose_device
from ptycho.runs import data_entry
from ptycho.scan.raw_data import RawData
from ptycho.scan.summary import summarise_scan
from ptycho.settings.base import part_of
from ptycho.settings.refine import RefineConfig, RefineSettings

log = logging.getLogger(__name__)

_MOST = 100  # iterations, where held-out pixels decide
_TRIED = 128  # frames refined to estimate the time of all


def run(config: RefineConfig) -> Path | Forecast:
    """Continue a reconstruction.

    Returns:
        The output folder: reconstruction.npz, pictures, metrics.json; with dry_run what it would
        take to get there.

    Raises:
        PtychoError: If pty-chi is not installed, or reconstruction and scan do not fit together.
    """
    if config.dry_run:
        return _forecast(config, _prepared(config, _scan(config)))
    with begun(config, config.output_dir) as run:
        with run.stage("loading"):
            raw = _scan(config)
            record_scan(run, "test_data", raw, config.test_data)
            prepared = _prepared(config, raw)
            run.add_data(data_entry("reconstruction", file_of(config.reconstruction)))
        with run.stage("refinement"):
            result = refine(prepared)
        log.info("results in %s", config.output_dir)
        write_result(run, result, comparison_plot=config.comparison_plot, report=config.report)
    check_strict(result, strict=config.strict)
    return config.output_dir


def _scan(config: RefineConfig) -> RawData:
    network_for(part_of(config, RefineSettings))  # an engine that is missing is named first
    return uncalibrated_scan_of_run(
        config.reconstruction, config.test_data, config, scan=config.scan
    )


def _prepared(config: RefineConfig, raw: RawData) -> Prepared:
    return prepare(raw, config.reconstruction, part_of(config, RefineSettings))


def _forecast(config: RefineConfig, prepared: Prepared) -> Forecast:
    """Return an estimate of time and memory, from a few iterations over a part of the frames."""
    start, n_frames = prepared.start, len(prepared.start.frames)
    part = replace(prepared, start=start._replace(frames=start.frames[:_TRIED]))
    seconds = []
    for iterations in (1, 1, 5):  # the first one loads and plans what all need once
        began = time.perf_counter()
        settings = replace(prepared.settings, epochs=iterations, progress=False)
        continued(replace(part, settings=settings))
        seconds.append(time.perf_counter() - began)
    measured = len(part.start.frames)
    each = max(0.0, seconds[2] - seconds[1]) / 4 * n_frames / measured
    most = config.epochs or _MOST
    summary = summarise_scan(prepared.raw)
    memory = memory_words(peak_memory(choose_device(config.device)))
    return forecast(
        config,
        {
            "frames": summary.frames_sentence(),
            "scan": summary.scan_sentence(),
            "engine": f"{config.engine} on {n_frames:,} frames",
            "memory": f"peak {memory} for the measured part",
            "time": f"{'' if config.epochs else 'at most '}{duration(most * each)}: {most} "
            f"iterations of {duration(each)}, measured with {measured} frames",
        }
        | output_row(config.output_dir),
    )
