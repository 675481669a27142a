"""Runs side by side: the settings in which they differ, and their results.

Data flow: folders of runs -> [table] -> `ptycho compare`, viewer. No figures.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ptycho.runs.folder import RunFolder

_CONSOLE = ("output_dir", "progress", "quiet", "verbose", "json_log", "report", "cache")


def side_by_side(runs: Sequence[RunFolder]) -> dict[str, Any]:
    """Return the settings in which runs differ, and their results.

    Args:
        runs: in the order of the columns.

    Returns:
        `runs`, their folders; `run`, `settings` (those that differ between runs that have them) and
        `results`: by name, one value for each run, None if a run has none.
    """
    settings = [_without_console(run.settings) for run in runs]
    # A list, as the reasons of a verdict, does not fit into a column.
    results = [
        {name: value for name, value in run.results.items() if not isinstance(value, list)}
        for run in runs
    ]
    differing = {
        name: values
        for name, values in _columns(settings).items()
        if len({repr(each[name]) for each in settings if name in each}) > 1
    }
    facts = [
        {
            "kind": run.kind,
            "state": run.state,
            "finished": run.finished,
            "took_s": _seconds(run),
            "ptycho": run.version,
        }
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


def _without_console(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in _CONSOLE}


def _seconds(run: RunFolder) -> float | None:
    return None if run.times is None else (run.times[1] - run.times[0]).total_seconds()


def _columns(each: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for part in each for name in part)
    return {name: [part.get(name) for part in each] for name in names}


def word(value: Any) -> str:
    """Return a value as text: four digits, a dash for None."""
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
