"""A network trained on a scan, as `ptycho.train` returns it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Complex

from ptycho.api.groups import Groups
from ptycho.api.shown import Shown
from ptycho.api.tables import Rows
from ptycho.durations import duration
from ptycho.grouping import Parts, Split
from ptycho.learning.model import PtychoModel
from ptycho.learning.model_folder import ModelSettings
from ptycho.report.figures import draw_training_curves
from ptycho.report.notebook import Figure
from ptycho.scan.raw_data import RawData
from ptycho.settings.base import Settings


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
