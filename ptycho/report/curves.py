"""What the figures of curves show: training losses, held-out residuals, ring correlations.

Data flow: folder of a run, metrics -> [curves] -> Matplotlib (`drawing`) or Bokeh (`plots`).
Knows numbers only; both libraries draw the same curves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from ptycho.metrics import RingCorrelation
from ptycho.report.training import LossChange, loss_change
from ptycho.runs.folder import RunFolder

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
"""Colours that colour-blind readers can distinguish, in the order of the curves.

Source:
    Okabe & Ito, Color Universal Design (2008).
"""

Numbers = Sequence[float] | Sequence[float | None] | Float[np.ndarray, " point"]
"""Values along the common axis of some curves."""

_RINGS = ("correlation", "half_bit", "one_bit")
_LOSSES = {"train_loss": "training", "val_loss": "validation"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """Curves over a common axis."""

    title: str
    """What they show."""

    x: Sequence[float] | Float[np.ndarray, " point"]
    """The common axis."""

    values: Mapping[str, Numbers]
    """Name -> one value for each x; None or NaN leaves a gap."""

    labels: tuple[str, str]
    """Labels of the axes."""

    levels: Mapping[str, float] = field(default_factory=dict)
    """Name -> a horizontal line to compare with."""

    logarithmic: bool = False
    """Whether the vertical axis is logarithmic, if all values are above 0."""

    marked: float | None = None
    """The x at which a vertical line stands."""

    points: Sequence[tuple[float, float]] = ()
    """Points marked on the curves, (x, y)."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the curves as float64 arrays, NaN in the gaps."""
        return {name: np.array(list(v), np.float64) for name, v in self.values.items()}

    @property
    def has_whole_x(self) -> bool:
        """Whether the common axis counts something."""
        return all(float(number).is_integer() for number in self.x)

    @property
    def scale(self) -> Literal["log", "linear"]:
        """Scale of the vertical axis, "log" or "linear"."""
        arrays = [array[np.isfinite(array)] for array in self.arrays().values()]
        positive = all((array > 0).all() for array in arrays)
        return "log" if self.logarithmic and positive else "linear"


def curves_of(run: RunFolder) -> dict[str, Curves]:
    """Return all curves of a run by name: losses, health, held-out residual, ring correlations.

    Args:
        run: finished or not.
    """
    found: dict[str, Curves] = {}
    if run.epochs:
        found |= training_curves(run)
    metrics = run.metrics or {}
    if metrics.get("free_residual"):
        found["free_residual"] = free_residual_curve(
            metrics["free_residual"], int(metrics.get("sweeps") or 0), first=run.first_sweep
        )
    if metrics.get("frc"):
        rings = rings_of(metrics["frc"])
        found["frc"] = ring_curves("Fourier ring correlation with the ground truth", rings)
    if uncertainty := metrics.get("uncertainty") or metrics.get("trust"):
        rings = rings_of(uncertainty["half_data"])
        found["half_data_frc"] = ring_curves("Half-data Fourier ring correlation", rings)
    return found


def training_curves(run: RunFolder) -> dict[str, Curves]:
    """Return the losses and health of a training by name.

    Args:
        run: with at least one epoch.
    """
    x = [float(entry["epoch"]) for entry in run.epochs]

    def known(*names: str) -> dict[str, list[float | None]]:
        entries = run.epochs
        return {name: [e.get(name) for e in entries] for name in names
                if any(name in e for e in entries)}  # fmt: skip

    model = (run.model or {}).get("training") or {}
    found = {
        "loss": loss_curves(
            x, known(*_LOSSES), unit=f"{run.settings.get('loss', 'training')} loss",
            floor=model.get("noise_floor"), change=loss_change(run),
        ),
    }  # fmt: skip
    if power := known("power_ratio"):
        found["power"] = Curves(
            title="Predicted / measured photons", x=x, values={"ratio": power["power_ratio"]},
            labels=("epoch", "ratio"), levels={"expected": 1.0},
        )  # fmt: skip
    if spread := known("patch_spread"):
        found["spread"] = Curves(
            title="Spread of the predicted patches", x=x,
            values={"standard deviation": spread["patch_spread"]},
            labels=("epoch", "standard deviation"), levels={"collapse threshold": 1e-3},
            logarithmic=True,
        )  # fmt: skip
    return found


def loss_curves(
    x: Sequence[float],
    losses: Mapping[str, Numbers],
    *,
    unit: str = "loss",
    floor: float | None = None,
    change: LossChange | None = None,
) -> Curves:
    """Return the losses of each epoch.

    Args:
        x: the epochs.
        losses: `train_loss` and `val_loss`; empty if not measured.
        unit: what the values are.
        floor: loss expected from counting statistics alone, if known.
        change: the validation loss before training, if known.
    """
    levels = {} if floor is None else {"counting noise": floor}
    if change is not None and change.from_start:
        levels["before training"] = change.before
    return Curves(
        title="Training and validation loss" if "val_loss" in losses else "Training loss",
        x=x, values={_LOSSES.get(name, name): v for name, v in losses.items() if len(v)},
        labels=("epoch", unit), levels=levels, logarithmic=True,
    )  # fmt: skip


def free_residual_curve(free_residual: Sequence[float], kept: int, *, first: int = 1) -> Curves:
    """Return the residual of the held-out detector pixels in each iteration.

    Args:
        free_residual: the residuals.
        kept: number of the iteration whose object is the result; marked.
        first: number of the first one; 0 if that is the starting point.
    """
    x = list(range(first, first + len(free_residual)))
    return Curves(
        title="Residual of the held-out pixels", x=x, values={"held-out pixels": free_residual},
        labels=("iteration", "residual"), marked=kept if kept in x else None,
    )  # fmt: skip


def ring_curves(title: str, rings: RingCorrelation) -> Curves:
    """Return a Fourier ring correlation with its thresholds and the crossings.

    Args:
        title: which objects are correlated.
        rings: the correlation; the ring at zero frequency is not drawn.
    """
    levels = {"half-bit": rings.half_bit[1:], "1-bit": rings.one_bit[1:]}
    points = []
    for threshold in rings.thresholds.values():
        level = np.broadcast_to(threshold, rings.frequency.shape)
        if np.isfinite(level).all():
            crossing = rings.crossing(threshold)
            points.append((crossing, float(np.interp(crossing, rings.frequency, level))))
    known = {name: level for name, level in levels.items() if np.isfinite(level).all()}
    return Curves(
        title=title, x=rings.frequency[1:], values={"FRC": rings.correlation[1:], **known},
        labels=("spatial frequency (cycles/px)", "correlation"), levels={"0.5": 0.5},
        points=points,
    )  # fmt: skip


def rings_of(document: Mapping[str, Any]) -> RingCorrelation:
    """Return the Fourier ring correlation in a document of `metrics.json`.

    Args:
        document: its part `frc` or `half_data`; levels that are missing become NaN.
    """
    frequency = np.array(document["frequency_cycles_per_px"], np.float64)
    unknown = np.full(frequency.shape, np.nan)
    curves = [np.array(document.get(name, unknown), np.float64) for name in _RINGS]
    return RingCorrelation(frequency, *curves)
