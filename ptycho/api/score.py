"""A comparison of objects, as `ptycho.evaluate` returns it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int

from ptycho.api.shown import Shown
from ptycho.api.tables import Rows
from ptycho.metrics import Comparison
from ptycho.report.figures import draw_comparison
from ptycho.report.notebook import Figure
from ptycho.report.numbers import metrics_table
from ptycho.settings.base import Settings


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Score(Shown):
    """How good an object is: metrics against a ground truth, or against its own frames."""

    figure_size: ClassVar[tuple[float, float]] = (15.0, 9.0)
    """Width and height of its figure, inches."""

    metrics: Mapping[str, Any]
    """The numbers of metrics.json."""

    comparison: Comparison | None = None
    """The aligned objects; None without a ground truth."""

    residuals: Float[np.ndarray, " frame"] | None = None
    """sum (sqrt I - sqrt n)^2 / sum n of each frame; None if frames were not compared."""

    deviances: Float[np.ndarray, " frame"] | None = None
    """Poisson deviance per pixel of each frame; None if frames were not compared."""

    frames: Int[np.ndarray, " frame"] | None = None
    """Indices of these frames in the scan."""

    settings: Settings
    """The settings of the comparison."""

    def __getitem__(self, name: str) -> Any:
        """Return a number by name, such as phase_psnr_db or detector_residual."""
        numbers = dict(self.metrics) | dict(self.metrics.get("object") or {})
        return numbers[name]

    def title(self) -> str:
        """Return what the value is, in one line."""
        truth = self.metrics.get("truth")
        return "Score" if truth is None else f"Score against {truth}"

    def rows(self) -> Rows:
        """Return its numbers as pairs of name and value."""
        return metrics_table(self.metrics)

    def draw(self, figure: Figure) -> None:
        """Draw object, ground truth and their correlation into an empty figure."""
        if self.comparison is not None:
            draw_comparison(figure, self.comparison, self.metrics)

    def save(self, folder: Path | str, *, overwrite: bool = False, report: bool = True) -> Path:
        """Write metrics.json, the figure and the page of the run; return the folder.

        Args:
            folder: created if missing; in that of a reconstruction the score is added to that run.
            overwrite: whether to delete the results of an earlier evaluation in the folder.
            report: whether to write report.html.
        """
        from ptycho.api.saving import save_score

        return save_score(self, Path(folder), overwrite=overwrite, report=report)
