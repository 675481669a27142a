"""`ptycho evaluate`: metrics of a reconstruction, and a figure.

Data flow: settings -> [reconstruction.npz + truth -> metrics] -> [folder].
"""

import logging
from contextlib import AbstractContextManager
from pathlib import Path

from ptycho.api.evaluation import score
from ptycho.api.reconstruction_file import file_of, is_reconstruction
from ptycho.api.saving import write_score
from ptycho.api.scan_of_run import reading_of_scan, scan_of_run
from ptycho.commands.running import begun, pixel_files
from ptycho.runs import Run, add_to, data_entry
from ptycho.scan.raw_data import RawData
from ptycho.settings.base import inputs_of, part_of, to_dict
from ptycho.settings.evaluate import EvaluateConfig, EvaluateSettings

log = logging.getLogger(__name__)


def run(config: EvaluateConfig) -> Path:
    """Compare a reconstruction with a truth, another one, or its frames; write metrics and figures.

    Returns:
        The folder with `metrics.json` and `comparison_plot.png`: output_dir, or that of the
        reconstruction, whose earlier metrics are kept as far as the truth has no part in them.

    Raises:
        ConfigError: If there is nothing to compare with.
        DataError: If a file is missing or foreign, or the objects share no known pixel.
    """
    home = file_of(config.reconstruction).parent
    output = config.output_dir or home
    with _run(config, output, home) as run:
        with run.stage("evaluation"):
            settings = part_of(config, EvaluateSettings)
            truth, scan = _truth(config), _scan(config)
            found = score(config.reconstruction, truth, scan, settings)
        for name in ("reconstruction", "truth", "test_data"):
            if (path := getattr(config, name)) is not None:
                run.add_data(data_entry(name, file_of(path)))
        for path in scan.joined if scan is not None else ():
            run.add_data(data_entry("join", path))
        log.info("results in %s", output)
        write_score(run, found, report=config.report)
    return output


def _scan(config: EvaluateConfig) -> RawData | None:
    if config.test_data is None:
        return None
    return scan_of_run(config.reconstruction, config.test_data, config)


def _truth(config: EvaluateConfig) -> RawData | Path | None:
    """Return the truth; a scan in a file of its own next to `test_data` is read as it states."""
    truth = config.truth
    if truth is None or is_reconstruction(truth):
        return truth
    if config.test_data is not None and not truth.samefile(config.test_data):
        return RawData.from_file(truth)
    reading, _ = reading_of_scan(config.reconstruction, truth, config)
    return RawData.from_file(truth, reading)


def _run(config: EvaluateConfig, output: Path, home: Path) -> AbstractContextManager[Run]:
    """Return a run of its own, or an addition to that of the reconstruction in the same folder."""
    if output.resolve() == home.resolve():
        data = pixel_files(inputs_of(config))
        return add_to(output, kind=config.kind, settings=to_dict(config), data=data)
    return begun(config, output)
