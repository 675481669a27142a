"""`--dry_run`: what a command would do, from its settings, its scan and a small part of the work.

Data flow: file -> RawData -> groups -> [a few batches, a small part of the scan] -> text.
Nothing is written. Times are measured on this machine, with this model and these frames, and scaled
by their number; other load on the machine is not known.
"""

import copy
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from ptycho.api import reconstruction, training
from ptycho.api.components import Members
from ptycho.api.grouping import coverage_of, rule_of
from ptycho.api.logs import muted
from ptycho.durations import duration, seconds_of
from ptycho.errors import GroupingError
from ptycho.grouping import count_groups
from ptycho.learning.model import PtychoModel
from ptycho.physics import LOSSES
from ptycho.runs.folder import is_run
from ptycho.scan.raw_data import RawData
from ptycho.scan.summary import summarise_scan
from ptycho.settings.base import Settings, to_dict
from ptycho.settings.shared import SelectionSettings

_STEPS = 3  # training steps timed, after one that is not
_PARTS = 256, 1024  # frames of a scan that are reconstructed to estimate the time of all
_BYTES_A_PIXEL, _BYTES_A_FRAME = 100, 200
"""Memory of a reconstruction on a pixel of the object and for a frame, measured: several objects,
update and illumination; positions, windows, groups. The frames themselves stay in their file."""
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
        rows = [f"{name:<{_INDENT}}{text}" for name, text in self.rows.items()]
        settings = [f"  {name}: {_word(value)}" for name, value in self.settings.items()]
        return "\n".join(["dry run: nothing was written", *rows, "settings", *settings])


