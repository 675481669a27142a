"""The inspection of a scan: all checks that need no reconstruction, in one call.

Data flow: file -> RawData -> [findings] -> log, run record, page, `ptycho inspect`.
Every command that computes calls it first: errors stop it, warnings are logged and recorded.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from ptycho.scan.findings import Finding
from ptycho.scan.frame_checks import FRAME_CHECKS
from ptycho.scan.position_checks import POSITION_CHECKS
from ptycho.scan.raw_data import RawData
from ptycho.scan.sample import Sample, sampled


@dataclass(frozen=True, kw_only=True, eq=False)
class Inspection:
    """What an inspection found."""

    sample: Sample
    """What the checks looked at."""

    findings: tuple[Finding, ...]
    """Errors first, then warnings, then notes."""

    @property
    def errors(self) -> list[Finding]:
        """Findings with which nothing useful can be computed."""
        return [found for found in self.findings if found.severity == "error"]

    @property
    def warnings(self) -> list[Finding]:
        """Findings that spoil the picture."""
        return [found for found in self.findings if found.severity == "warning"]

    def proposed_mask(self) -> Bool[np.ndarray, "row col"]:
        """Return the valid pixels without those that the findings exclude in all frames."""
        valid: np.ndarray = self.sample.valid.copy()
        for finding in self.findings:
            for row, col in finding.pixels:
                valid[row, col] = False
        return valid


def inspect_scan(raw: RawData, *, frames_only: bool = False, every: bool = False) -> Inspection:
    """Look at a scan as far as that is possible without a reconstruction.

    Reads every frame once, or an evenly spread part of a scan of more than 4e8 pixels.

    Args:
        raw: the scan.
        frames_only: whether to check its frames only, as its positions are not in object pixels.
        every: whether to read every frame, however many.

    Raises:
        DataError: If a frame holds negative or infinite values.
    """
    sample = sampled(raw, every=every)
    checks = FRAME_CHECKS if frames_only else (*POSITION_CHECKS, *FRAME_CHECKS)
    found = [finding for check in checks for finding in check(sample)]
    order = ("error", "warning", "note")
    return Inspection(
        sample=sample, findings=tuple(sorted(found, key=lambda f: order.index(f.severity)))
    )
