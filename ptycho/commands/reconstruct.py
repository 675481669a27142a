"""`ptycho reconstruct`, `ptycho_inference`: scan -> object, with arrays, figures and metrics.

Data flow: settings -> [file -> RawData] -> reconstruction -> [folder of the run].
"""

import logging
from dataclasses import replace
from pathlib import Path

from ptycho.api.forecast import (
    Forecast,
    forecast,
    model_rows,
    output_row,
    reconstruction_rows,
    scan_rows,
)
from ptycho.api.loading import read_scan
from ptycho.api.page import record_model, record_scan
from ptycho.api.reconstruction import Prepared, prepare
from ptycho.api.reconstruction import run as reconstruct
from ptycho.api.saving import write_result
from ptycho.commands.running import begun, check_strict
from ptycho.scan.raw_data import RawData
from ptycho.settings.base import part_of
from ptycho.settings.reading import exclude_of, reading_of
from ptycho.settings.reconstruct import InferenceConfig, ReconstructSettings

log = logging.getLogger(__name__)


def run(config: InferenceConfig) -> Path | Forecast:
    """Reconstruct a scan.

    Returns:
        The output folder: reconstruction.npz, pictures, metrics.json; with dry_run what it would
        take to get there.

    Raises:
        PtychoError: If model, scan and settings do not fit together.
    """
    settings = part_of(config, ReconstructSettings)
    if config.dry_run:
        silent = replace(settings, cache=False)
        return _forecast(config, prepare(_scan(config), config.model_path, silent))
    with begun(config, config.output_dir) as run:
        with run.stage("loading"):
            raw = _scan(config)
            record_scan(run, "test_data", raw, config.test_data)
        with run.stage("grouping"):
            prepared = prepare(raw, config.model_path, settings)
            record_model(run, "model_path", config.model_path)
        with run.stage("reconstruction"):
            result = reconstruct(prepared)
        log.info("results in %s", config.output_dir)
        write_result(run, result, comparison_plot=config.comparison_plot, report=config.report)
    check_strict(result, strict=config.strict)
    return config.output_dir


def _scan(config: InferenceConfig) -> RawData:
    return read_scan(
        config.test_data,
        reading_of(config),
        N=config.N,
        scan=config.scan,
        exclude=exclude_of(config),
    )


def _forecast(config: InferenceConfig, prepared: Prepared) -> Forecast:
    described = prepared.description
    neighbors = config.neighbor_count or described.neighbor_count or None
    return forecast(
        config,
        scan_rows(prepared.raw, prepared.members, config, gridsize=described.gridsize, K=neighbors)
        | model_rows(prepared.model, described.network, prepared.device)
        | reconstruction_rows(prepared)
        | output_row(config.output_dir),
    )
