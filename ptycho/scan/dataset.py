"""Groups of frames as tensors, one named batch at a time.

Data flow: file -> RawData -> groups -> [batches] -> network + physics -> trained model.
Frames stay where RawData keeps them (often a memory-mapped file); only the frames of one batch are
converted. Knows nothing of networks or training.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor

from ptycho.errors import ConfigError
from ptycho.physics.detector import Measured
from ptycho.physics.forward import ForwardModel, forward_model
from ptycho.physics.patches import window_corners
from ptycho.scan.raw_data import RawData


@dataclass(frozen=True, slots=True)
class GroupBatch:
    """A few groups of frames; every tensor starts with (group, member)."""

    amplitude: Float[Tensor, "group member row col"]
    """Measured sqrt(photons) per detector pixel, zero frequency at N//2."""

    corners: Int[Tensor, "group member 2"]
    """First (row, col) of each window on its group's canvas."""

    fractions: Float[Tensor, "group member 2"]
    """Sub-pixel part of each position, carried by the probe."""

    members: Int[Tensor, "group member"]
    """Frame indices in the scan."""

    shape: tuple[int, int]
    """(row, col) size of the canvas that holds every window of any one of these groups."""

    mask: Bool[Tensor, "row col"] | None = None
    """True on good detector pixels; None when all are. Bad ones have amplitude 0."""

    background: Float[Tensor, "row col"] | None = None
    """Photons per detector pixel that do not come from the sample; None for none."""

    probe: Complex[Tensor, "mode row col"] | None = None
    """Illumination of the scan the groups are from; None when the model knows it."""

    forward: ForwardModel = field(default_factory=ForwardModel)
    """How an object makes these frames."""

    @property
    def measured(self) -> Measured:
        """What the frames have measured, and which pixels may be used."""
        excluded = None if self.mask is None else ~self.mask
        return Measured(self.amplitude, excluded, self.background)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "GroupBatch":
        """Return the batch with its tensors on a device.

        Args:
            device: where to.
            non_blocking: whether the host may go on while pinned memory is copied.
        """

        def move(value: Tensor | None) -> Tensor | None:
            return None if value is None else value.to(device, non_blocking=non_blocking)

        return replace(
            self,
            amplitude=self.amplitude.to(device, non_blocking=non_blocking),
            corners=self.corners.to(device, non_blocking=non_blocking),
            fractions=self.fractions.to(device, non_blocking=non_blocking),
            members=self.members.to(device, non_blocking=non_blocking),
            mask=move(self.mask),
            background=move(self.background),
            probe=move(self.probe),
            forward=self.forward.to(device),
        )


class GroupDataset:
    """The groups of one scan; indexed by a list of group numbers it returns a batch.

    Args:
        raw: the scan.
        groups: frame indices, one row per group.
        probe: carried by its batches, sqrt(photons) per object pixel; None leaves it to the model.

    Raises:
        ConfigError: If there is no group.

    Attributes:
        background: photons per detector pixel that do not come from the sample, or None.
        forward: the forward model of the scan.
    """

    def __init__(
        self,
        raw: RawData,
        groups: Int[np.ndarray, "group member"],
        *,
        probe: Complex[Tensor, "mode row col"] | None = None,
    ):
        if len(groups) == 0:
            raise ConfigError("groups: 0 given; expected 1 or more; increase --n_images")
        self.raw = raw
        self.groups = np.asarray(groups)
        self.probe = probe
        corners, fractions = window_corners(
            torch.from_numpy(np.ascontiguousarray(raw.positions)), raw.frame_size
        )
        self._corners, self._fractions = corners, fractions
        self._mask = None if raw.mask is None else torch.from_numpy(raw.mask)
        known = raw.background_intensity
        self.background = None if known is None else torch.from_numpy(known)
        self.forward = forward_model(raw.experiment, raw.frame_size)

    def __len__(self) -> int:
        """Return the number of groups."""
        return len(self.groups)

    def __getitem__(self, numbers: Sequence[int]) -> GroupBatch:
        """Read the frames of some groups.

        Args:
            numbers: which groups.

        Raises:
            DataError: If a frame is damaged (NaN, negative).
        """
        members = torch.from_numpy(self.groups[np.asarray(numbers)].astype(np.int64))
        amplitude = torch.from_numpy(self.raw.amplitude(members.numpy().ravel()))
        corners = self._corners[members]
        corners = corners - corners.amin(dim=1, keepdim=True)
        size = self.raw.frame_size
        height, width = (corners.amax(dim=(0, 1)) + size).tolist()
        return GroupBatch(
            amplitude=amplitude.unflatten(0, members.shape),
            corners=corners,
            fractions=self._fractions[members],
            members=members,
            shape=(height, width),
            mask=self._mask,
            background=self.background,
            probe=self.probe,
            forward=self.forward,
        )

    def batches(self, size: int) -> Iterator[GroupBatch]:
        """Yield all groups in order, `size` at a time."""
        for numbers in self.batch_numbers(size):
            yield self[numbers]

    def batch_numbers(
        self, size: int, generator: torch.Generator | None = None
    ) -> list[Sequence[int]]:
        """Return which groups make up each batch of one pass.

        Args:
            size: groups per batch; the last one may have fewer.
            generator: of the order; None keeps that of the groups.
        """
        n_groups = len(self)
        order = (
            range(n_groups)
            if generator is None
            else torch.randperm(n_groups, generator=generator).tolist()
        )
        return [order[first : first + size] for first in range(0, n_groups, size)]


class ManyScans:
    """The groups of several scans, used like those of one; a batch is of one scan.

    Args:
        parts: one per scan, each with the probe that its batches carry.
    """

    def __init__(self, parts: Sequence[GroupDataset]):
        self.parts = list(parts)
        self._first = np.cumsum([0, *(len(part) for part in parts)])

    def __len__(self) -> int:
        """Return the number of groups of all scans."""
        return int(self._first[-1])

    def __getitem__(self, numbers: Sequence[int]) -> GroupBatch:
        """Read the frames of some groups of one scan.

        Args:
            numbers: which groups, counted over all scans.
        """
        which = int(np.searchsorted(self._first, numbers[0], side="right")) - 1
        return self.parts[which][[number - int(self._first[which]) for number in numbers]]

    def batch_numbers(
        self, size: int, generator: torch.Generator | None = None
    ) -> list[Sequence[int]]:
        """Return which groups make up each batch of one pass; shuffled, scans take turns.

        Args:
            size: groups per batch.
            generator: of the order of groups and batches; None keeps that of the scans.
        """
        batches: list[Sequence[int]] = [
            [number + int(first) for number in numbers]
            for part, first in zip(self.parts, self._first, strict=False)
            for numbers in part.batch_numbers(size, generator)
        ]
        if generator is None:
            return batches
        return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]


def default_batch_size(members: int, frame_size: int, frames: int) -> int:
    """Return groups per batch.

    Args:
        members: frames in a group.
        frame_size: N, pixels; frames above 64 count by their area, up to 4 times.
        frames: per batch at N = 64.
    """
    area = min(4.0, max(1.0, (frame_size / 64) ** 2))
    return max(1, round(frames / area) // members)
