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
from ptycho.api.loading import load
from ptycho.api.reconstruction import Prepared, prepare
from ptycho.api.reconstruction import run as reconstruct
from ptycho.api.saving import save_result
from ptycho.settings.base import part_of, to_dict
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
    raw = load(
        config.test_data, measurement=config.measurement, N=config.N, mask=config.mask,
        scan=config.scan,
    )  # fmt: skip
    settings = part_of(config, ReconstructSettings)
    if config.dry_run:
        return _forecast(config, prepare(raw, config.model_path, replace(settings, cache=False)))
    result = reconstruct(prepare(raw, config.model_path, settings))
    save_result(
        result, config.output_dir, settings=to_dict(config), data=config.test_data,
        comparison_plot=config.comparison_plot, report=config.report,
    )  # fmt: skip
    log.info("results in %s", config.output_dir)
    return config.output_dir


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
