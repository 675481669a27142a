"""The verdict on a reconstruction: consistent, doubtful or wrong, with its reasons.

Data flow: object -> cross check -> [verdict] -> log, metrics, record, page.
Thresholds are from a study of simulated scans, right and spoiled; see docs/benchmarks/verdict.md.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ptycho.engines.cross_check import CrossCheck

Word = Literal["consistent", "doubtful", "wrong"]

_UNPREDICTED = 0.02
"""Share of the variation that right scans leave unpredicted at most, beyond what noise and sparse
halves cost: 0.014."""
_NULL_SHARE = 0.4
"""Part of what sparse halves cost by which that cost may be off: 0.36 at 0.4 overlap."""
_WRONG = 0.25
"""Share unpredicted above which the picture is called wrong."""
_TOLERATED = 0.35
"""Share unpredicted up to which the forward model may be imperfect, as coherence or the probe, if
the frames clearly distinguish positions and the halves agree: 0.29 on a measured scan with a
refined probe."""
_DISTINGUISHED = 1.15
"""Factor by which scaled positions have to predict worse for that: at most 1.05 on wrong pictures
with as much unpredicted, 1.9 on the measured scan."""
_SCALED_BETTER = 0.9
"""Factor below which scaled positions predict better: 0.4 to 0.8 on scans scaled by 1.1, 0.98 or
more on right ones."""
_UNEXPLAINED = 0.25
"""Share of the variation of the frames used that no right object leaves."""
_ALIKE = 0.8
"""Correlation of coarse structures below which two objects are not the same."""
_COMPARABLE = 0.7
"""Correlation that the halves have to reach on frames counted again for a drop to mean anything."""
_LESS_ALIKE = 0.12
"""Drop of that correlation below what counting noise costs."""
_DISJOINT = 0.5
"""Correlation of the halves below which one has nothing of the other."""
_REPRODUCED = 0.87
"""Correlation with the object from all frames of the part below which it is not determined: 0.89 or
more on right pictures, 0.68 to 0.85 on wrong ones of few photons."""
_NOISY, _HALVES_REPRODUCE = 0.1, 0.85
"""Where the prediction is known to no better than the first, halves have to correlate with the
object by the second."""
_FEWEST = 8
"""Frames predicted, below which nothing is concluded."""
_HANGS_TOGETHER = 0.95
"""Share of the positions in one piece."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether the frames of a scan confirm the object found."""

    word: Word
    """consistent: parts of the scan predict each other; doubtful: they do so in part, or too little
    is known; wrong: they contradict each other."""

    reasons: tuple[str, ...]
    """One sentence each; what was found first."""

    numbers: Mapping[str, float | None] = field(default_factory=dict)
    """What the word rests on by name, see docs/RUN_RECORD.md; None where it is unknown."""

    def document(self) -> dict[str, Any]:
        """Return the verdict as metrics.json and run.json hold it."""
        return {"word": self.word, "reasons": list(self.reasons), "numbers": dict(self.numbers)}

    def sentence(self) -> str:
        """Return word and reasons in one line."""
        return f"{self.word}: {'; '.join(self.reasons)}"


def judge(check: CrossCheck, *, connected: float = 1.0) -> Verdict:
    """Return the verdict on a reconstruction.

    Args:
        check: agreement of two halves of a part of the scan.
        connected: share of the positions in the largest group of overlapping frames.
    """
    wrong, doubts, notes = _prediction(check)
    if not check.unexplained <= _UNEXPLAINED and not math.isnan(check.unexplained):
        (wrong if check.excess > _UNPREDICTED else doubts).append(
            f"the object leaves {check.unexplained:.0%} of what varies from frame to frame "
            "unexplained in the very frames it was made from"
        )
    _agreement(check, wrong, doubts)
    if connected < _HANGS_TOGETHER:
        doubts.append(
            f"only {connected:.0%} of the positions overlap with each other; the others are "
            "islands of unknown phase"
        )
    word: Word = "wrong" if wrong else "doubtful" if doubts else "consistent"
    numbers = {name: _known(value) for name, value in check._asdict().items()}
    return Verdict(
        word=word,
        reasons=tuple(wrong + doubts + ([] if wrong or doubts else notes)),
        numbers=numbers | {"connected": _known(connected)},
    )


def _prediction(check: CrossCheck) -> tuple[list[str], list[str], list[str]]:
    """Return reasons for wrong, doubtful and consistent, from frames that were predicted."""
    if check.n_predicted < _FEWEST or math.isnan(check.unpredicted):
        return [], ["the frames overlap or differ too little to predict each other"], []
    excess = check.excess
    beyond = excess - 2 * check.error - _NULL_SHARE * max(check.unpredicted_if_right, 0.0)
    found = (
        f"{max(excess, 0.0):.0%} of what varies from frame to frame is not predicted by frames "
        "around, beyond counting noise"
    )
    if check.unpredicted_if_scaled < _SCALED_BETTER:
        reason = f"{found}; positions scaled by 8 % predict better: check their unit and scale"
        return ([reason], [], []) if beyond > _WRONG else ([], [reason], [])
    if beyond <= _UNPREDICTED:
        return [], [], [f"{found} ({check.n_predicted} frames)"]
    distinguished = check.unpredicted_if_scaled >= _DISTINGUISHED
    if distinguished and beyond <= _TOLERATED and check.correlation >= _ALIKE:
        return [], [], [
            f"{found}, so the model of the measurement is not exact; but positions are confirmed: "
            f"scaled by 8 %, they predict {check.unpredicted_if_scaled:.1f} times worse"
        ]  # fmt: skip
    remedy = "; check orientation, unit and order of the positions, and the probe"
    return ([found + remedy], [], []) if beyond > _WRONG else ([], [found + remedy], [])


def _agreement(check: CrossCheck, wrong: list[str], doubts: list[str]) -> None:
    """Add what the objects of the two halves say."""
    halves, if_right = check.correlation, check.correlation_if_right
    known = not (math.isnan(halves) or math.isnan(if_right))
    if not known:
        return
    found = f"the objects of two halves of the frames correlate by {halves:.2f} over coarse parts"
    if halves < _DISJOINT and if_right > _ALIKE:
        wrong.append(f"{found}; {if_right:.2f} were expected")
    elif if_right > _COMPARABLE and halves < if_right - _LESS_ALIKE:
        doubts.append(f"{found}; {if_right:.2f} were expected")
    if check.part_correlation < _REPRODUCED:
        doubts.append(
            f"a part of the frames alone gives an object that correlates with this one by "
            f"{check.part_correlation:.2f} over coarse parts: dose, overlap or the model of the "
            "measurement do not determine it"
        )
    elif check.error > _NOISY and check.object_correlation < _HALVES_REPRODUCE:
        doubts.append(
            f"too few photons: half of the frames gives an object that correlates with this one by "
            f"{check.object_correlation:.2f} over coarse parts"
        )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