def _word(value: Any) -> str:
    """Return a setting's value as the command line takes it."""
    return (
        "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )


def forecast(config: Settings, rows: Mapping[str, str]) -> Forecast:
    """Return a forecast: the settings of a command, and what is known of the run."""
    return Forecast(to_dict(config), rows)


def peak_memory(device: torch.device | None = None) -> int:
    """Return the most memory this process has held so far, bytes; on a GPU, that of the GPU.

    0 if the system does not report it.
    """
    if device is not None and device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return 0
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def memory_words(n_bytes: float) -> str:
    """Return a number of bytes with its unit."""
    return f"{n_bytes / 1e9:.2g} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.3g} MB"


def scan_rows(
    raw: RawData, groups: Members, config: SelectionSettings, *, gridsize: int, K: int | None
) -> dict[str, str]:
    """Return what the scan is and what the groups chosen use of it.

    Args:
        raw: the scan.
        groups: chosen, one row per group.
        config: limits of the distance of two members; sampling.
        gridsize: a group has gridsize^2 members.
        K: neighbors from which members are drawn; None takes the default.
    """
    summary = summarise_scan(raw)
    rows = {"frames": summary.frames_sentence(), "scan": summary.scan_sentence()}
    covered = coverage_of(raw, groups).paragraph()
    if gridsize == 1:
        return {**rows, "groups": f"single frames: {covered}"}
    rule = replace(rule_of(raw, config, gridsize), K=K)
    found = count_groups(raw.xcoords, raw.ycoords, rule, scan_index=raw.scan_index)
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
        state = "holds a run; its results would be moved to earlier"
    elif folder.exists():
        state = "exists"
    return {"output": f"{folder}, {state}"}


def training_rows(prepared: training.Prepared) -> dict[str, str]:
    """Return memory and time of a training, from a few of its steps.

    Args:
        prepared: its model stays as it is; a copy takes the steps.
    """
    settings, device, batch_size = prepared.settings, prepared.device, prepared.batch_size
    taught, validation = prepared.data.training, prepared.data.validation
    step, look = _step_seconds(prepared)
    n_steps = len(taught.batch_numbers(batch_size))
    n_looks = 0 if validation is None else len(validation.batch_numbers(batch_size))
    epoch = n_steps * step + n_looks * look
    split = f"{len(taught):,} groups for training, {len(validation or ()):,} for validation"
    each = f"{n_steps:,} steps of {batch_size} groups, {duration(epoch)} per epoch"
    if settings.budget is None:
        total = f"{duration(settings.nepochs * epoch)}: {settings.nepochs} epochs of {each}"
    else:
        seconds = seconds_of(settings.budget, "budget")
        total = f"{duration(seconds)} as asked for: {seconds / epoch:.3g} epochs of {each}"
    return {
        "split": split,
        "memory": f"peak {memory_words(peak_memory(device))} in the measured steps",
        "time": f"{total}, measured with {_STEPS} steps",
    }


def reconstruction_rows(prepared: reconstruction.Prepared) -> dict[str, str]:
    """Return memory and time of a reconstruction, from that of the middle of the scan.

    Args:
        prepared: the reconstruction.
    """
    settings, raw = prepared.settings, prepared.raw
    n_frames = raw.n_frames if settings.n_images is None else len(np.unique(prepared.members))
    runs = 1 if settings.uncertainty is None else settings.uncertainty + 2
    parts = [_middle(raw, most) for most in sorted({min(n, raw.n_frames) for n in _PARTS})]
    seconds: list[float] = []
    try:
        with muted():
            prepared.again(_middle(raw, _WARM_UP))
            for part in parts:
                started = time.perf_counter()
                result = prepared.again(part)
                seconds.append(time.perf_counter() - started)
    except GroupingError as problem:  # limits that only a larger part can keep
        return {"time": f"unknown; a small part cannot be reconstructed: {problem}"}
    sizes = [part.n_frames for part in parts]
    # Two sizes separate what grows with the scan from what does not, as the checks of a result.
    each = seconds[-1] / sizes[-1]
    if len(parts) > 1:
        each = min(each, max(0.0, (seconds[-1] - seconds[0]) / (sizes[-1] - sizes[0])))
    total = runs * (seconds[-1] + each * (n_frames - sizes[-1]))
    memory = peak_memory(prepared.device)
    memory += _BYTES_A_PIXEL * max(0, _pixels(raw) - _pixels(parts[-1]))
    memory += _BYTES_A_FRAME * max(0, n_frames - sizes[-1])
    iterations = f" and {result.iterations} iterations" if result.iterations else ""
    several = f", {runs} reconstructions" if runs > 1 else ""
    return {
        "memory": f"peak {memory_words(memory)}, file cache of the system excluded",
        "time": f"{duration(total)}{several}, measured with the {sizes[-1]} frames in the "
        f"middle{iterations}",
    }


def _pixels(raw: RawData) -> int:
    """Return the pixels of the object."""
    first, last = raw.positions.min(axis=0), raw.positions.max(axis=0)
    height, width = (last - first + raw.frame_size).tolist()
    return int(height * width)


def _middle(raw: RawData, most: int) -> RawData:
    """Return so many frames around the middle of the scan, all of a small one."""
    if raw.n_frames <= most:
        return raw
    away = np.abs(raw.positions - np.median(raw.positions, axis=0)).max(axis=1)
    return raw.subset(np.sort(np.argpartition(away, most)[:most]))


def _step_seconds(prepared: training.Prepared) -> tuple[float, float]:
    """Return the seconds of a training step and of a validation step, medians of three."""
    device, datasets = prepared.device, prepared.data.training
    tried: PtychoModel = copy.deepcopy(prepared.model).to(device)
    optimizer = torch.optim.AdamW(tried.network.parameters(), lr=0.0)
    loss = LOSSES[prepared.settings.loss]
    generator = torch.Generator().manual_seed(0)
    batches = datasets.batch_numbers(prepared.batch_size, generator)

    def misfit(number: int) -> torch.Tensor:
        batch = datasets[batches[number % len(batches)]].to(device)
        return loss(tried(batch).intensity, batch.amplitude, batch.mask)

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
