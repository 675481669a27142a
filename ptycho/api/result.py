"""What the functions return: groups, a trained model, a reconstruction, a comparison.

Values in memory. Nothing is written until `save` is called; `show` opens a figure.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Complex, Float, Int

from ptycho.api.tables import Rows, as_html, as_text
from ptycho.api.uncertainty_values import ResampledUncertainty
from ptycho.durations import duration
from ptycho.grouping import Coverage, Parts, Split
from ptycho.learning.model import PtychoModel
from ptycho.learning.model_folder import ModelSettings
from ptycho.metrics import Comparison
from ptycho.report.figures import (
    ObjectView,
    draw_comparison,
    draw_result,
    draw_training_curves,
    thumbnail,
)
from ptycho.report.group_figure import draw_groups
from ptycho.report.images import Placement
from ptycho.report.notebook import Figure, figure_png, image_tag, open_figure
from ptycho.report.numbers import metrics_table, uncertainty_table
from ptycho.scan.raw_data import RawData
from ptycho.settings.base import Settings


class Shown:
    """A value that prints as a table: a title, then rows of name and value."""

    figure_size: ClassVar[tuple[float, float]] = (10.0, 4.5)
    """Width and height of its figure, inches."""

    def title(self) -> str:
        """Return what the value is, in one line."""
        raise NotImplementedError

    def rows(self) -> Rows:
        """Return its numbers as pairs of name and value."""
        raise NotImplementedError

    def draw(self, figure: Figure) -> None:
        """Draw the value into an empty figure."""
        raise NotImplementedError

    def show(self) -> Figure:
        """Open a figure in a window or notebook, if there is one; return it."""
        return open_figure(self.draw, *self.figure_size)

    def preview(self) -> bytes:
        """Return its figure as PNG, for a notebook."""
        return figure_png(self.draw, *self.figure_size)

    def __repr__(self) -> str:
        """Return the table as text."""
        return as_text(self.title(), self.rows())

    def _repr_html_(self) -> str:
        """Return table and figure for a notebook."""
        return as_html(self.title(), self.rows()) + image_tag(self.preview())


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Groups(Shown):
    """Groups of overlapping frames sampled from a scan."""

    members: Int[np.ndarray, "group member"]
    """Frame indices, one row per group."""

    coverage: Coverage
    """What the groups use of the scan."""

    positions: Float[np.ndarray, "position 2"]
    """Probe centres (row, col) of the whole scan, object pixels."""

    sampling: str
    """How the groups were sampled."""

    def __len__(self) -> int:
        """Return the number of groups."""
        return len(self.members)

    def title(self) -> str:
        """Return what the value is, in one line."""
        n_groups, size = self.members.shape
        return f"Groups: {n_groups:,} of {size} frames, sampling {self.sampling}"

    def rows(self) -> Rows:
        """Return its numbers as pairs of name and value."""
        found = self.coverage
        overlap = found.median_overlap
        return [
            ("positions used", f"{found.n_different:,} of {found.n_positions:,}"),
            ("patterns", f"{found.n_patterns:,}, at most {found.most_uses} of one position"),
            ("largest gap", f"{found.largest_gap:.3g} px"),
            ("median overlap", "-" if np.isnan(overlap) else f"{100 * overlap:.0f} %"),
        ]

    def draw(self, figure: Figure) -> None:
        """Draw the positions and the groups into an empty figure."""
        draw_groups(figure, self.positions, self.members, self.coverage)

    def save(self, folder: Path | str, *, overwrite: bool = False) -> Path:
        """Write coverage.json and groups.png; return the folder.

        Args:
            folder: created if missing.
            overwrite: delete the results of an earlier run in it; otherwise they are moved to its
                subfolder earlier.
        """
        from ptycho.api.saving import save_found_groups

        return save_found_groups(self, Path(folder), overwrite=overwrite)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TrainedModel(Shown):
    """A network trained on a scan, with what is needed to use and to save it."""

    model: PtychoModel
    """Network and physics, with the weights of the best epoch."""

    description: ModelSettings
    """What settings.json of a model folder holds: network, sizes, results of the training."""

    settings: Settings
    """The settings of the training."""

    curves: Mapping[str, Sequence[float]]
    """train_loss and val_loss of each epoch; val_loss is empty without validation."""

    scan: RawData
    """The scan; of several, the first."""

    groups: Groups
    """Its groups that were chosen."""

    split: Split | Parts | None
    """Which of them were used for training and validation; None if another scan validated."""

    given_probe: Complex[np.ndarray, "mode n n"] | None = None
    """The probe before it was refined; None if it was not."""

    history: str = ""
    """Lines of history.jsonl: one JSON object per epoch."""

    warnings: tuple[str, ...] = ()
    """Warnings logged during the training."""

    def title(self) -> str:
        """Return what the value is, in one line."""
        described = self.description
        size = described.frame_size
        return (
            f"Trained model: {described.network}, gridsize {described.gridsize}, "
            f"frames of {size} x {size}"
        )

    def rows(self) -> Rows:
        """Return its numbers as pairs of name and value."""
        found = self.description.training
        rows = [
            ("samples", f"{found['n_groups']:,}"),
            ("epochs", f"{found['epochs']}"),
            (f"best {found['monitored']}", f"{found['best_loss']:.4g}"),
            ("counting noise", f"{found['noise_floor']:.4g}"),
            ("training time", duration(found["seconds"])),
        ]
        return [*rows, *(("warning", text) for text in self.warnings)]

    def draw(self, figure: Figure) -> None:
        """Draw the losses into an empty figure."""
        draw_training_curves(figure, self.curves, floor=self.description.training["noise_floor"])

    def save(self, folder: Path | str, *, overwrite: bool = False, report: bool = True) -> Path:
        """Write model, settings, curves and the page of the run; return the folder.

        Args:
            folder: created if missing; `ptycho reconstruct --model_path` takes it.
            overwrite: whether to delete the results of an earlier run in the folder; else they are
                moved to its subfolder earlier.
            report: whether to write report.html.
        """
        from ptycho.api.saving import save_trained

        return save_trained(self, Path(folder), overwrite=overwrite, report=report)


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

    free_residual: tuple[float, ...] = ()
    """Poisson deviance per photon of the held-out pixels in each iteration."""

    iterations: int = 0
    """Iteration whose result this is; 0 without iterations."""

    unexplained: tuple[float | None, float] | None = None
    """Fraction of the photons beyond counting noise that the object of the network and the final
    one leave unexplained; None where it was not computed."""

    uncertainty: ResampledUncertainty | None = None
    """Uncertainty of each pixel; None if not asked for."""

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


def with_warnings(result: Result, warnings: Sequence[str]) -> Result:
    """Return a result with the warnings of its reconstruction."""
    return dataclasses.replace(result, warnings=tuple(warnings))
