"""`ptycho groups`: scan -> groups -> what they cover, samplers side by side; no training.

Way of the data: [file -> RawData -> groups -> report].
"""

import logging
import time
from pathlib import Path

import numpy as np

from ptycho.api.components import Groups, distance_limits, load_data
from ptycho.api.coverage import coverage_of, save_coverage
from ptycho.grouping import Coverage, axis_ratio
from ptycho.grouping.cache import find_groups
from ptycho.grouping.limits import limits_sentence
from ptycho.grouping.sample import METHODS, draw
from ptycho.scan.raw_data import RawData
from ptycho.settings.config import save_settings
from ptycho.settings.groups import GroupsConfig

log = logging.getLogger(__name__)

_COLUMNS = (
    ("sampler", "{:<11}"), ("groups", "{:>9}"), ("positions", "{:>10}"), ("unused", "{:>8}"),
    ("most uses", "{:>10}"), ("near", "{:>7}"), ("empty circle", "{:>13}"),
    ("discrepancy", "{:>12}"), ("mean pair", "{:>10}"), ("overlap", "{:>8}"), ("time", "{:>9}"),
)  # fmt: skip


def run(config: GroupsConfig) -> Path | None:
    """Compare the samplers on a scan, tell one in full.

    Returns:
        The output folder, None when none was asked for.

    Raises:
        PtychoError: If scan and settings cannot form groups.
    """
    raw = load_data(config.data, measurement=config.measurement, mask=config.mask)
    _tell_steps(raw, config)
    wanted = config.n_images or max(1, raw.n_frames // config.gridsize**2)
    start = time.perf_counter()
    limits = distance_limits(raw, config)
    table = find_groups(
        raw.xcoords, raw.ycoords, gridsize=config.gridsize, K=config.neighbor_count,
        scan_index=raw.scan_index, dataset_path=config.data, cache_dir=config.cache_dir,
        use_cache=config.cache, **limits,
    )  # fmt: skip
    log.info(
        "%s: %s positions, gridsize %d, K %d, neighbours found in %.3g s",
        config.data, f"{raw.n_frames:,}", config.gridsize, table.neighbourhood.k,
        time.perf_counter() - start,
    )  # fmt: skip
    if table.neighbourhood.filtered:
        log.info("%s", limits_sentence(table.neighbourhood))
    samples: dict[str, tuple[Groups, Coverage]] = {}
    log.info("%s", _row([title for title, _ in _COLUMNS]))
    for method in METHODS:
        start = time.perf_counter()
        groups = draw(table.neighbourhood, n=wanted, method=method, seed=config.seed)
        seconds = time.perf_counter() - start
        samples[method] = groups, coverage_of(raw, groups)
        log.info("%s", _row(_cells(method, samples[method][1], seconds)))
    groups, coverage = samples[config.sampling]
    log.info("%s: %s", config.sampling, coverage.paragraph())
    if config.output_dir is None:
        return None
    config.output_dir.mkdir(parents=True, exist_ok=True)
    save_settings(config, config.output_dir)
    save_coverage(
        config.output_dir, raw, groups, coverage=coverage, sampling=config.sampling,
        samplers={name: found.as_dict() for name, (_, found) in samples.items()},
    )  # fmt: skip
    return config.output_dir


def _tell_steps(raw: RawData, config: GroupsConfig) -> None:
    """Say when the scan is finer along one axis and the groups do not take note of it."""
    ratio = axis_ratio(np.asarray(raw.xcoords), np.asarray(raw.ycoords))
    if ratio == 1.0:
        return
    log.info(
        "the step along columns is %.2g of that along rows%s", ratio,
        "" if config.metric == "steps" else "; --metric steps measures nearness in steps",
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
