"""`ptycho convert`: a scan file of any known format -> a file of another program.

Data flow: [file -> RawData -> file].
"""

import logging
from pathlib import Path

from ptycho.api.conversion import write_scan
from ptycho.api.loading import inspected
from ptycho.errors import DataError
from ptycho.io import Reading, recognise
from ptycho.io.writers import format_for
from ptycho.io.writers.writing import check_files
from ptycho.runs.files import RECONSTRUCTION_FILE
from ptycho.scan.raw_data import RawData
from ptycho.settings.base import inputs_of
from ptycho.settings.convert import ConvertConfig
from ptycho.settings.reading import reading_of, skips_found

log = logging.getLogger(__name__)


def run(config: ConvertConfig) -> Path:
    """Convert a scan; what its new format cannot hold and what is wrong with it are logged.

    Returns:
        The file written.

    Raises:
        ConfigError: If the format to write is unknown, or the output exists.
        DataError: If the source is no valid scan, lacks what the format needs, or would be
            overwritten.
    """
    source = config.source
    format_for(config.output, config.to)
    if (source / RECONSTRUCTION_FILE).exists() or source.name == RECONSTRUCTION_FILE:
        raise DataError(
            f"{source}: a reconstruction; expected a scan (ptycho export writes reconstructions)"
        )
    reading = reading_of(config)
    read = [path for _, path in inputs_of(config)]
    check_files([config.output], overwrite=config.overwrite, sources=read)
    if not reading.mapped:
        log.info("%s: read as %s", source, recognise(source))
    raw = _looked_at(RawData.from_file(source, reading), reading, config)
    files = write_scan(raw, config.output, to=config.to, overwrite=config.overwrite, sources=read)
    return files[0]


def _looked_at(raw: RawData, reading: Reading, config: ConvertConfig) -> RawData:
    """Return the scan, without frames that an inspection names if asked; warn of its findings.

    Nothing that is found stops a conversion, which keeps what is in the file.
    """
    try:
        raw, found = inspected(raw, reading, skip_found=skips_found(config))
    except DataError as problem:  # a frame with values that cannot be measured
        log.warning("%s", problem)
        return raw
    for finding in (*found.errors, *found.warnings):
        log.warning("%s: %s", config.source, finding.sentence())
    return raw
