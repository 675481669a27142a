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
from ptycho.api.loading import read_scan
from ptycho.api.page import record_model, record_scan
from ptycho.api.saving import write_selection_of, write_trained
from ptycho.api.training import Prepared, learn, prepare
from ptycho.api.training_data import Scans
from ptycho.commands.running import begun
from ptycho.errors import ConfigError
from ptycho.runs import Run
from ptycho.scan.raw_data import RawData
from ptycho.settings.base import part_of
from ptycho.settings.reading import exclude_of, reading_of
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
    output = config.output_dir
    with begun(config, output, finetune=config.finetune) as run:
        with run.stage("loading"):
            scans = _scans(config)
            _record_inputs(run, config, scans)
        with run.stage("grouping"):
            prepared = prepare(scans, settings)
            data = prepared.data
            groups = groups_of(data.raw, settings, data.members)
            write_selection_of(run, data.raw, groups, data.split)
        with run.stage("training"):
            trained = learn(prepared, output, journal=run, picture_every=config.picture_every)
        log.info("model in %s", output)
        write_trained(run, trained, report=config.report)
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


def _record_inputs(run: Run, config: TrainConfig, scans: Scans) -> None:
    record_scan(run, "train_data_file", scans.first, config.train_data_file)
    for scan in scans.further:
        record_scan(run, "more_train_data", scan, scan.path)
    if scans.validation is not None:
        record_scan(run, "test_data_file", scans.validation, config.test_data_file)
    if config.finetune is not None:
        start = None if config.finetune == "general" else Path(config.finetune)
        record_model(run, "finetune", start)


def _scans(config: TrainConfig) -> Scans:
    """Open all scans of a training."""
    first = _open(config.train_data_file, config)
    further = [_open(path, config) for path in _further_files(config)]
    validation = config.test_data_file
    return Scans(first, further, None if validation is None else _open(validation, config))


def _open(path: Path, config: TrainConfig) -> RawData:
    return read_scan(
        path,
        reading_of(config),
        N=config.N,
        nphotons=config.nphotons,
        exclude=exclude_of(config),
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
