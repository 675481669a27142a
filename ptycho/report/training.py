"""How far a training has improved the loss.

Data flow: history and model of a run -> [one sentence] -> page.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ptycho.runs.folder import RunFolder

_NEGLIGIBLE = 0.02
"""Improvement, as a share of the loss above the noise floor, below which the network is said to be
that of the starting point."""

_NAMES = {"val_loss": "validation loss", "train_loss": "training loss"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LossChange:
    """The loss before and after a training."""

    name: str
    """Which loss."""

    before: float
    """Before the first step; after the first epoch if that was not measured."""

    after: float
    """Of the best epoch."""

    from_start: bool
    """Whether `before` was measured before the first step."""

    floor: float | None = None
    """Loss expected from counting statistics alone; None when unknown."""

    @property
    def share(self) -> float:
        """Improvement as a share of the loss before."""
        return (self.before - self.after) / self.before if self.before > 0 else 0.0

    @property
    def negligible(self) -> bool:
        """Whether the training has changed next to nothing."""
        above_floor = self.before - min(self.floor or 0.0, self.after)
        return self.before - self.after <= _NEGLIGIBLE * above_floor

    def sentence(self) -> str:
        """Return the change in one sentence, with what it means."""
        since = "" if self.from_start else " after the first epoch"
        figures = f"the {self.name}{since} from {self.before:.4g} to {self.after:.4g}"
        if self.after >= self.before:
            sentence = f"Training did not improve {figures}"
        else:
            sentence = f"Training improved {figures} ({100 * self.share:.2g} %)"
        if not self.negligible:
            return f"{sentence}."
        if self.from_start:
            return f"{sentence}: the result is that of the starting point."
        return f"{sentence}: the later epochs changed almost nothing."


def loss_change(run: RunFolder) -> LossChange | None:
    """Return how a training has changed its loss; None if fewer than two values are known.

    Args:
        run: a training, finished or not.
    """
    training = (run.model or {}).get("training") or {}
    name = "val_loss" if any("val_loss" in epoch for epoch in run.epochs) else "train_loss"
    losses = [(epoch["epoch"], epoch[name]) for epoch in run.epochs if _is_number(epoch, name)]
    before = training.get("loss_before")
    later = [loss for number, loss in losses if number > 0]
    if len(later) < (2 if before is None else 1):
        return None
    return LossChange(
        name=_NAMES[name], before=later[0] if before is None else before, after=min(later),
        from_start=before is not None, floor=training.get("noise_floor"),
    )  # fmt: skip


def _is_number(entry: Mapping[str, Any], name: str) -> bool:
    return isinstance(entry.get(name), int | float)
