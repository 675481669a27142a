"""What a network is trained on: one scan or several, each split into training and validation.

Data flow: [RawData -> groups -> batches] -> network + physics -> trained model.
"""

import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from ptycho.api.components import Members
from ptycho.api.grouping import choose_groups
from ptycho.api.loading import name_of
from ptycho.errors import ConfigError
from ptycho.grouping import Parts, Split, split_groups, split_parts
from ptycho.networks import NETWORKS
from ptycho.physics.probe import probe_fwhm, probe_likeness
from ptycho.scan.dataset import GroupDataset, ManyScans
from ptycho.scan.raw_data import RawData
from ptycho.scan.scaling import ScaledProbe, scaled_probe
from ptycho.settings.train import TrainSettings

log = logging.getLogger(__name__)

_SAME_PROBE = 0.9  # likeness of the probes of a training and a validation scan


class Scans(NamedTuple):
    """The scans of a training."""

    first: RawData
    """The model keeps its probe."""

    further: Sequence[RawData] = ()
    """Also trained on, each with its own probe and dose."""

    validation: RawData | None = None
    """Used for validation only; None holds out a part of each scan."""


class TrainingData(NamedTuple):
    """Everything that a training takes from its scans."""

    raw: RawData
    """The first scan."""

    scaled: ScaledProbe
    """The probe of the first scan."""

    members: Members
    """Groups of the first scan."""

    split: Split | Parts | None
    """Of the first scan; None if another one is used for validation."""

    training: GroupDataset | ManyScans
    validation: GroupDataset | ManyScans | None


class _Part(NamedTuple):
    """One scan, split."""

    training: GroupDataset
    validation: GroupDataset | None
    split: Split | Parts | None


def prepare_data(scans: Scans, settings: TrainSettings) -> TrainingData:
    """Choose the groups of all scans of a training and split them.

    Args:
        scans: one or several.
        settings: of the training.

    Raises:
        PtychoError: If a scan or a setting is invalid, or a frame is damaged.
    """
    raw = scans.first
    _check_sizes(scans, settings)
    members, scaled = choose_groups(raw, settings, settings.gridsize), scaled_probe(raw)
    if scans.validation is None:
        first = _split(settings, raw, members, scaled)
    else:
        known = _scaled_alike(scans.validation, raw, scaled)
        groups = choose_groups(known, settings, settings.gridsize)
        first = _Part(GroupDataset(raw, members), GroupDataset(known, groups), None)
    training: GroupDataset | ManyScans = first.training
    validation: GroupDataset | ManyScans | None = first.validation
    if scans.further:
        log.info("training on %d scans", 1 + len(scans.further))
        parts = [first, *(_further(settings, other) for other in scans.further)]
        first.training.probe = scaled.probe
        training = ManyScans([part.training for part in parts])
        if first.validation is not None and scans.validation is None:
            first.validation.probe = scaled.probe
            validation = ManyScans([p.validation for p in parts if p.validation is not None])
    _check_frames(training, validation)
    return TrainingData(raw, scaled, members, first.split, training, validation)


def _check_sizes(scans: Scans, settings: TrainSettings) -> None:
    """Raise ConfigError for frames of another size than those of the first scan."""
    size = scans.first.frame_size
    for other in scans.further:
        if not NETWORKS[settings.network].any_frame_size and other.frame_size != size:
            raise ConfigError(
                f"more_train_data: {name_of(other)}: frames of {other.frame_size} pixels; expected "
                f"{size}, as in {name_of(scans.first)}, for the network {settings.network}"
            )
    if scans.validation is not None and scans.validation.frame_size != size:
        raise ConfigError(
            f"{name_of(scans.validation)}: frames of {scans.validation.frame_size} pixels; "
            f"expected {size}, the size of the frames of the training"
        )


def _scaled_alike(raw: RawData, trained: RawData, scaled: ScaledProbe) -> RawData:
    """Return a validation scan scaled to the photons of the scan trained on."""
    likeness = probe_likeness(scaled.probe, torch.from_numpy(raw.probe))
    if likeness < _SAME_PROBE:
        raise ConfigError(
            f"test_data_file: {name_of(raw)}: its probe agrees to {100 * likeness:.0f} % "
            "with that of the training; expected the same probe"
        )
    return raw.scaled_to(trained.photons_per_frame())


def _further(settings: TrainSettings, raw: RawData) -> _Part:
    """Return a further scan, split as the first one.

    It is split even if another scan is used for validation, and its validation groups are then
    excluded to avoid leakage.
    """
    members, scaled = choose_groups(raw, settings, settings.gridsize), scaled_probe(raw)
    part = _split(settings, raw, members, scaled)
    for dataset in (part.training, part.validation):
        if dataset is not None:
            dataset.probe = scaled.probe
    return part


def _split(settings: TrainSettings, raw: RawData, members: Members, scaled: ScaledProbe) -> _Part:
    guard = probe_fwhm(scaled.probe) if settings.guard is None else settings.guard
    split: Split | Parts
    if settings.test_fraction or settings.held_out != "block":
        split = split_parts(
            raw.xcoords, raw.ycoords, members, validation=settings.validation_fraction,
            test=settings.test_fraction, shape=settings.held_out, guard=guard, seed=settings.seed,
        )  # fmt: skip
    else:
        split = split_groups(
            raw.xcoords, raw.ycoords, members, fraction=settings.validation_fraction, guard=guard,
            seed=settings.seed,
        )  # fmt: skip
    log.info("%s", split.sentence())
    validation = GroupDataset(raw, split.validation) if len(split.validation) else None
    return _Part(GroupDataset(raw, split.training), validation, split)


def _check_frames(*datasets: GroupDataset | ManyScans | None) -> None:
    """Read all frames once: a damaged one is found before the training, not during it."""
    for dataset in datasets:
        if dataset is not None:
            parts = dataset.parts if isinstance(dataset, ManyScans) else [dataset]
            for part in parts:
                part.raw.check_frames(np.unique(part.groups))
