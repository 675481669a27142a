"""A reconstruction, as `ptycho.reconstruct` and `ptycho.refine` return it."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Complex, Float, Int

from ptycho.api.shown import Shown
from ptycho.api.tables import Rows
from ptycho.api.uncertainty_values import SampledUncertainty
from ptycho.calibration.value import Calibration
from ptycho.durations import duration
from ptycho.engines.verdict import Verdict
from ptycho.metrics import Comparison
from ptycho.report.figures import ObjectView, draw_result, thumbnail
from ptycho.report.images import Placement
from ptycho.report.notebook import Figure
from ptycho.report.numbers import metrics_table, uncertainty_table
from ptycho.scan.raw_data import RawData
from ptycho.settings.base import Settings


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Result(Shown):
    """The reconstructed object of a scan, and how well it explains the frames."""

    figure_size: ClassVar[tuple[float, float]] = (14.0, 8.0)
    """Width and height of its figure, inches."""

    obj: Complex[np.ndarray, "row col"]
    """Complex transmission; 0 where no frame was illuminated."""

    coverage: Float[np.ndarray, "height width"]
    """Illumination of each pixel relative to the brightest spot of one frame."""

    origin: tuple[int, int]
    """(row, col) of pixel (0, 0) in scan coordinates, object pixels."""

    probe: Complex[np.ndarray, "mode n n"]
    """Illumination, sqrt(photons) per object pixel; refined if asked for."""

    frames: Int[np.ndarray, " frame"]
    """Indices of the frames used, ascending."""

    positions: Float[np.ndarray, "frame 2"]
    """Probe centres (row, col) of these frames, object pixels; refined if asked for."""

    residuals: Float[np.ndarray, " frame"]
    """sum (sqrt I - sqrt n)^2 / sum n of each frame; NaN for a frame without photons."""

    intensity: Float[np.ndarray, " frame"] | None = None
    """Beam intensity of each frame relative to the mean; None if not estimated."""

    background: Float[np.ndarray, "n n"] | None = None
    """Background photons per detector pixel; None if there are none."""

    probe_components: Complex[np.ndarray, "component n n"] | None = None
    """Orthogonal components, of power 1, of a probe that varies over the scan; None if it does not:
    the first mode of a frame is probe[0] + p sum_k weight_k component_k, with p^2 the power of the
    probe, summed over its modes."""

    probe_weights: Float[np.ndarray, "frame component"] | None = None
    """Their weights in each frame, of mean 0."""

    free_residual: tuple[float, ...] = ()
    """Poisson deviance per photon of the held-out pixels in each iteration."""

    iterations: int = 0
    """Iteration whose result this is; 0 without iterations."""

    unexplained: tuple[float | None, float] | None = None
    """Fraction of the photons beyond counting noise that the object of the network and the final
    one leave unexplained; None where it was not computed."""

    unexplained_variation: float = math.nan
    """Fraction of the variation from frame to frame, beyond counting noise, that the object leaves
    unexplained; above 0.25 the scan is not as its file says. NaN if all frames are the same."""

    uncertainty: SampledUncertainty | None = None
    """Uncertainty of each pixel; None if not asked for."""

    verdict: Verdict | None = None
    """Whether the frames confirm the object, and why; None if that was not examined."""

    calibration: Calibration | None = None
    """How the scan was read instead of as its file says, and what was refined for it; None if it
    was not calibrated."""

    warnings: tuple[str, ...] = ()
    """Warnings logged during the reconstruction."""

    seconds: float = 0.0
    """Time of the reconstruction."""

    scan: RawData
    """The scan."""

    groups: Int[np.ndarray, "group member"]
    """Frame indices of the groups from which the network started; single frames without one."""

    settings: Settings
    """The settings of the reconstruction."""

    @property
    def pixel_size_m(self) -> float | None:
        """Size of an object pixel in metres, None if unknown."""
        return self.scan.pixel_size_m

    @functools.cached_property
    def comparison(self) -> Comparison | None:
        """Comparison with the object of the scan; None if there is none that fits the scan."""
        from ptycho.api.saving import compare_with_scan

        return compare_with_scan(self)

    @functools.cached_property
    def metrics(self) -> dict[str, Any]:
        """The numbers of metrics.json."""
        from ptycho.api.saving import metrics_of

        return metrics_of(self)

    def title(self) -> str:
        """Return what the value is, in one line."""
        height, width = self.obj.shape
        return f"Result: object of {height} x {width} pixels from {len(self.frames):,} frames"

    def rows(self) -> Rows:
        """Return its numbers as pairs of name and value."""
        rows = [("iterations", str(self.iterations)), ("time", duration(self.seconds))]
        if self.verdict is not None:
            rows.insert(0, ("verdict", self.verdict.sentence()))
        if self.calibration is not None:
            rows += [("calibration", line) for line in self.calibration.lines()]
        rows += metrics_table(self.metrics) + uncertainty_table(self.metrics.get("uncertainty"))
        return [*rows, *(("warning", text) for text in self.warnings)]

    def view(self) -> ObjectView:
        """Return what figures show of it."""
        return ObjectView(
            obj=self.obj, coverage=self.coverage,
            placement=Placement(self.origin, self.pixel_size_m), positions=self.positions,
            residuals=self.residuals, probe=self.probe,
        )  # fmt: skip

    def draw(self, figure: Figure) -> None:
        """Draw amplitude, phase, coverage, residuals and probe into an empty figure."""
        draw_result(figure, self.view())

    def preview(self) -> bytes:
        """Return amplitude and phase as a small PNG, for a notebook."""
        return thumbnail(self.view())

    def save(self, folder: Path | str, *, overwrite: bool = False, report: bool = True) -> Path:
        """Write arrays, pictures, metrics and the page of the run; return the folder.

        Args:
            folder: created if missing; what `ptycho reconstruct` writes.
            overwrite: whether to delete the results of an earlier run in the folder; else they are
                moved to its subfolder earlier.
            report: whether to write report.html.
        """
        from ptycho.api.saving import save_result

        return save_result(self, Path(folder), overwrite=overwrite, report=report)


def with_warnings(result: Result, warnings: Sequence[str]) -> Result:
    """Return a result with the warnings of its reconstruction."""
    return dataclasses.replace(result, warnings=tuple(warnings))
