"""`ptycho groups`: the groups of a scan and what they cover, by each sampling method; no training.

Data flow: settings -> [file -> RawData -> groups] -> [folder].
"""

import logging
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from ptycho.api.coverage import save_coverage
from ptycho.api.grouping import all_groups_of, groups_of
from ptycho.api.groups import Groups
from ptycho.api.loading import read_scan
from ptycho.api.page import record_scan
from ptycho.commands.running import begun
from ptycho.grouping import SAMPLERS, Coverage, axis_ratio
from ptycho.grouping.limits import limits_sentence
from ptycho.grouping.sample import draw
from ptycho.runs import Run
from ptycho.scan.raw_data import RawData
from ptycho.settings.groups import GroupsConfig
from ptycho.settings.reading import exclude_of, reading_of

log = logging.getLogger(__name__)

_COLUMNS = (
    ("sampler", "{:<11}"), ("groups", "{:>9}"), ("positions", "{:>10}"), ("unused", "{:>8}"),
    ("most uses", "{:>10}"), ("near", "{:>7}"), ("empty circle", "{:>13}"),
    ("discrepancy", "{:>12}"), ("mean pair", "{:>10}"), ("overlap", "{:>8}"), ("time", "{:>9}"),
)  # fmt: skip


def run(config: GroupsConfig) -> Path | None:
    """Compare the sampling methods on a scan and describe the chosen one in full.

    Returns:
        The output folder, None if none was asked for.

    Raises:
        PtychoError: If scan and settings cannot form groups.
    """
    if config.output_dir is None:
        _compared(config)
        return None
    with begun(config, config.output_dir) as run:
        chosen, samples = _compared(config, run)
        save_coverage(config.output_dir, chosen, samplers=samples)
    return config.output_dir


def _compared(config: GroupsConfig, run: Run | None = None) -> tuple[Groups, dict[str, Coverage]]:
    """Log what a sample of each method covers; return that of the chosen one, and all."""
    raw = read_scan(config.data, reading_of(config), exclude=exclude_of(config))
    if run is not None:
        record_scan(run, "data", raw, config.data)
    _report_steps(raw, config)
    wanted = config.n_images or max(1, raw.n_frames // config.gridsize**2)
    start = time.perf_counter()
    table = all_groups_of(raw, config)
    log.info(
        "%s: %s positions, gridsize %d, K %d, neighbors found in %.3g s",
        config.data, f"{raw.n_frames:,}", config.gridsize, table.neighbourhood.k,
        time.perf_counter() - start,
    )  # fmt: skip
    if table.neighbourhood.rule.filtered:
        log.info("%s", limits_sentence(table.neighbourhood))
    samples: dict[str, Groups] = {}
    log.info("%s", _row([title for title, _ in _COLUMNS]))
    for method in SAMPLERS:
        start = time.perf_counter()
        members = draw(table.neighbourhood, n=wanted, method=method, seed=config.seed)
        seconds = time.perf_counter() - start
        samples[method] = groups_of(raw, replace(config, sampling=method), members)
        log.info("%s", _row(_cells(method, samples[method].coverage, seconds)))
    chosen = samples[config.sampling]
    log.info("%s: %s", config.sampling, chosen.coverage.paragraph())
    return chosen, {name: found.coverage for name, found in samples.items()}


def _report_steps(raw: RawData, config: GroupsConfig) -> None:
    """Log if the scan is finer along one axis and the groups ignore it."""
    ratio = axis_ratio(np.asarray(raw.xcoords), np.asarray(raw.ycoords))
    if ratio == 1.0:
        return
    log.info(
        "step along columns: %.2g of that along rows%s", ratio,
        "" if config.metric == "steps" else "; --metric steps measures distances in steps",
    )  # fmt: skip


def _row(cells: list[str]) -> str:
    return "".join(form.format(cell) for (_, form), cell in zip(_COLUMNS, cells, strict=True))


def _cells(method: str, found: Coverage, seconds: float) -> list[str]:
    return [
        method,
        f"{found.n_groups:,}",
        f"{found.n_different:,}",
        f"{100 * (1 - found.share):.1f} %",
        str(found.most_uses),
        f"{100 * found.near_share:.0f} %",
        f"{found.largest_gap:.3g} px",
        f"{found.discrepancy:.2g}",
        f"{found.mean_pair_distance:.3g} px",
        f"{100 * found.median_overlap:.0f} %",
        f"{1e3 * seconds:,.0f} ms",
    ]
