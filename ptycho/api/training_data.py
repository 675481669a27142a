"""What a training learns from: one scan or several, each split into what teaches and what watches.

Way of the data: [file -> RawData -> groups -> batches] -> network + physics -> trained model.
"""

import glob
import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from ptycho.api.components import (
    Groups,
    ScaledProbe,
    choose_groups,
    load_data,
    scaled_probe,
)
from ptycho.errors import ConfigError
from ptycho.grouping import Parts, Split, split_groups, split_parts
from ptycho.physics.probe import probe_fwhm, probe_likeness
from ptycho.scan.dataset import GroupDataset, ManyScans
from ptycho.scan.raw_data import RawData
from ptycho.settings.config import TrainConfig

log = logging.getLogger(__name__)


class TrainingData(NamedTuple):
    """Everything a training needs of its scans."""

    raw: RawData
    """The first scan; the model keeps its probe."""

    scaled: ScaledProbe
    """The probe of the first scan."""

    groups: Groups
    """Of the first scan."""

    split: Split | Parts | None
    """Of the first scan; None when another one watches."""

    training: GroupDataset | ManyScans
    validation: GroupDataset | ManyScans | None


def open_training_data(config: TrainConfig) -> TrainingData:
    """Open all scans of a training, choose their groups and split them.

    Raises:
        PtychoError: If a scan or a setting is unsound, or a frame is damaged.
    """
    raw = _open(config.train_data_file, config, config.N)
    groups = choose_groups(raw, config, config.gridsize)
    scaled = scaled_probe(raw)
    further = [_open(path, config, config.N) for path in _further_files(config)]
    for path, other in zip(_further_files(config), further, strict=True):
        if config.network == "unet" and other.frame_size != raw.frame_size:
            raise ConfigError(
                f"more_train_data: {path}: frames of {other.frame_size} pixels; expected "
                f"{raw.frame_size}, as in {config.train_data_file}, for the network unet"
            )
    training, validation, split = _parts(config, raw, groups, scaled)
    if further:
        log.info("training on %d scans", 1 + len(further))
        training.probe = scaled.probe
        taught, watched = [training], [validation]
        for other in further:
            its_groups, its_probe = (
                choose_groups(other, config, config.gridsize),
                scaled_probe(other),
            )
            more, more_watched, _ = _parts(config, other, its_groups, its_probe, alone=False)
            for part in (more, more_watched):
                if part is not None:
                    part.probe = its_probe.probe
            taught.append(more)
            watched.append(more_watched)
        if validation is not None and config.test_data_file is None:
            validation.probe = scaled.probe
            validation = ManyScans([part for part in watched if part is not None])
        training = ManyScans(taught)
    for part in (training, validation):
        # A bad frame shows now, not after an hour, and before anything is written.
        for each in part.parts if isinstance(part, ManyScans) else [part] * (part is not None):
            each.raw.check_frames(np.unique(each.groups))
    return TrainingData(raw, scaled, groups, split, training, validation)


def _further_files(config: TrainConfig) -> list[Path]:
    """Return the files of more_train_data, each once and never the first scan again."""
    if config.more_train_data is None:
        return []
    found: list[Path] = []
    for entry in config.more_train_data.split(","):
        entry = entry.strip()
        matches = sorted(glob.glob(entry)) if glob.has_magic(entry) else [entry]
        if not matches or not all(Path(match).is_file() for match in matches):
            raise ConfigError(
                f"more_train_data: {entry!r}: no such file; expected scans separated by commas, or "
                "a pattern that finds some"
            )
        found += [Path(match) for match in matches]
    first = config.train_data_file.resolve()
    return [path for path in dict.fromkeys(found) if path.resolve() != first]


def _open(path: Path, config: TrainConfig, frame_size: int | None) -> RawData:
    return load_data(
        path, measurement=config.measurement, frame_size=frame_size, nphotons=config.nphotons,
        mask=config.mask,
    )  # fmt: skip


def _watched(config: TrainConfig, raw: RawData, scaled: ScaledProbe) -> RawData:
    """Open the scan that watches the training, scaled to the photons of the one trained on."""
    watched = _open(config.test_data_file, config, raw.frame_size)
    likeness = probe_likeness(scaled.probe, torch.from_numpy(watched.probe))
    if likeness < 0.9:
        raise ConfigError(
            f"test_data_file: {config.test_data_file}: its probe agrees to {100 * likeness:.0f} % "
            "with the one trained with; expected the same probe"
        )
    return watched.scaled_to(raw.photons_per_frame())


def _parts(
    config: TrainConfig, raw: RawData, groups: Groups, scaled: ScaledProbe, *, alone: bool = True
) -> tuple[GroupDataset, GroupDataset | None, Split | Parts | None]:
    """Return what is learned from, what watches the learning, and how one scan was split.

    A further scan (not alone) is split even where another file watches, and what would watch is
    left out: its groups are not to be learned by heart either.
    """
    if config.test_data_file is not None and alone:
        watched = _watched(config, raw, scaled)
        of_watched = choose_groups(watched, config, config.gridsize)
        return GroupDataset(raw, groups), GroupDataset(watched, of_watched), None
    guard = config.guard if config.guard is not None else probe_fwhm(scaled.probe)
    scan = raw.xcoords, raw.ycoords, groups
    share, rest = config.validation_fraction, {"guard": guard, "seed": config.seed}
    if config.test_fraction or config.held_out != "block":
        split = split_parts(
            *scan, validation=share, test=config.test_fraction, shape=config.held_out, **rest
        )
    else:
        split = split_groups(*scan, fraction=share, **rest)
    log.info("%s", split.sentence())
    validation = GroupDataset(raw, split.validation) if len(split.validation) else None
    return GroupDataset(raw, split.training), validation, split
