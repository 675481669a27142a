"""Tables of a run for its page: all its numbers, the few that matter most, the coverage.

Data flow: folder of a run -> [tables] -> page, viewer.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ptycho.durations import duration
from ptycho.report.numbers import (
    Rows,
    metrics_table,
    resolution,
    uncertainty_of,
    uncertainty_table,
)
from ptycho.runs.folder import RunFolder


def numbers_of(run: RunFolder) -> Rows:
    """Return all numbers of a run."""
    training = (run.model or {}).get("training") or {}
    metrics = run.metrics or {}
    return [
        *_training_table(training),
        *metrics_table(metrics),
        *uncertainty_table(uncertainty_of(metrics)),
    ]


def verdict_lines(run: RunFolder) -> list[str]:
    """Return the word of the verdict on a run and its reasons; nothing if there is none."""
    verdict = (run.metrics or {}).get("verdict") or {}
    return [str(verdict["word"]), *map(str, verdict["reasons"])] if "word" in verdict else []


def key_numbers(run: RunFolder) -> Rows:
    """Return the few numbers by which a run is judged, those that are known."""
    metrics, training = run.metrics or {}, (run.model or {}).get("training") or {}
    found = metrics.get("object") or {}
    uncertainty = uncertainty_of(metrics) or {}
    half = uncertainty.get("half_data") or {}
    rows = [
        ("phase PSNR", _written(found.get("phase_psnr_db"), "{:.1f} dB")),
        ("phase SSIM", _written(found.get("phase_ssim"), "{:.3f}")),
        ("resolution, FRC = 0.5", resolution(found, "05")),
        ("resolution, half-data FRC", resolution(half, "half_bit")),
        ("phase uncertainty", _written(uncertainty.get("phase_std_rad"), "{:.2g} rad")),
        ("detector residual", _percent(metrics.get("detector_residual"))),
        ("frames", _written(metrics.get("n_frames"), "{:,}")),
        (f"best {_loss_name(training)}", _written(training.get("best_loss"), "{:.4g}")),
        ("counting noise", _written(training.get("noise_floor"), "{:.4g}")),
        ("epochs", _written(training.get("epochs"), "{}")),
        ("training samples", _written(training.get("n_groups"), "{:,}")),
        ("training time", _written(training.get("seconds"), "{}", duration)),
    ]
    return [(name, value) for name, value in rows if value]


def _training_table(training: Mapping[str, Any]) -> Rows:
    rows = []
    if "n_groups" in training:
        rows.append(("training samples", f"{training['n_groups']:,}"))
    if "epochs" in training:
        rows.append(("epochs", f"{training['epochs']}"))
    if "best_loss" in training:
        floor = training.get("noise_floor")
        noise = "" if floor is None else f"; expected from counting noise alone: {floor:.4g}"
        rows.append((f"best {_loss_name(training)}", f"{training['best_loss']:.4g}{noise}"))
    if "steps" in training:
        rows.append(("update steps", f"{training['steps']:,}"))
    if "learned_error_db" in training:
        rows.append(("mean square error", f"{training['learned_error_db']:.2f} dB; without the "
                     f"network {training['swept_error_db']:.2f} dB"))  # fmt: skip
    if "seconds" in training:
        rows.append(("training time", duration(training["seconds"])))
    return rows


def coverage_table(coverage: Mapping[str, Any]) -> Rows:
    """Return what groups use of a scan, as rows of name and value.

    Args:
        coverage: the numbers of `coverage.json`; those that are missing or None are left out.
    """

    def known(name: str, form: str, factor: float = 1) -> str:
        value = coverage.get(name)
        return "" if value is None else form.format(factor * value)

    plural = "" if coverage.get("group_size") == 1 else "s"
    uses = enumerate(coverage.get("exposures") or ())
    distances = [known("median_pair_distance", "median {:.3g}"),
                 known("mean_pair_distance", "mean {:.3g}")]  # fmt: skip
    sides = [known("median_columns", "{:.3g} wide"), known("median_rows", "{:.3g} high")]
    rows = [
        ("groups", known("n_groups", "{:,}") + known("group_size", f" of {{}} frame{plural}")),
        ("patterns, with repetitions", known("n_patterns", "{:,}")),
        ("positions used", known("n_different", "{:,}") + known("n_positions", " of {:,}")
         + known("share", " ({:.3g} %)", 100)),
        ("uses of a position", ", ".join(f"{n:,} {_times(i)}" for i, n in uses if n)),
        ("median overlap of a pair", known("median_overlap", "{:.0f} %", 100)),
        ("distance of a pair (px)", _joined(distances)),
        ("size of a group, median (px)", _joined(sides)),
        ("groups that lie on a line", known("line_share", "{:.3g} %", 100)),
        ("nearest-neighbour distance (px)", known("spacing", "{:.3g}")),
        ("positions within that distance of a used one", known("near_share", "{:.3g} %", 100)),
        ("largest distance to a used one (px)", known("largest_gap", "{:.3g}")),
        ("discrepancy of the centres", known("discrepancy", "{:.2g}")),
    ]  # fmt: skip
    return [(name, value) for name, value in rows if value]


def split_table(coverage: Mapping[str, Any]) -> Rows:
    """Return how the groups of a training are split, as rows of name and value.

    Args:
        coverage: the numbers of `coverage.json`.
    """
    split = coverage.get("split") or {}
    names = {
        "n_training": "training groups",
        "n_validation": "validation groups",
        "n_test": "test groups",
        "n_guard_groups": "groups excluded in the guard band",
        "n_guard_positions": "positions in the guard band",
    }
    rows = [(name, f"{split[key]:,}") for key, name in names.items() if split.get(key) is not None]
    return [*rows, ("no validation", str(split["reason"]))] if split.get("reason") else rows


def _loss_name(training: Mapping[str, Any]) -> str:
    monitored = str(training.get("monitored", "loss"))
    return {"val_loss": "validation loss", "train_loss": "training loss"}.get(monitored, monitored)


def _times(number: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(number, f"{number} times")


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f} %"


def _written(value: Any, form: str, change: Any = lambda value: value) -> str:
    return "" if value is None else form.format(change(value))


def _joined(parts: Iterable[str]) -> str:
    return ", ".join(part for part in parts if part)
