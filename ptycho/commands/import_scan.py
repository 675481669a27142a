"""`ptycho import`: a scan file of any known format -> our NPZ, with a look at what was found.

Data flow: [file -> RawData -> file].
"""

import dataclasses
import logging
from pathlib import Path

import numpy as np

from ptycho.api.loading import read_scan
from ptycho.commands.outputs import check_output
from ptycho.errors import DataError
from ptycho.io import recognise
from ptycho.scan.exclusion import Exclude
from ptycho.scan.raw_data import RawData
from ptycho.scan.scaling import is_transmission
from ptycho.scan.summary import ScanSummary, summarise_scan
from ptycho.settings.base import inputs_of
from ptycho.settings.import_scan import ImportConfig
from ptycho.settings.reading import reading_of, skips_found

log = logging.getLogger(__name__)


def run(config: ImportConfig) -> Path:
    """Convert a scan and say what it holds.

    Returns:
        The scan file written.

    Raises:
        DataError: If the source is in an unknown format, is not a valid scan, or would be
            overwritten.
    """
    for name, path in inputs_of(config):
        if config.output.exists() and config.output.samefile(path):
            raise DataError(
                f"{config.output}: is the {name} itself; expected another name to write to"
            )
    check_output(config.output, overwrite=config.overwrite)
    log.info("%s: read as %s", config.source, recognise(config.source))
    # The file written is read by others, which exclude what they find.
    kept = Exclude(automatic=False, found=skips_found(config))
    raw = read_scan(config.source, reading_of(config), exclude=kept)
    found = summarise_scan(raw)
    log.info("%s", found.frames_sentence())
    raw = _prepared(raw, found, config)
    summary = summarise_scan(raw)
    log.info("%s", summary.scan_sentence())
    raw.save(config.output)
    log.info("%s: written, %.0f MB", config.output, config.output.stat().st_size / 1e6)
    return config.output


def _prepared(raw: RawData, found: ScanSummary, config: ImportConfig) -> RawData:
    """Return the scan with its probe in sqrt(photons), its pixel size and where it came from."""
    ratio = found.photons / found.probe_photons
    scale = 1.0 if is_transmission(ratio) else float(np.sqrt(ratio))
    if scale != 1.0:
        log.info(
            "probe: %.3g photons in the file, %.3g in the mean frame; scaled by %.4g to match",
            found.probe_photons, found.photons, scale,
        )  # fmt: skip
    return dataclasses.replace(
        raw,
        probe=raw.probe * np.float32(scale),
        pixel_size_m=config.pixel_size_m or raw.pixel_size_m,
        metadata={**raw.metadata, "source_file": config.source.name},
    )
