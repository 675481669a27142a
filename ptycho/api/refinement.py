"""Continuing a reconstruction with another engine.

Data flow: object + RawData -> [engine] -> object, probe and positions.
"""

import dataclasses
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptycho.api.calibration import as_calibrated
from ptycho.api.components import use_threads
from ptycho.api.loading import single_scan
from ptycho.api.logs import collected_warnings
from ptycho.api.reconstruction import as_result
from ptycho.api.reconstruction_file import arrays_of, file_of
from ptycho.api.result import Result
from ptycho.api.scan_of_run import uncalibrated_scan_of_run
from ptycho.api.training import opened
from ptycho.api.verdict import verdict_of
from ptycho.engines import ENGINES
from ptycho.engines import reconstruction as engines
from ptycho.engines.ending import Ending
from ptycho.engines.nuisances import Refine
from ptycho.engines.stored import from_arrays
from ptycho.errors import ConfigError
from ptycho.learning.model_folder import general_model, load_model
from ptycho.networks.network import Network
from ptycho.physics.device import choose_device
from ptycho.scan.raw_data import RawData
from ptycho.settings.base import from_mapping
from ptycho.settings.refine import RefineSettings
from ptycho.settings.shared import ScanFileSettings

log = logging.getLogger(__name__)


def refine(
    result: Result | Path | str, scan: RawData | Path | str | None = None, /, **settings: Any
) -> Result:
    """Continue a reconstruction with another engine.

    Args:
        result: a reconstruction, its folder or its reconstruction.npz.
        scan: the scan it was made from, or its file; None takes that of a result in memory.
        **settings: any setting of `ptycho refine` by name, such as engine, iterations,
            refine, seed, device.

    Raises:
        ConfigError: If a setting is unknown or the package of the engine is missing.
        DataError: If the reconstruction was not made from this scan.
    """
    chosen = from_mapping(RefineSettings, settings, where="ptycho.refine")
    if scan is None:
        if not isinstance(result, Result):
            raise ConfigError(f"scan: missing; expected the scan from which {result} was made")
        scan = result.scan
    if isinstance(scan, RawData) or isinstance(result, Result):
        return run(prepare(opened(scan), result, chosen))
    raw = uncalibrated_scan_of_run(Path(result), Path(scan), ScanFileSettings())
    return run(prepare(raw, result, chosen))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A refinement of which everything has been checked and nothing computed."""

    settings: RefineSettings
    raw: RawData
    start: engines.Reconstruction
    """The reconstruction to continue from."""
    network: Network
    """For engines that use one: that of the general model."""


def prepare(raw: RawData, result: Result | Path | str, settings: RefineSettings) -> Prepared:
    """Read a reconstruction and check that everything fits.

    Args:
        raw: the scan.
        result: a reconstruction, its folder or its reconstruction.npz.
        settings: of the refinement.

    Raises:
        ConfigError: If the package of the engine is not installed.
        DataError: If the reconstruction was not made from this scan.
    """
    network = network_for(settings)
    use_threads(settings.threads)
    raw = single_scan(raw, None)
    if not isinstance(result, Result):
        raw = as_calibrated(raw, file_of(Path(result)).parent)
    named = "result" if isinstance(result, Result) else str(result)
    start = from_arrays(arrays_of(result), raw, named)
    return Prepared(settings=settings, raw=raw, start=start, network=network)


def network_for(settings: RefineSettings) -> Network:
    """Return the network of the general model, having checked that the engine can be used.

    Raises:
        ConfigError: If the package of the engine is not installed.
    """
    network = load_model(general_model())[0].network
    ENGINES.find(settings.engine)(network)
    return network


def run(prepared: Prepared) -> Result:
    """Continue the reconstruction."""
    settings, frames = prepared.settings, prepared.start.frames
    log.info("engine %s: %s frames", settings.engine, f"{len(frames):,}")
    began = time.perf_counter()
    with collected_warnings() as warnings:
        found = continued(prepared)
        seconds = time.perf_counter() - began
        result = as_result(found, prepared.raw, frames[:, None], settings)
        verdict = verdict_of(result) if settings.verdict else None
    known = (*prepared.raw.warnings, *warnings)
    return dataclasses.replace(result, warnings=known, verdict=verdict, seconds=seconds)


def continued(prepared: Prepared) -> engines.Reconstruction:
    """Return what the engine finds from the start."""
    settings = prepared.settings
    plan = engines.Plan(
        engine=settings.engine,
        ending=Ending(iterations=settings.epochs),
        refine=Refine.named(settings.refine),
        engine_batch_size=settings.batch_size,
        seed=settings.seed,
        device=choose_device(settings.device),
        progress=settings.progress,
    )
    return engines.continue_from(prepared.start, prepared.raw, plan, network=prepared.network)
