"""The calibration of a run for its page and the viewer: what was found, and the evidence.

Data flow: folder of a run -> [tables, picture] -> page, viewer.
"""

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ptycho.calibration.value import Calibration
from ptycho.durations import duration
from ptycho.report.numbers import Rows

_AT_ONCE = 8
"""Readings shown at once; the others are folded away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationPart:
    """The section of a page about a calibration."""

    found: Rows
    """What was found."""

    readings: Rows
    """The best readings and their scores."""

    further: Rows
    """The other readings."""

    rounds: tuple[tuple[str, ...], ...]
    """Round, parameter, score, gain, standard errors and decision of each nuisance parameter."""

    picture: str
    """The scores as a PNG, as a data URL; empty if there is none."""


def calibration_part(known: Calibration) -> CalibrationPart:
    """Return the section of a page about a calibration."""
    from ptycho.report.calibration_figure import calibration_png  # Matplotlib takes time to load

    readings = readings_table(known)
    drawn = known.readings or known.rounds
    picture = calibration_png(known.readings, known.rounds) if drawn else b""
    encoded = base64.b64encode(picture).decode("ascii")
    return CalibrationPart(
        found=found_table(known), readings=readings[:_AT_ONCE], further=readings[_AT_ONCE:],
        rounds=tuple(_round(each) for each in known.rounds),
        picture=f"data:image/png;base64,{encoded}" if picture else "",
    )  # fmt: skip


def found_table(known: Calibration) -> Rows:
    """Return what a calibration found as rows of name and value."""
    return [*known.rows(), ("time", duration(known.seconds))]


def readings_table(known: Calibration) -> Rows:
    """Return the readings tried and the share that each predicts wrongly, the best first."""
    scored = [(str(each["words"]), float(each["unexplained"])) for each in known.readings]
    scored.sort(key=lambda pair: math.inf if math.isnan(pair[1]) else pair[1])
    return [(words, _percent(score)) for words, score in scored]


def _round(each: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(each["round"]), str(each["name"]), _percent(each["unexplained"]),
        _gain(each["gain"]), f"{each['sigmas']:.1f}", "kept" if each["kept"] else "not kept",
    )  # fmt: skip


def _gain(share: float) -> str:
    return "below -100 %" if share < -1 else _percent(share)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if math.isfinite(share) else "not possible"
