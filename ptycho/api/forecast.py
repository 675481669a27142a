"""`--dry_run`: what a command would do, told from its settings, its scan and a small part tried.

Way of the data: file -> RawData -> groups -> [a few batches, a small part of the scan] -> text.
Nothing is written. Times are measured on this machine, with this model and these frames, and
scaled by their number; they know nothing of what else the machine will be doing.
"""

import copy
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from ptycho.api.components import Groups, distance_limits
from ptycho.api.coverage import coverage_of
from ptycho.api.reconstruction_output import Reconstruction
from ptycho.commands.console import unsaid
from ptycho.durations import duration, seconds_of
from ptycho.errors import GroupingError
from ptycho.grouping import count_groups
from ptycho.learning.model import PtychoModel
from ptycho.physics.losses import LOSSES
from ptycho.runs.folder import is_run
from ptycho.scan.dataset import GroupDataset, ManyScans
from ptycho.scan.raw_data import RawData
from ptycho.scan.summary import summarise_scan
from ptycho.settings.config import InferenceConfig, SelectionConfig, TrainConfig, to_dict

_STEPS = 3  # training steps timed, after one that is not
_PART = 256  # frames of a scan that are reconstructed to tell how long all would take
_WARM_UP = 32
_INDENT = 9


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a command would do, for people."""

    settings: Mapping[str, Any]
    """Every effective setting."""

    rows: Mapping[str, str]
    """Facts and estimates by name."""

    def __str__(self) -> str:
        """Return the facts, then the settings, one a line."""
        told = [f"{name:<{_INDENT}}{text}" for name, text in self.rows.items()]
        settings = [f"  {name}: {_word(value)}" for name, value in self.settings.items()]
        return "\n".join(["dry run: nothing was written", *told, "settings", *settings])


def _word(value: Any) -> str:
    """Return a setting's value as the command line takes it."""
    return (
        "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )


def forecast(config: Any, rows: Mapping[str, str]) -> Forecast:
    """Return a forecast: the settings of a command, and what is known of the run."""
    return Forecast(to_dict(config), rows)


def peak_memory(device: torch.device | None = None) -> int:
    """Return the most memory this process has held so far, bytes; on a GPU, that of the GPU.

    0 where the system does not tell.
    """
    if device is not None and device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return 0
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def memory_words(n_bytes: float) -> str:
    """Return bytes as people say them."""
    return f"{n_bytes / 1e9:.2g} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.3g} MB"


def scan_rows(
    raw: RawData, groups: Groups, config: SelectionConfig, *, gridsize: int, K: int | None
) -> dict[str, str]:
    """Return what the scan is and what the groups chosen use of it.

    Args:
        raw: the scan.
        groups: chosen, one row per group.
        config: limits of the distance of two members; sampling.
        gridsize: a group has gridsize^2 members.
        K: neighbours a group may draw from; None for as many as usual.
    """
    summary = summarise_scan(raw)
    rows = {"frames": summary.frames_sentence(), "scan": summary.scan_sentence()}
    covered = coverage_of(raw, groups).paragraph()
    if gridsize == 1:
        return {**rows, "groups": f"single frames: {covered}"}
    found = count_groups(
        raw.xcoords, raw.ycoords, gridsize=gridsize, K=K, scan_index=raw.scan_index,
        **distance_limits(raw, config),
    )  # fmt: skip
    return {
        **rows,
        "groups": f"{found:,} valid ones; {len(groups):,} of them, {config.sampling}: {covered}",
    }


def model_rows(model: torch.nn.Module, name: str, device: torch.device) -> dict[str, str]:
    """Return what computes, and where."""
    parameters = list(model.parameters())
    count = sum(p.numel() for p in parameters)
    n_bytes = sum(p.numel() * p.element_size() for p in parameters)
    threads = f", {torch.get_num_threads()} threads" if device.type == "cpu" else ""
    return {
        "network": f"{name}, {count:,} parameters, {memory_words(n_bytes)}",
        "device": f"{device.type}{threads}",
    }


def output_row(folder: Path) -> dict[str, str]:
    """Return where results would go, and what they would replace."""
    state = "new"
    if is_run(folder):
        state = "holds a run already; its files of the same names would be replaced"
    elif folder.exists():
        state = "there already"
    return {"output": f"{folder}, {state}"}


def training_rows(
    config: TrainConfig,
    model: PtychoModel,
    training: GroupDataset | ManyScans,
    validation: GroupDataset | ManyScans | None,
    batch_size: int,
    device: torch.device,
) -> dict[str, str]:
    """Return memory and time of a training, from a few of its steps.

    Args:
        config: epochs or budget, loss.
        model: stays as it is; a copy takes the steps.
        training: groups to learn from.
        validation: groups that watch.
        batch_size: groups per step.
        device: where to compute.
    """
    step, watch = _step_seconds(model, training, batch_size, config.loss, device)
    n_steps = len(training.batch_numbers(batch_size))
    n_watched = 0 if validation is None else len(validation.batch_numbers(batch_size))
    epoch = n_steps * step + n_watched * watch
    split = f"{len(training):,} groups train, {len(validation or ()):,} watch"
    each = f"{n_steps:,} steps of {batch_size} groups, {duration(epoch)} per epoch"
    if config.budget is None:
        total = f"{duration(config.nepochs * epoch)}: {config.nepochs} epochs of {each}"
    else:
        seconds = seconds_of(config.budget, "budget")
        total = f"{duration(seconds)} as asked for: {seconds / epoch:.3g} epochs of {each}"
    return {
        "split": split,
        "memory": f"{memory_words(peak_memory(device))} at the highest, in the steps tried",
        "time": f"{total}, measured with {_STEPS} steps",
    }


def reconstruction_rows(
    config: InferenceConfig,
    raw: RawData,
    groups: Groups,
    device: torch.device,
    again: Callable[[RawData], Reconstruction],
) -> dict[str, str]:
    """Return memory and time of a reconstruction, from that of the middle of the scan.

    Args:
        config: how much is asked for.
        raw: the scan.
        groups: chosen, one row per group.
        device: where to compute.
        again: reconstructs another scan in the same way, from all its frames.
    """
    n_frames = raw.n_frames if config.n_images is None else len(np.unique(groups))
    part, runs = _middle(raw, _PART), 1 if config.trust is None else config.trust + 2
    try:
        with unsaid():
            again(_middle(raw, _WARM_UP))
            started = time.perf_counter()
            result = again(part)
            seconds = time.perf_counter() - started
    except GroupingError as problem:  # limits that only a larger part can keep
        return {"time": f"unknown; a small part cannot be reconstructed: {problem}"}
    total = seconds * runs * n_frames / part.n_frames
    with_sweeps = f" and {result.sweeps} sweeps" if result.sweeps else ""
    several = f", {runs} reconstructions" if runs > 1 else ""
    return {
        "memory": f"{memory_words(peak_memory(device))} at the highest, for the part tried",
        "time": f"{duration(total)}{several}, measured with the {part.n_frames} frames in the "
        f"middle{with_sweeps}",
    }


def _middle(raw: RawData, most: int) -> RawData:
    """Return so many frames around the middle of the scan, all of a small one."""
    if raw.n_frames <= most:
        return raw
    away = np.abs(raw.positions - np.median(raw.positions, axis=0)).max(axis=1)
    return raw.subset(np.sort(np.argpartition(away, most)[:most]))


def _step_seconds(
    model: PtychoModel,
    training: GroupDataset | ManyScans,
    batch_size: int,
    loss: str,
    device: torch.device,
) -> tuple[float, float]:
    """Return the seconds of a training step and of a step that only looks, medians of three."""
    tried = copy.deepcopy(model).to(device)
    optimizer = torch.optim.AdamW(tried.network.parameters(), lr=0.0)
    batches = training.batch_numbers(batch_size, torch.Generator().manual_seed(0))

    def misfit(number: int) -> torch.Tensor:
        batch = training[batches[number % len(batches)]].to(device)
        return LOSSES[loss](tried(batch).intensity, batch.amplitude, batch.mask)

    def learn(number: int) -> None:
        optimizer.zero_grad()
        misfit(number).backward()
        optimizer.step()

    def look(number: int) -> None:
        with torch.no_grad():
            misfit(number)

    return _median_seconds(learn, device), _median_seconds(look, device)


def _median_seconds(action: Callable[[int], None], device: torch.device) -> float:
    times = []
    for number in range(_STEPS + 1):
        started = time.perf_counter()
        action(number)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    return median(times[1:])  # the first one plans transforms and warms caches
