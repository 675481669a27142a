"""Runs side by side: what tells them apart, and what they have reached.

Way of the data: ... -> [folders of runs -> table]. Plain words and numbers.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ptycho.runs.folder import RunFolder

_OF_THE_CONSOLE = ("output_dir", "progress", "quiet", "verbose", "json_log", "report", "cache")
_OBJECT = (
    "phase_psnr_db", "phase_ssim", "amplitude_psnr_db", "amplitude_ssim",
    "frc_05_share_of_nyquist", "frc_half_bit_share_of_nyquist", "object_residual",
)  # fmt: skip
_NUMBERS = ("detector_residual", "poisson_deviance_per_pixel", "sweeps", "n_frames")
_TRAINING = ("epochs", "best_loss", "noise_floor", "seconds", "n_groups")
_UNCERTAINTY = ("phase_std_rad", "amplitude_std", "misfit_ratio")


def side_by_side(runs: Sequence[RunFolder]) -> dict[str, Any]:
    """Return what tells the runs apart and what they have reached.

    Args:
        runs: in the order of the columns.

    Returns:
        `runs`, their folders; `run`, `settings` (those that differ between runs that have them) and
        `results`: by name, one value for each run, None where a run has none.
    """
    settings = [_told(run.settings) for run in runs]
    results = [results_of(run) for run in runs]
    differing = {
        name: values
        for name, values in _columns(settings).items()
        if len({repr(each[name]) for each in settings if name in each}) > 1
    }
    facts = [
        {"kind": run.kind, "finished": run.finished, "took_s": _seconds(run), "ptycho": run.version}
        for run in runs
    ]
    return {
        "runs": [str(run.path) for run in runs],
        "run": _columns(facts),
        "settings": differing,
        "results": _columns(results),
    }


def as_table(document: Mapping[str, Any]) -> str:
    """Return the lines of a table, a column for each run.

    Args:
        document: from `side_by_side`.
    """
    lines = [["", *document["runs"]]]
    for title in ("run", "settings", "results"):
        rows = document[title]
        heading = "settings that differ" if title == "settings" else title
        lines.append([heading if rows else f"{heading}: none", *[""] * len(document["runs"])])
        lines += [[f"  {name}", *map(word, values)] for name, values in rows.items()]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    padded = (
        "  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True))
        for line in lines
    )
    return "\n".join(line.rstrip() for line in padded)


def _told(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in _OF_THE_CONSOLE}


def results_of(run: RunFolder) -> dict[str, Any]:
    """Return the numbers of a run that are worth a line."""
    metrics = run.metrics or {}
    parts = [
        (metrics, _NUMBERS),
        (metrics.get("unexplained_light") or {}, ("object",)),
        (metrics.get("object") or {}, _OBJECT),
        (metrics.get("uncertainty") or {}, _UNCERTAINTY),
        ((run.model or {}).get("training") or {}, _TRAINING),
    ]
    found = {name: part[name] for part, names in parts for name in names if name in part}
    if "object" in found:
        found["unexplained_light"] = found.pop("object")
    if metrics.get("free_residual"):
        kept = max((metrics.get("sweeps") or 0) - run.first_sweep, 0)
        found["free_residual"] = metrics["free_residual"][: kept + 1][-1]
    return found


def _seconds(run: RunFolder) -> float | None:
    return None if run.times is None else (run.times[1] - run.times[0]).total_seconds()


def _columns(each: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for part in each for name in part)
    return {name: [part.get(name) for part in each] for name in names}


def word(value: Any) -> str:
    """Return a value as people read it: four digits, a dash for none."""
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
