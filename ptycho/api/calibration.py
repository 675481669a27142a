"""The calibration of a scan, before its reconstruction or on its own.

Data flow: RawData -> [Calibration] -> RawData as it should have been -> reconstruction.
"""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from ptycho.api.loading import single_scan
from ptycho.api.logs import muted
from ptycho.api.training import opened
from ptycho.calibration.calibrate import FEWEST, fits
from ptycho.calibration.calibrate import calibrate as calibrated
from ptycho.calibration.value import Calibration, read_calibration
from ptycho.errors import ConfigError, PtychoError
from ptycho.runs.files import CALIBRATION_FILE
from ptycho.scan.raw_data import RawData
from ptycho.settings.reconstruct import ReconstructSettings

log = logging.getLogger(__name__)

_HARDLY = 0.85
"""Share of what the reading of the file leaves unexplained, above which another is not applied
unasked. Where frames hardly overlap, those held out are predicted badly by right scans, too: 59 %
as read and 54 % calibrated at 20 % overlap, and the calibrated object was 12 dB worse."""
_OF_EACH_TRIAL = "ptycho.scan.scaling"
"""Part of the package that would report the photons of each trial."""


def calibrate(scan: RawData | Path | str, /, *, full: bool = False) -> Calibration:
    """Find from the frames of a scan how it is to be read, and what is to be refined.

    Args:
        scan: the scan, or its file.
        full: whether to try all readings of orientation and probe, even if the one of the file
            fits.

    Raises:
        ConfigError: If it has too few frames.
        DataError: If the file holds no valid scan.
    """
    raw = single_scan(opened(scan), None)
    if raw.n_frames < FEWEST:
        raise ConfigError(f"calibrate: {raw.n_frames} frames; expected {FEWEST} or more")
    with muted(_OF_EACH_TRIAL):
        return calibrated(raw, full=full)


def prepared_scan(
    raw: RawData, settings: ReconstructSettings
) -> tuple[RawData, ReconstructSettings, Calibration | None]:
    """Return a scan and the settings of its reconstruction as a calibration finds them.

    Args:
        raw: the scan, as its file says.
        settings: calibrate and refine say whether to calibrate; calibration, by which file.

    Returns:
        Scan and settings, and the calibration; None if there was none.

    Raises:
        ConfigError: If a file of a calibration does not fit the scan.
        DataError: If it holds no calibration.
    """
    automatic = "auto" in (settings.refine or "").split(",")
    known = _given(settings) or _found(raw, settings, automatic=automatic)
    if known is None:
        return raw, _refining(settings, ()), None
    for line in known.lines():
        log.info("calibration: %s", line)
    if known.setup.words() != "as read":
        text = (
            f"the scan is not read as its file says: {known.setup.words()}; --calibrate off "
            "believes the file"
        )
        log.warning("%s", text)
        raw = replace(raw, warnings=(*raw.warnings, text))
    chosen = _refining(settings, known.refine)
    if known.probe is not None and chosen.refine_probe and (chosen.n_modes or 1) < len(known.probe):
        chosen = replace(chosen, n_modes=len(known.probe))
    return known.applied(raw), chosen, known


def as_calibrated(raw: RawData, folder: Path) -> RawData:
    """Return a scan as the run in a folder read it: by its calibration, if it has one.

    Raises:
        ConfigError: If the calibration does not fit the scan.
        DataError: If its file is damaged.
    """
    path = folder / CALIBRATION_FILE
    return read_calibration(path).applied(raw) if path.is_file() else raw


def _given(settings: ReconstructSettings) -> Calibration | None:
    return None if settings.calibration is None else read_calibration(settings.calibration)


def _found(raw: RawData, settings: ReconstructSettings, *, automatic: bool) -> Calibration | None:
    """Return the calibration that settings ask for, or that the scan turns out to need."""
    if raw.n_frames < FEWEST or settings.sweeps == 0:
        return None
    readings = settings.calibrate == "full"
    if settings.calibrate == "auto":
        with muted(_OF_EACH_TRIAL):
            readings = not fits(raw)
    if not (readings or automatic):
        return None
    log.info(
        "calibration: %s",
        "the scan as read does not explain its frames; trying other readings"
        if readings and settings.calibrate == "auto"
        else "weighing what the frames ask for",
    )
    try:
        with muted(_OF_EACH_TRIAL):
            found = calibrated(raw, readings=readings, full=settings.calibrate == "full")
    except PtychoError as problem:
        log.warning("calibration: not possible: %s", problem)
        return None
    before, after = found.unexplained
    asked_for = automatic or settings.calibrate == "full" or not raw.probe_known
    if not asked_for and after > _HARDLY * before:
        log.info(
            "calibration: no reading explains the frames clearly better: %.1f %% of what varies "
            "predicted wrongly as read, %.1f %% calibrated; the file is believed",
            100 * before, 100 * after,
        )  # fmt: skip
        return None
    return found


def _refining(settings: ReconstructSettings, names: tuple[str, ...]) -> ReconstructSettings:
    """Return settings that refine some parameters more, and leave no choice open."""
    words = [word for word in (settings.refine or "").split(",") if word and word != "auto"]
    changes: dict[str, Any] = {f"refine_{name}": True for name in names}
    refine = ",".join(dict.fromkeys([*words, *names])) or None
    return replace(settings, refine=refine, **changes)
