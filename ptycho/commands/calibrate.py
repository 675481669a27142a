"""`ptycho calibrate SCAN`: how a scan is to be read, found from its frames."""

import json
import logging

from ptycho.api.calibration import calibrate
from ptycho.api.loading import read_scan
from ptycho.calibration.value import Calibration
from ptycho.settings.calibrate import CalibrateConfig
from ptycho.settings.reading import exclude_of, reading_of

log = logging.getLogger(__name__)


def run(config: CalibrateConfig) -> str:
    """Return what was found as text or JSON; write the file and the picture if asked for.

    Raises:
        PtychoError: If the scan cannot be calibrated.
    """
    raw = read_scan(config.source, reading_of(config), exclude=exclude_of(config))
    found = calibrate(raw, full=config.full)
    if config.output is not None:
        config.output.parent.mkdir(parents=True, exist_ok=True)
        found.save(config.output)
    if config.picture is not None:
        from ptycho.report.calibration_figure import save_calibration

        config.picture.parent.mkdir(parents=True, exist_ok=True)
        save_calibration(config.picture, found.readings, found.rounds)
    return json.dumps(found.document(), indent=1) if config.json else _text(found)


def _text(found: Calibration) -> str:
    lines = [*found.lines(), "", "held-out frames predicted wrongly, of what varies:"]
    tried = sorted(found.readings, key=lambda each: each["unexplained"])
    lines += [f"  {100 * each['unexplained']:6.1f} %  {each['words']}" for each in tried]
    for each in found.rounds:
        kept = ", kept" if each["kept"] else ""
        lines.append(
            f"  {100 * each['unexplained']:6.1f} %  round {each['round']}: {each['name']} "
            f"({each['sigmas']:.1f} standard errors{kept})"
        )
    return "\n".join(lines)
