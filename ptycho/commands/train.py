"""`ptycho_train`: scan -> groups -> trained model, in one folder.

Data flow: settings -> [file -> RawData] -> training -> [folder of the run].
"""

import glob
import logging
from dataclasses import replace
from pathlib import Path

from ptycho.api.forecast import (
    Forecast,
    forecast,
    model_rows,
    output_row,
    scan_rows,
    training_rows,
)
from ptycho.api.grouping import groups_of
from ptycho.api.loading import load
from ptycho.api.page import leave_page
from ptycho.api.saving import begin_training, finish_training
from ptycho.api.training import Prepared, learn, prepare
from ptycho.api.training_data import Scans
from ptycho.errors import ConfigError
from ptycho.scan.raw_data import RawData
from ptycho.settings.base import part_of, to_dict
from ptycho.settings.train import TrainConfig, TrainSettings

log = logging.getLogger(__name__)


def run(config: TrainConfig) -> Path | Forecast:
    """Train a network on a scan.

    Returns:
        The output folder: trained model, checkpoints, logs, settings and training curves; with
        dry_run what it would take to get there.

    Raises:
        PtychoError: If the scan, the settings or the run are invalid.
    """
    settings = part_of(config, TrainSettings)
    if config.dry_run:
        return _forecast(config, prepare(_scans(config), replace(settings, cache=False)))
    prepared = prepare(_scans(config), settings)
    output, data = config.output_dir, prepared.data
    groups = groups_of(data.raw, settings, data.members)
    begin_training(output, data.raw, groups, data.split, to_dict(config))
    trained = learn(prepared, output, picture_every=config.picture_every)
    finish_training(output, trained)
    log.info("model in %s", output)
    if config.report:
        leave_page(output)
    return output


def _forecast(config: TrainConfig, prepared: Prepared) -> Forecast:
    data, network = prepared.data, config.network
    return forecast(
        config,
        scan_rows(data.raw, data.members, config, gridsize=config.gridsize, K=config.neighbor_count)
        | model_rows(prepared.model, network, prepared.device)
        | training_rows(prepared)
        | output_row(config.output_dir),
    )


def _scans(config: TrainConfig) -> Scans:
    """Open all scans of a training."""
    first = _open(config.train_data_file, config)
    further = [_open(path, config) for path in _further_files(config)]
    validation = config.test_data_file
    return Scans(first, further, None if validation is None else _open(validation, config))


def _open(path: Path, config: TrainConfig) -> RawData:
    return load(
        path, measurement=config.measurement, N=config.N, nphotons=config.nphotons, mask=config.mask
    )


def _further_files(config: TrainConfig) -> list[Path]:
    """Return the files of more_train_data, each once and never the first scan again."""
    if config.more_train_data is None:
        return []
    found: list[Path] = []
    for entry in config.more_train_data.split(","):
        entry = entry.strip()
        matches = sorted(glob.glob(entry)) if glob.has_magic(entry) else [entry]
        if not matches or not all(Path(match).is_file() for match in matches):
            raise ConfigError(
                f"more_train_data: {entry!r}: no such file; expected scans separated by commas, or "
                "a pattern that matches some"
            )
        found += [Path(match) for match in matches]
    first = config.train_data_file.resolve()
    return [path for path in dict.fromkeys(found) if path.resolve() != first]
